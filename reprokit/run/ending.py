"""What the end of a process means for the iterations that it did not report."""

from __future__ import annotations

from dataclasses import dataclass

from reprokit.process.launch import Exit
from reprokit.records import RowStatus

_UNWATCHED = {
    "supervisor_died": "supervisor_killed: the process that watches the benchmark was killed, "
    "likely by the benchmark itself",
    "supervisor_stalled": "supervisor_stopped: the process that watches the benchmark stood still "
    "beyond the timeout, likely stopped by the benchmark itself",
}


@dataclass(frozen=True)
class Finding:
    """A status with its reason."""

    status: RowStatus
    reason: str


def bad_end(found: Exit, *, timeout_s: float, out_of_memory: bool) -> Finding | None:
    """Say what a process ended badly of; None when it exited with code 0.

    `out_of_memory` is what its log says: a process that dies of it may do so by an exception, by a
    signal or by an exit code.
    """
    if found.spawn_error is not None:
        reason = f"spawn_failed: the command could not be started: {found.spawn_error}"
        return Finding(RowStatus.ENVIRONMENT_FAILED, reason)
    if found.stopped_by is not None:
        return _stopped(found, timeout_s)
    if found.returncode == 0:
        return None
    if out_of_memory:
        return Finding(RowStatus.OOM, f"out_of_memory: {_how(found)}")
    return _died(found)


def _stopped(found: Exit, timeout_s: float) -> Finding:
    if found.timed_out:
        return Finding(RowStatus.TIMEOUT, f"timeout: no end after {timeout_s:g} s")
    if found.stopped_by in _UNWATCHED:
        return Finding(RowStatus.KILLED, _UNWATCHED[found.stopped_by])
    size = found.stdout_bytes + found.stderr_bytes
    reason = f"log_limit: {size} bytes of output, stopped before the disk was full"
    return Finding(RowStatus.KILLED, reason)


def _died(found: Exit) -> Finding:
    if found.signal == "SIGKILL":
        reason = "SIGKILL, not sent by reprokit: likely the host's out-of-memory killer"
        return Finding(RowStatus.KILLED, reason)
    if found.signal is not None:
        return Finding(RowStatus.KILLED, _how(found))
    return Finding(RowStatus.CRASH, _how(found))


def _how(found: Exit) -> str:
    if found.signal is not None:
        return f"died by {found.signal}"
    return f"exited with code {found.returncode}"
