"""Run one benchmark under its supervisor.

The supervisor (`supervisor.py`) is a process of its own because whoever watches a benchmark must
outlive a killed reprokit for as long as it takes to kill the benchmark too. It is no protection
against the benchmark itself, which may stop or kill it; that ends as a result like any other.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from reprokit.errors import DamagedRunError, RunError
from reprokit.evidence import NotAFileError, read_evidence
from reprokit.process import supervisor as script
from reprokit.process.lease import STALE_S, TOKEN, Lease
from reprokit.process.orphans import adopting
from reprokit.records import Record

STDOUT, STDERR, EXIT = "stdout.log", "stderr.log", "exit.json"

OVERDUE_S = script.LINGER_S + script.KILL_S + 60.0
"""Time after timeout and grace in which a supervisor kills, and writes slow logs to the disk."""

_LARGEST_EXIT = 1 << 16
_LONGEST_SLEEP_S = 86_400.0

_Unwatched = Literal["supervisor_died", "supervisor_stalled"]


class ProcessSpec(Record):
    """One process to run, without a shell.

    Attributes:
        env: the whole environment; nothing is inherited.
        directory: where stdout.log, stderr.log and exit.json go; exists already.
        stages: directories of the invocations that one process measures one after the other; the
            timeout begins anew when stdout.log appears in the next of them.
        grace_s: time between SIGTERM and SIGKILL when `timeout_s` is over.
        log_limit_bytes: both streams together; more than that is a runaway, which is stopped
            before it fills the disk.
        min_free_bytes: with less free space than that nothing measured is to be trusted to have
            been written.
    """

    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    cwd: str
    env: dict[str, str]
    directory: str
    timeout_s: Annotated[float, Field(gt=0)]
    stages: tuple[str, ...] = ()
    grace_s: Annotated[float, Field(ge=0)] = 5.0
    log_limit_bytes: int = 4 * 1024**3
    min_free_bytes: int = 16 * 1024**2

    @property
    def longest_s(self) -> float:
        """Time after which a supervisor that has said nothing is taken to stand still."""
        return self.timeout_s * (1 + len(self.stages)) + self.grace_s + OVERDUE_S


class Exit(Record):
    """How an invocation ended: what `exit.json` holds. Durations in s, sizes in bytes.

    Attributes:
        returncode: exit code, None for an end by signal or where there was no process.
        signal: name of the signal that ended it ("SIGSEGV").
        stopped_by: why it was stopped; None when it ended by itself. `supervisor_died` and
            `supervisor_stalled` are reprokit's own words about a supervisor that said nothing.
            What only that could know is null or 0 then (`unwatched`).
        spawn_error: the system's words when the command could not be started.
        wall_s: from just before the start to the end of the process itself.
        leftovers: processes of it that outlived it and had to be killed.
        unkillable: processes that survived SIGKILL, stuck in the kernel.
        started: UTC, ISO 8601.
        monotonic_start_s: the same moment on the monotonic clock of the boot `boot_id`.
    """

    schema_: Annotated[Literal["reprokit/exit/v1"], Field(alias="schema")]
    returncode: int | None
    signal: str | None
    stopped_by: Literal["timeout", "log_limit"] | _Unwatched | None
    spawn_error: str | None
    wall_s: float
    user_s: float
    system_s: float
    max_rss_bytes: int
    leftovers: int
    unkillable: int
    started: str
    monotonic_start_s: float
    boot_id: str | None
    stdout_bytes: int
    stderr_bytes: int

    @property
    def timed_out(self) -> bool:
        """Whether the wall timeout ended it."""
        return self.stopped_by == "timeout"

    @classmethod
    def unwatched(
        cls, directory: Path, *, wall_s: float, ended_s: float, **known: JsonValue
    ) -> Exit:
        """Say how an invocation ended whose supervisor did not come to say it.

        Args:
            directory: where its logs are.
            wall_s: time that it took.
            ended_s: when it ended, in s since 1970.
            known: what is known beside; the rest is null or 0.
        """
        facts = {
            "schema": script.EXIT_SCHEMA, "returncode": None, "signal": None, "stopped_by": None,
            "spawn_error": None, "wall_s": wall_s, "user_s": 0.0, "system_s": 0.0,
            "max_rss_bytes": 0, "leftovers": 0, "unkillable": 0,
            "started": _utc(ended_s - wall_s), "monotonic_start_s": 0.0, "boot_id": None,
            "stdout_bytes": script.log_size(directory / STDOUT),
            "stderr_bytes": script.log_size(directory / STDERR),
        }  # fmt: skip
        return cls.model_validate({**facts, **known})

    def outcome(self) -> str:
        """Say in a word or two how it ended: "ok", "timeout", "SIGSEGV", "exit 1"."""
        if self.spawn_error is not None:
            return "not started"
        if self.stopped_by is not None:
            return self.stopped_by.replace("_", " ")
        if self.signal is not None:
            return self.signal
        return "ok" if self.returncode == 0 else f"exit {self.returncode}"


def supervise(spec: ProcessSpec) -> Exit:
    """Run a process to its end and return how it ended; nothing of it is left afterwards.

    The supervisor has written the same to exit.json, unless the benchmark prevented that by what
    it did to its supervisor or its directory. On Ctrl-C the whole tree is killed before
    `KeyboardInterrupt` is raised, and there is no exit.json then.

    Raises:
        RunError: the machine is at fault: disk full, directory not writable, processes that
            cannot be killed.
        OSError: the directory cannot be written.
    """
    directory = Path(spec.directory)
    begun = time.monotonic()
    with adopting() as orphans:
        process = _start()
        lease = Lease.of(process.pid)
        in_time = True
        try:
            # Before the spec is sent nothing runs yet, so no process is ever without its lease.
            lease.write(directory)
            _send(process, spec.model_copy(update={"env": {**spec.env, TOKEN: lease.token}}))
            in_time = _ended(process, spec.longest_s)
        finally:
            said, complaint = _stop(process)
            if process.returncode != 0:
                lease.end_marked()
            left = orphans.end()
    lease.remove(directory)
    if not in_time:
        return _unwatched(directory, "supervisor_stalled", begun, left)
    code = process.returncode
    if code in {0, script.CANNOT_WRITE} and (found := _facts(said)) is not None:
        return found
    if code < 0 or code in {0, script.STOPPED}:
        return _unwatched(directory, "supervisor_died", begun, left)
    raise _fault(directory, code, complaint)


def _unwatched(directory: Path, why: _Unwatched, begun: float, leftovers: int) -> Exit:
    """Say how an invocation ended whose supervisor stood still or died."""
    return Exit.unwatched(
        directory, wall_s=time.monotonic() - begun, ended_s=time.time(), stopped_by=why,
        leftovers=leftovers, monotonic_start_s=begun, boot_id=script.boot_id(),
    )  # fmt: skip


def _utc(seconds: float) -> str:
    """Write a moment; 1970 for one that no calendar has: a file may bear any time."""
    with suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return _utc(0.0)


def _start() -> subprocess.Popen[bytes]:
    """Start a supervisor that waits for its spec."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", script.__file__],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        cwd="/", start_new_session=True,
    )  # fmt: skip


def _send(process: subprocess.Popen[bytes], spec: ProcessSpec) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died; its exit code says more than this
        process.stdin.write(spec.model_dump_json().encode() + b"\n")
        process.stdin.flush()


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Sleep until a process has ended, or for so long; tell whether it has."""
    try:
        # Popen.wait looks again and again while it waits, which would disturb the measurement.
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # no Linux, or an old one
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=seconds)
        return process.poll() is not None
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        deadline = time.monotonic() + seconds
        while process.poll() is None and (left := deadline - time.monotonic()) > 0:
            poll.poll(min(left, _LONGEST_SLEEP_S) * 1000)
        return process.poll() is not None
    finally:
        os.close(handle)


def _stop(process: subprocess.Popen[bytes]) -> tuple[bytes, str]:
    """Have the supervisor kill everything and end, or kill it; return what it said.

    Does nothing to one that has ended already.

    Raises:
        RunError: it survives SIGKILL.
    """
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()  # the order to kill everything
    process.send_signal(signal.SIGCONT)  # a benchmark may have stopped it
    if not _ended(process, STALE_S):
        process.kill()
        if not _ended(process, STALE_S):
            raise RunError(f"the supervisor {process.pid} survives SIGKILL")
    return _drain(process.stdout), _drain(process.stderr).decode(errors="replace").strip()


def _drain(stream: IO[bytes] | None) -> bytes:
    """Read what lies in a pipe and close it; whoever else may hold it open is not waited for."""
    assert stream is not None
    with stream:
        os.set_blocking(stream.fileno(), False)
        try:
            return os.read(stream.fileno(), _LARGEST_EXIT)
        except BlockingIOError:
            return b""


def _facts(said: bytes) -> Exit | None:
    """Read the last line that a supervisor said; None when it is no result."""
    try:
        return Exit.model_validate_json(said.rstrip().rpartition(b"\n")[2])
    except ValidationError:
        return None


def _fault(directory: Path, code: int, complaint: str) -> RunError:
    """Say why a supervisor gave up."""
    again = "Resume the run; the invocation will be made again."
    because = f": {complaint}" if complaint else ""
    if code == script.DISK_FULL:
        what = f"the disk that holds {directory} is full{because}"
        return RunError(what, hint=f"Free some space. {again}")
    if code == script.CANNOT_WRITE:
        return RunError(f"cannot write in {directory}{because}")
    what = f"the supervisor of {directory} ended with exit code {code} and no result{because}"
    return RunError(what, hint=again)


def read_exit(directory: Path) -> Exit | None:
    """Read how the invocation in a directory ended; None when it has not finished.

    Raises:
        DamagedRunError: exit.json is there and is not what a supervisor writes.
    """
    path = directory / EXIT
    try:
        return Exit.model_validate_json(read_evidence(path, limit=_LARGEST_EXIT))
    except (FileNotFoundError, NotADirectoryError, NotAFileError):
        return None  # a supervisor writes files; a link or a directory is the benchmark's
    except OSError as error:
        raise DamagedRunError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DamagedRunError(f"{path}: {where}: {first['msg']}") from error
