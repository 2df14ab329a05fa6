"""Launches beside the planned ones that split prefill from decode; no row is drawn from them.

One for each arm of each cell of each stack point, after the planned invocations and as they were
started, in `probes/<point>__<cell>__<arm>`. `probe.json` is written last there.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from reprokit.adapter import Adapter, Command, Invocation, ProbesPhases
from reprokit.atomic_files import write_record
from reprokit.errors import DamagedRunError, ReprokitError, RunError
from reprokit.evidence import read_evidence
from reprokit.plan import PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.progress import Event, Observer
from reprokit.records import PhaseProbe, Phases
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import point_context
from reprokit.stack import ReadyPoint

PROBES, RECORD = "probes", "probe.json"
_LARGEST = 4 << 20
_NOTHING_TO_SPLIT = "no invocation of this arm ended well, so there is nothing to split"


class LaunchesBeside(Protocol):
    """Starts a process as invocations are started."""

    def launch_beside(self, ready: ReadyPoint, command: Command, folder: Path) -> Exit:
        """Run it to its end; its files go to `folder`."""
        ...


def probe_phases(
    work: LaunchesBeside,
    run: RunDirectory,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    points: Collection[str],
    observer: Observer,
) -> None:
    """Make the probes of some points that are not there yet.

    Raises:
        RunError: the run directory cannot be written.
    """
    for first in _one_of_each(run, points):
        name = f"{first.point}__{first.cell}__{first.arm}"
        folder = run.path / PROBES / name
        if (folder / RECORD).exists():
            continue
        observer(Event("run", name, "probing its phases"))
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_record(folder / RECORD, _probe(work, run, ready, adapter, first, folder))
        except OSError as error:
            raise RunError(f"{folder} cannot be written: {error}") from error


def read_probes(run: RunDirectory) -> tuple[PhaseProbe, ...]:
    """Read the probes of a run, in the order of the plan.

    Raises:
        DamagedRunError: one of them is damaged.
    """
    names = (
        f"{first.point}__{first.cell}__{first.arm}"
        for first in _one_of_each(run, [point.id for point in run.plan.points])
    )
    found = (_read(run.path / PROBES / name / RECORD) for name in names)
    return tuple(probe for probe in found if probe is not None)


def _one_of_each(run: RunDirectory, points: Collection[str]) -> Iterator[PlannedInvocation]:
    """Yield the first invocation of each arm of each cell of each point."""
    seen = set()
    for planned in run.plan.invocations:
        what = (planned.point, planned.cell, planned.arm)
        if planned.point in points and what not in seen:
            seen.add(what)
            yield planned


def _probe(
    work: LaunchesBeside,
    run: RunDirectory,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    first: PlannedInvocation,
    folder: Path,
) -> PhaseProbe:
    made = PhaseProbe(id=folder.name, point=first.point, cell=first.cell, arm=first.arm)
    point = ready.get(first.point)
    if point is None or point.failed is not None:
        return made.model_copy(update={"skipped": "the stack point has no environment"})
    if not isinstance(adapter, ProbesPhases):
        reason = f"the adapter {adapter.name} cannot tell phases apart"
        return made.model_copy(update={"skipped": reason})
    if not _ended_well(run, first):
        return made.model_copy(update={"skipped": _NOTHING_TO_SPLIT})
    setup, context = run.plan.setup, point_context(point, adapter)
    asked = Invocation(
        id=folder.name, arm=first.arm, cell=run.plan.cell(first.cell).axes, directory=str(folder)
    )
    try:
        command = adapter.phase_command(setup, context, asked)
    except ReprokitError as error:
        return made.model_copy(update={"skipped": error.what})
    found = work.launch_beside(point, command, folder)
    phases = adapter.read_phases(setup, context, asked)
    if found.outcome() != "ok":
        phases = Phases(problem=f"the process ended with {found.outcome()}")
    return made.model_copy(update={"phases": phases})


def _ended_well(run: RunDirectory, first: PlannedInvocation) -> bool:
    exits = (
        run.exit(planned.id)
        for planned in run.plan.invocations
        if (planned.point, planned.cell, planned.arm) == (first.point, first.cell, first.arm)
    )
    return any(found is not None and found.outcome() == "ok" for found in exits)


def _read(path: Path) -> PhaseProbe | None:
    try:
        return PhaseProbe.model_validate_json(read_evidence(path, limit=_LARGEST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedRunError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DamagedRunError(f"{path}: {error.errors()[0]['msg']}") from error
