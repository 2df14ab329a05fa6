"""Who writes in the directory of an invocation, and ending what a killed run left there.

A lease lies in the directory only while its supervisor lives.
"""

from __future__ import annotations

import secrets
import signal
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import ValidationError

from reprokit.evidence import read_evidence
from reprokit.process import supervisor as script
from reprokit.process.orphans import cannot_kill
from reprokit.records import Record

LEASE = "supervisor.json"
TOKEN = "REPROKIT_INVOCATION"  # noqa: S105 - the name of a variable
"""Variable of the benchmark with which its processes are found again, wherever they went."""

STALE_S = script.KILL_S + 5.0
"""Time that a supervisor is given to kill its tree."""

_CLOCK_SLACK_S = 5.0
_LARGEST = 1 << 16


class Lease(Record):
    """A supervisor by process id, start time and boot; `token` marks the processes below it."""

    pid: int
    created: float
    boot: str
    token: str

    @classmethod
    def of(cls, pid: int) -> Lease:
        """Make the lease of a supervisor that was just started."""
        # The token has a constant length: the size of the environment matters to time.
        created = psutil.Process(pid).create_time()
        return cls(pid=pid, created=created, boot=_boot(), token=secrets.token_hex(8))

    def write(self, directory: Path) -> None:
        """Leave it in the directory."""
        (directory / LEASE).write_text(self.model_dump_json() + "\n", encoding="utf-8")

    def remove(self, directory: Path) -> None:
        """Take it away; a benchmark may have done so, or have put something else there."""
        with suppress(OSError):
            (directory / LEASE).unlink()

    def end_marked(self) -> None:
        """Kill every process that bears the token, and those it starts meanwhile.

        Raises:
            RunError: some of them survive SIGKILL.
        """
        for _ in range(20):
            marked = [found for found in psutil.process_iter() if _carries(found, self.token)]
            if not marked:
                return
            for found in marked:
                with suppress(psutil.NoSuchProcess):
                    found.kill()
            psutil.wait_procs(marked, timeout=0.5)
        raise cannot_kill(marked)


def end_stale(directory: Path) -> None:
    """End the supervisor and every process that a killed run left behind for a directory.

    Does nothing when the machine was started anew since, or when it is another machine: then the
    process ids mean nothing here.

    Raises:
        RunError: some of them survive SIGKILL.
    """
    try:
        lease = Lease.model_validate_json(read_evidence(directory / LEASE, limit=_LARGEST))
    except (OSError, ValidationError):
        return  # killed before the lease was whole: then nothing had been started
    if lease.boot != _boot():
        return
    holder = _holder(lease)
    if holder is not None:
        _end(holder)
    lease.end_marked()


def _holder(lease: Lease) -> psutil.Process | None:
    """Return the supervisor that holds a lease, None when its pid is free or somebody else's."""
    try:
        process = psutil.Process(lease.pid)
        same = abs(process.create_time() - lease.created) < _CLOCK_SLACK_S
        return process if same and script.__file__ in process.cmdline() else None
    except psutil.Error:
        return None


def _end(holder: psutil.Process) -> None:
    """Let a supervisor kill its tree, which only it can find whole; then insist."""
    try:
        holder.terminate()
        holder.send_signal(signal.SIGCONT)  # a benchmark may have stopped it
        holder.wait(timeout=STALE_S)
    except psutil.TimeoutExpired:
        holder.kill()
        holder.wait(timeout=STALE_S)
    except psutil.NoSuchProcess:
        return


def _carries(process: psutil.Process, token: str) -> bool:
    try:
        return bool(process.environ().get(TOKEN) == token)
    except (psutil.Error, OSError):
        return False  # not ours to look at, so not one that we started


def _boot() -> str:
    """Identify this machine since its last start."""
    return script.boot_id() or str(psutil.boot_time())
