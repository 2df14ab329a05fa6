"""One process for several invocations: what became of each of them when it ended.

The process says by files how far it came (`reprokit.adapter.Launch`): stdout.log in the directory
of every invocation that it began, done.json in those that it was over with. An invocation that it
began and never was over with is the one that it died in; those that it did not begin are left for
a new process.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from reprokit.evidence import read_evidence
from reprokit.plan import PlannedInvocation
from reprokit.process.launch import STDERR, STDOUT, Exit, read_exit
from reprokit.process.supervisor import log_size
from reprokit.records import Record
from reprokit.run.directory import RunDirectory

DONE = "done.json"
_LARGEST = 1 << 16


class Done(Record):
    """What done.json holds: the process is over with an invocation.

    Attributes:
        returncode: 0 when it was measured, another number when it failed.
        wall_s: time spent on it.
    """

    returncode: Annotated[int, Field(ge=0, le=255)]
    wall_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Settled:
    """How one invocation of a shared process ended."""

    planned: PlannedInvocation
    found: Exit


def settle(
    run: RunDirectory, pending: Sequence[PlannedInvocation], found: Exit, launch: Path
) -> tuple[list[Settled], list[PlannedInvocation]]:
    """Say how the invocations of an ended process ended, and which it did not come to.

    A process that ended before it began with any of them has failed for all. One that died after
    the last of them died in that one: a claim cannot rest on a process that died. What it measured
    after a failure is not to be relied on and is left for a new process.

    Args:
        run: the run directory.
        pending: what the process was to measure, in its order.
        found: how it ended.
        launch: its own directory, with its logs.
    """
    begun = [planned for planned in pending if is_begun(run, planned)]
    if not begun:
        return [_failed_to_begin(run, planned, found, launch) for planned in pending], []
    settled = _up_to_a_failure([_ended(run, planned, found) for planned in begun])
    if found.outcome() != "ok" and all(each.found.outcome() == "ok" for each in settled):
        last = settled[-1].planned
        settled[-1] = Settled(last, _with_own_logs(found, run.invocation(last.id)))
    over = {each.planned.id for each in settled}
    return settled, [planned for planned in pending if planned.id not in over]


def recover(
    run: RunDirectory, pending: Sequence[PlannedInvocation], launch: Path
) -> dict[str, Exit]:
    """Say how invocations ended whose process was over with them before reprokit was killed.

    Those that it was not over with are not in the answer: they have to be made again.

    Args:
        run: the run directory.
        pending: what the process was to measure, in its order.
        launch: its own directory.
    """
    ended = read_exit(launch)
    if ended is not None:
        settled, _ = settle(run, pending, ended, launch)
        return {each.planned.id: each.found for each in settled}
    over = ((planned.id, _over_with(run, planned)) for planned in pending)
    return {name: found for name, found in over if found is not None}


def is_begun(run: RunDirectory, planned: PlannedInvocation) -> bool:
    """Tell whether a process began with an invocation."""
    folder = run.invocation(planned.id)
    return not folder.is_symlink() and os.path.lexists(folder / STDOUT)


def read_done(folder: Path) -> Done | None:
    """Read what a process says of an invocation that it is over with; None where it says nothing.

    Anything that is no done.json says nothing.
    """
    try:
        return Done.model_validate_json(read_evidence(folder / DONE, limit=_LARGEST))
    except (OSError, ValidationError):
        return None


def _over_with(run: RunDirectory, planned: PlannedInvocation) -> Exit | None:
    folder = run.invocation(planned.id)
    done = read_done(folder)
    if done is None or not is_begun(run, planned):
        return None
    ended_s = (folder / DONE).lstat().st_mtime
    return Exit.unwatched(folder, wall_s=done.wall_s, ended_s=ended_s, returncode=done.returncode)


def _up_to_a_failure(ended: list[Settled]) -> list[Settled]:
    for index, each in enumerate(ended):
        if each.found.outcome() != "ok":
            return ended[: index + 1]
    return ended


def _ended(run: RunDirectory, planned: PlannedInvocation, found: Exit) -> Settled:
    folder = run.invocation(planned.id)
    done = read_done(folder)
    if done is None:
        return Settled(planned, _with_own_logs(found, folder))
    facts = {
        "returncode": done.returncode, "signal": None, "stopped_by": None, "leftovers": 0,
        "unkillable": 0, "wall_s": min(done.wall_s, found.wall_s), **_log_sizes(folder),
    }  # fmt: skip
    return Settled(planned, found.model_copy(update=facts))


def _failed_to_begin(
    run: RunDirectory, planned: PlannedInvocation, found: Exit, launch: Path
) -> Settled:
    """Give an invocation the end and the logs of the process that never came to it."""
    folder = run.invocation(planned.id)
    for name in (STDOUT, STDERR):
        source = launch / name
        if source.is_file() and not source.is_symlink():
            shutil.copyfile(source, folder / name)
        else:
            (folder / name).touch()
    return Settled(planned, _with_own_logs(found, folder))


def _with_own_logs(found: Exit, folder: Path) -> Exit:
    return found.model_copy(update=_log_sizes(folder))


def _log_sizes(folder: Path) -> dict[str, int]:
    return {"stdout_bytes": log_size(folder / STDOUT), "stderr_bytes": log_size(folder / STDERR)}
