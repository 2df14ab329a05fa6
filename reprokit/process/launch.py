"""Run one benchmark under its supervisor, and end what a killed run left behind.

The supervisor (`supervisor.py`) is a process of its own because whoever watches a benchmark must
outlive a killed reprokit for as long as it takes to kill the benchmark too.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import psutil
from pydantic import Field, ValidationError

from reprokit.errors import DamagedRunError, RunError
from reprokit.process import supervisor as script
from reprokit.records import Record

STDOUT, STDERR, EXIT = "stdout.log", "stderr.log", "exit.json"
LEASE = "supervisor.json"
"""Says which supervisor writes in a directory; only there while it does."""

TOKEN = "REPROKIT_INVOCATION"  # noqa: S105 - the name of a variable
"""Variable of the benchmark with which its processes are found again, wherever they went."""

STALE_S = script.KILL_S + 5.0
_CLOCK_SLACK_S = 5.0


class ProcessSpec(Record):
    """One process to run, without a shell.

    Attributes:
        env: the whole environment; nothing is inherited.
        directory: where stdout.log, stderr.log and exit.json go; exists already.
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
    grace_s: Annotated[float, Field(ge=0)] = 5.0
    log_limit_bytes: int = 4 * 1024**3
    min_free_bytes: int = 16 * 1024**2


class Exit(Record):
    """How an invocation ended: what `exit.json` holds. Durations in s, sizes in bytes.

    Attributes:
        returncode: exit code, None for an end by signal or where there was no process.
        signal: name of the signal that ended it ("SIGSEGV").
        stopped_by: why the supervisor stopped it; None when it ended by itself.
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
    stopped_by: Literal["timeout", "log_limit"] | None
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

    def outcome(self) -> str:
        """Say in a word or two how it ended: "ok", "timeout", "SIGSEGV", "exit 1"."""
        if self.spawn_error is not None:
            return "not started"
        if self.stopped_by is not None:
            return self.stopped_by.replace("_", " ")
        if self.signal is not None:
            return self.signal
        return "ok" if self.returncode == 0 else f"exit {self.returncode}"


class _Lease(Record):
    pid: int
    created: float
    boot: str
    token: str


def supervise(spec: ProcessSpec) -> Exit:
    """Run a process to its end and return how it ended; nothing of it is left afterwards.

    On Ctrl-C the whole tree is killed before `KeyboardInterrupt` is raised, and there is no
    exit.json then.

    Raises:
        RunError: no exit.json could be written (disk full, supervisor killed).
    """
    directory = Path(spec.directory)
    token = secrets.token_hex(8)  # of constant length: the size of the environment matters to time
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", script.__file__],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        cwd="/", start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        # Before the spec is sent nothing runs yet, so no process is ever without its lease.
        _write_lease(directory, process.pid, token)
        order = spec.model_copy(update={"env": {**spec.env, TOKEN: token}})
        _send(process, order)
        complaint = process.stderr.read().decode(errors="replace").strip()
    finally:
        # The end of this pipe is the order to kill everything; a no-op when it has ended already.
        process.stdin.close()
        process.wait()
        process.stderr.close()
    if process.returncode != 0:
        raise _no_exit(directory, process.returncode, complaint)
    (directory / LEASE).unlink()
    found = read_exit(directory)
    if found is None:
        raise RunError(f"{directory}: the supervisor ended well and there is no {EXIT}")
    return found


def _send(process: subprocess.Popen[bytes], spec: ProcessSpec) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(spec.model_dump_json().encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return  # it has died; its exit code says more than this


def _write_lease(directory: Path, pid: int, token: str) -> None:
    lease = _Lease(pid=pid, created=psutil.Process(pid).create_time(), boot=_boot(), token=token)
    (directory / LEASE).write_text(lease.model_dump_json() + "\n", encoding="utf-8")


def _no_exit(directory: Path, code: int, complaint: str) -> RunError:
    """Say why there is no exit.json, after killing what the supervisor may have left."""
    end_stale(directory)
    if code == script.DISK_FULL:
        return RunError(
            f"the disk that holds {directory} is full" + (f" ({complaint})" if complaint else ""),
            hint="Free some space and resume the run; the invocation will be made again.",
        )
    if code == script.CANNOT_WRITE:
        return RunError(f"cannot write in {directory}: {complaint}")
    if code == script.STOPPED:
        return RunError(
            f"{directory}: stopped from outside, by a signal to the supervisor",
            hint="Resume the run; the invocation will be made again.",
        )
    end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return RunError(
        f"the supervisor of {directory} ended with {end} and wrote no {EXIT}"
        + (f": {complaint}" if complaint else ""),
        hint="Resume the run; the invocation will be made again.",
    )


def read_exit(directory: Path) -> Exit | None:
    """Read how the invocation in a directory ended; None when it has not finished.

    Raises:
        DamagedRunError: exit.json is there and is not what a supervisor writes.
    """
    path = directory / EXIT
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Exit.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DamagedRunError(f"{path}: {where}: {first['msg']}") from error


def end_stale(directory: Path) -> None:
    """End the supervisor and every process that a killed run left behind for a directory.

    Does nothing when the machine was started anew since, or when it is another machine: then the
    process ids mean nothing here.
    """
    try:
        lease = _Lease.model_validate_json((directory / LEASE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return  # killed before the lease was whole: then nothing had been started
    if lease.boot != _boot():
        return
    holder = _holder(lease)
    if holder is not None:
        _end(holder)
    _kill_marked(f"{TOKEN}={lease.token}")


def _holder(lease: _Lease) -> psutil.Process | None:
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
        holder.wait(timeout=STALE_S)
    except psutil.TimeoutExpired:
        holder.kill()
        holder.wait(timeout=STALE_S)
    except psutil.NoSuchProcess:
        return


def _kill_marked(mark: str) -> None:
    """Kill every process that carries the mark in its environment, and those it starts meanwhile.

    Raises:
        RunError: some of them survive SIGKILL.
    """
    name, _, value = mark.partition("=")
    for _ in range(20):
        marked = [found for found in psutil.process_iter() if _carries(found, name, value)]
        if not marked:
            return
        for found in marked:
            try:
                found.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(marked, timeout=0.5)
    ids = ", ".join(str(found.pid) for found in marked)
    raise RunError(
        f"processes of an earlier, killed run cannot be killed: {ids}",
        hint="They would disturb the measurement. A driver may hold them; restart the machine.",
    )


def _carries(process: psutil.Process, name: str, value: str) -> bool:
    try:
        return bool(process.environ().get(name) == value)
    except (psutil.Error, OSError):
        return False  # not ours to look at, so not one that we started


def _boot() -> str:
    """Identify this machine since its last start."""
    return script.boot_id() or str(psutil.boot_time())
