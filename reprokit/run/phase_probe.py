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
from reprokit.process.lease import end_stale
from reprokit.progress import Event, Observer
from reprokit.records import PhaseProbe, Phases
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import point_context, set_aside
from reprokit.stack import ReadyPoint

PROBES, RECORD = "probes", "probe.json"
_LARGEST = 4 << 20
_NOTHING_TO_SPLIT = "no invocation of this arm ended well, so there is nothing to split"


class LaunchesBeside(Protocol):
    """Starts a process as invocations are started."""

    def launch_beside(self, ready: ReadyPoint, command: Command, folder: Path) -> Exit:
        """Run it to its end; its files go to `folder`."""
        ...


def probe_record(run: RunDirectory, planned: PlannedInvocation) -> Path:
    """Return the file that says that the probe of an invocation's arm and cell is over."""
    return run.path / PROBES / f"{planned.point}__{planned.cell}__{planned.arm}" / RECORD


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
        record = probe_record(run, first)
        if record.exists():
            continue
        folder = record.parent
        observer(Event("run", folder.name, "probing its phases"))
        try:
            end_stale(folder)  # a killed run may have left it at work
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _write(record, _probe(work, run, ready, adapter, first, folder))
        except OSError as error:
            raise RunError(f"{folder} cannot be written: {error}") from error


def read_probes(run: RunDirectory) -> tuple[PhaseProbe, ...]:
    """Read the probes of a run, in the order of the plan.

    Raises:
        DamagedRunError: one of them is damaged.
    """
    every = _one_of_each(run, [point.id for point in run.plan.points])
    found = (_read(probe_record(run, first)) for first in every)
    return tuple(probe for probe in found if probe is not None)


def _write(path: Path, probe: PhaseProbe) -> None:
    """Write a record, also where the benchmark removed its own directory."""
    if path.parent.is_symlink() or not path.parent.is_dir():
        set_aside(path.parent)
        path.parent.mkdir()
    write_record(path, probe)


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
