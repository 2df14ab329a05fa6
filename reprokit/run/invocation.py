"""One invocation in a run directory: what it was to do, and whether it is finished.

`spec.json` is written before the process starts, `exit.json` after it ended. A directory with the
second is finished and never touched again; one without is set aside and the invocation is made
anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from reprokit.adapter import Adapter, Command, Invocation, OptionError, PointContext
from reprokit.atomic_files import write_record
from reprokit.errors import DamagedRunError, ReprokitError
from reprokit.evidence import NotAFileError, read_evidence
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import EXIT, Exit
from reprokit.process.lease import end_stale
from reprokit.records import Record
from reprokit.run.directory import RunDirectory
from reprokit.stack import ReadyPoint, digest

SPEC = "spec.json"
_LARGEST = 16 << 20


class InvocationSpec(Record):
    """What `spec.json` holds: one invocation as it was asked for.

    Attributes:
        identity: see `identity`.
        argv, cwd, env: what was started, without a shell; None and empty where `refused` is set.
        removed: names of variables of reprokit's own environment that were kept from the
            benchmark although they could have changed what it measures.
        unsupported: the adapter's reason why no row of this can be `ok`.
        refused: why the adapter could not even make a command; no process was started then.
        stopped_early: why it was not made although it was planned; no process was started then.
        launch: directory of the process that measured several invocations, relative to the run.
    """

    schema_: Annotated[Literal["reprokit/invocation/v1"], Field(alias="schema")] = (
        "reprokit/invocation/v1"
    )
    planned: PlannedInvocation
    identity: str
    timeout_s: float
    argv: tuple[str, ...] | None = None
    cwd: str | None = None
    env: dict[str, str] = Field(default_factory=dict)
    removed: tuple[str, ...] = ()
    unsupported: str | None = None
    refused: str | None = None
    stopped_early: str | None = None
    launch: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing was to be started."""
        return self.refused is not None or self.stopped_early is not None


def identity(plan: Plan, planned: PlannedInvocation, ready: ReadyPoint) -> str:
    """Digest of all that decides what an invocation measures; the same before and after the run.

    It covers the point as asked for and as prepared: rows of one point never mix two locks or two
    source trees, even when a resumed run prepared the point again.
    """
    return digest(
        [
            planned.model_dump(mode="json"),
            plan.point(planned.point).identity(),
            [ready.identity, ready.lock_sha256, ready.tree],
            plan.cell(planned.cell).model_dump(mode="json"),
            plan.setup.model_dump(mode="json"),
            plan.timeout_s,
        ]
    )


def point_context(ready: ReadyPoint, adapter: Adapter) -> PointContext:
    """Say where a prepared point lives on this machine.

    Raises:
        DamagedRunError: the point counts as ready and says neither why not nor where.
    """
    builtin = adapter.builtin_source()
    source = ready.source or (str(builtin) if builtin else None)
    if ready.python is None or source is None:
        missing = "interpreter" if ready.python is None else "source"
        raise DamagedRunError(f"stack point {ready.point}: it is ready and names no {missing}")
    return PointContext(
        point=ready.point, python=ready.python, source=source,
        commit=ready.commit, assets=ready.assets,
    )  # fmt: skip


def invocation_record(plan: Plan, planned: PlannedInvocation, run: RunDirectory) -> Invocation:
    """Return the invocation as adapters see it, with its directory on this machine."""
    return Invocation(
        id=planned.id, arm=planned.arm, cell=plan.cell(planned.cell).axes,
        directory=str(run.invocation(planned.id)),
    )  # fmt: skip


def make_command(
    adapter: Adapter, plan: Plan, point: PointContext, invocation: Invocation
) -> Command | str:
    """Ask the adapter for the command; return its reason where it cannot make one."""
    try:
        return adapter.command(plan.setup, point, invocation)
    except OptionError as error:
        return f"{'.'.join(('options', *error.path))}: {error.message}"
    except ReprokitError as error:
        return error.what


def read_spec(
    run: RunDirectory, planned: PlannedInvocation, expected: str
) -> InvocationSpec | None:
    """Read the spec of an invocation and check that it is the planned one.

    `expected` is the identity that plan and point give it now.

    Raises:
        DamagedRunError: it cannot be read, or it is of another plan or environment.
    """
    path = run.invocation(planned.id) / SPEC
    try:
        spec = InvocationSpec.model_validate_json(read_evidence(path, limit=_LARGEST))
    except (FileNotFoundError, NotADirectoryError, NotAFileError):
        return None
    except OSError as error:
        raise DamagedRunError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DamagedRunError(f"{path}: {error.errors()[0]['msg']}") from error
    if spec.identity != expected or spec.planned != planned:
        raise DamagedRunError(
            f"{path}: the invocation was made for another plan, setup or environment",
            hint="Rows of unlike measurements are not pooled. Start a new run.",
        )
    return spec


def is_finished(run: RunDirectory, planned: PlannedInvocation, expected: str) -> bool:
    """Tell whether nothing is left to do for an invocation.

    What a killed run left behind is ended first: its supervisor may be about to write exit.json,
    and an invocation that finished at the last moment is not to be lost.

    Raises:
        DamagedRunError: what is there is not what was planned.
    """
    folder = run.invocation(planned.id)
    spec = read_spec(run, planned, expected)
    if run.exit(planned.id) is None:
        end_stale(folder)
    # One without the other was left by a run that was killed before it put that right.
    return spec is not None and (spec.over or run.exit(planned.id) is not None)


def needs_process(folder: Path) -> bool:
    """Tell whether an invocation is still to be started, by what its directory says of itself."""
    if (folder / EXIT).exists() and (folder / SPEC).exists():
        return False
    spec = _spec_in(folder)
    return spec is None or not spec.over


def keep_record(folder: Path, spec: InvocationSpec, found: Exit) -> None:
    """Make spec.json and exit.json say what the runner knows, whatever the benchmark did to them.

    Without them the invocation would be made again for ever. Where they cannot be written, what
    is there is set aside; the rows then miss the logs and say so.

    Raises:
        OSError: the run directory itself cannot be written.
    """
    if _is_record(folder / SPEC, spec) and _is_record(folder / EXIT, found):
        return
    try:
        _write_records(folder, spec, found)
    except OSError:
        set_aside(folder)
        folder.mkdir()
        _write_records(folder, spec, found)


def _write_records(folder: Path, spec: InvocationSpec, found: Exit) -> None:
    if folder.is_symlink():
        raise NotADirectoryError(folder)
    write_record(folder / SPEC, spec)
    write_record(folder / EXIT, found)


def _is_record(path: Path, record: Record) -> bool:
    if path.parent.is_symlink():
        return False
    try:
        return type(record).model_validate_json(read_evidence(path, limit=_LARGEST)) == record
    except (OSError, ValidationError):
        return False


def set_aside(folder: Path) -> Path | None:
    """Move the directory of an interrupted invocation out of the way.

    Returns where it is now, None when there was none. Nothing of it is thrown away.
    """
    if not os.path.lexists(folder):
        return None
    number = 1
    while (aside := folder.with_name(f"{folder.name}.interrupted-{number}")).exists():
        number += 1
    return folder.rename(aside)


def launch_of(run: RunDirectory, planned: PlannedInvocation) -> str | None:
    """Name the directory of the shared process that was to measure an invocation."""
    spec = _spec_in(run.invocation(planned.id))
    return spec.launch if spec is not None else None


def removed_variables(run: RunDirectory) -> tuple[str, ...]:
    """Name the variables that were kept from any invocation; a spec that is gone names none."""
    specs = (_spec_in(run.invocation(planned.id)) for planned in run.plan.invocations)
    return tuple(sorted({name for spec in specs if spec is not None for name in spec.removed}))


def refuse_strangers(run: RunDirectory) -> None:
    """Refuse invocations that nobody planned.

    Anything else beside the invocations is no invocation: a benchmark may write where it likes.

    Raises:
        DamagedRunError: there is one of another plan.
    """
    planned = {planned.id for planned in run.plan.invocations}
    folder = run.path / "invocations"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        known = path.name.partition(".interrupted-")[0] in planned
        if not known and _is_invocation(path):
            raise DamagedRunError(f"{path} is not in the plan of this run")


def _is_invocation(folder: Path) -> bool:
    """Tell whether a runner made it; a copy of one bears the id of another folder."""
    spec = _spec_in(folder)
    return spec is not None and spec.planned.id == folder.name


def _spec_in(folder: Path) -> InvocationSpec | None:
    """Read the spec in a folder, of whatever plan; None where there is none that can be read."""
    try:
        return InvocationSpec.model_validate_json(read_evidence(folder / SPEC, limit=_LARGEST))
    except (OSError, ValidationError):
        return None
