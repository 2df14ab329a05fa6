"""Run one benchmark process and leave nothing of it behind.

A script of its own, standard library only, started by `launch.py` once per invocation as the
leader of a new session. Its standard input is a control pipe: one line of JSON (the
`ProcessSpec`), then silence. End of file there means that reprokit is gone or wants to stop.

What it promises:

* stdout and stderr of the benchmark go straight to files; nothing is pumped through memory;
* it sleeps in `poll` beside the measurement and wakes once a second to look at log sizes;
* after the end of the benchmark every descendant is gone, also those that left its process group
  or session: on Linux this process is their subreaper, so orphans come to it. Elsewhere only the
  process group can be killed;
* `exit.json` is written last and atomically, so that its presence means a finished invocation;
  standard output says the same. When it was stopped from outside there is neither.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

EXIT_SCHEMA = "reprokit/exit/v1"
STOPPED, DISK_FULL, CANNOT_WRITE = 10, 11, 12
"""Exit codes of this script when it wrote no exit.json; 0 when it did."""

TICK_S = 1.0
LINGER_S = 0.5
"""Time for helpers of an ended benchmark (compile workers) to notice and leave by themselves."""
KILL_S = 10.0
"""Time after which a process that survives SIGKILL (stuck in a driver) is given up."""

Prctl = Callable[..., int]
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class _Wake:
    """Signals as bytes in a pipe, so that one `poll` waits for children, orders and deadlines."""

    def __init__(self) -> None:
        self.stop = False
        self._read, write = os.pipe()
        for end in (self._read, write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._order)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    def _order(self, *_: object) -> None:
        self.stop = True

    def listen_to_parent(self) -> None:
        self._poll.register(0, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Sleep until a signal, the end of the parent, or so many seconds."""
        for end, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if end == self._read:
                os.read(self._read, 4096)
            elif not os.read(0, 4096):
                self.stop = True
                self._poll.unregister(0)


class _Benchmark:
    """The process, what became of it, and every process that came from it."""

    def __init__(self, process: subprocess.Popen[bytes] | None, *, subreaper: bool) -> None:
        # Kept only so that its finaliser does not reap the child behind our back.
        self._process = process
        self.pid = process.pid if process else 0
        self.status: int | None = None
        self.usage: Any = None
        self.ended: float | None = None
        self.childless = False
        self._subreaper = subreaper

    def reap(self) -> None:
        """Collect every child that has ended, adopted ones too."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                self.childless = False
                return
            if pid == self.pid:
                self.status, self.usage, self.ended = status, usage, time.monotonic()

    def terminate(self) -> None:
        """Ask the whole group to end."""
        _signal_group(self.pid, signal.SIGTERM)

    def kill_everything(self, wake: _Wake, *, linger_s: float) -> tuple[int, int]:
        """Kill what is left; return how many had to be killed and how many would not die.

        The benchmark itself is not counted among those that had to be killed.
        """
        self._wait_childless(wake, linger_s)
        killed: set[int] = set()
        deadline = time.monotonic() + KILL_S
        while time.monotonic() < deadline:
            if not self._subreaper:
                _signal_group(self.pid, signal.SIGKILL)
            alive = _descendants() if self._subreaper else []
            for pid in alive:
                _signal(pid, signal.SIGKILL)
            killed.update(alive)
            self.reap()
            if self.childless:
                break
            wake.wait(0.02)
        stuck = [] if self.childless else _descendants()
        return len(killed - {self.pid}), len(stuck)

    def _wait_childless(self, wake: _Wake, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        self.reap()
        while not self.childless and not wake.stop and time.monotonic() < deadline:
            wake.wait(deadline - time.monotonic())
            self.reap()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _descendants() -> list[int]:
    """Return the living descendants of this process, zombies left out; [] without /proc."""
    children: dict[int, list[int]] = {}
    zombies: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may itself hold spaces and parentheses.
            state, parent = entry.read_bytes().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        pid = int(entry.parent.name)
        children.setdefault(int(parent), []).append(pid)
        if state in b"ZX":
            zombies.add(pid)
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return [pid for pid in found if pid not in zombies]


def load_prctl() -> Prctl | None:
    """Return the C library's prctl, None where there is none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        import ctypes  # noqa: PLC0415 - an interpreter built without libffi has none
    except ImportError:
        return None
    return cast("Prctl | None", getattr(ctypes.CDLL(None), "prctl", None))


def _start(
    spec: dict[str, Any], logs: tuple[int, int], prctl: Prctl | None
) -> subprocess.Popen[bytes]:
    """Start the benchmark in its own process group."""
    supervisor = os.getpid()

    def die_with_supervisor() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(1)

    return subprocess.Popen(
        spec["argv"], cwd=spec["cwd"], env=spec["env"],
        stdin=subprocess.DEVNULL, stdout=logs[0], stderr=logs[1],
        process_group=0,
        preexec_fn=die_with_supervisor,  # noqa: PLW1509 - this process has one thread
    )  # fmt: skip


def _watch(
    benchmark: _Benchmark, wake: _Wake, spec: dict[str, Any], logs: tuple[int, int], begun: float
) -> str | None:
    """Wait for the end; return what has to be stopped for, None when it ended by itself."""
    deadline = begun + spec["timeout_s"]
    stages = _Stages(spec["stages"])
    while True:
        benchmark.reap()
        if wake.stop:
            return "parent"
        if benchmark.ended is not None:
            return None
        if stages.reached_another():
            deadline = time.monotonic() + spec["timeout_s"]
        if time.monotonic() >= deadline:
            return "timeout"
        written = sum(os.fstat(log).st_size for log in logs) + stages.log_bytes()
        if written > spec["log_limit_bytes"]:
            return "log_limit"
        if _disk_is_full(spec, logs):
            return "disk"
        wake.wait(min(TICK_S, deadline - time.monotonic()))


class _Stages:
    """Directories that a process comes to one after the other; its streams go there meanwhile."""

    def __init__(self, directories: list[str]) -> None:
        self._directories = directories
        self._reached = 0

    def reached_another(self) -> bool:
        """Tell whether it has begun with more of them since this was asked last."""
        before = self._reached
        for place in range(before, len(self._directories)):
            if os.path.lexists(Path(self._directories[place]) / "stdout.log"):
                self._reached = place + 1
        return self._reached > before

    def log_bytes(self) -> int:
        """Return the size of the logs of all that were reached."""
        return sum(
            log_size(Path(directory) / name)
            for directory in self._directories[: self._reached]
            for name in ("stdout.log", "stderr.log")
        )


def log_size(log: Path) -> int:
    """Return the size of a log in bytes, 0 where there is none."""
    try:
        return log.lstat().st_size
    except OSError:
        return 0


def _disk_is_full(spec: dict[str, Any], logs: tuple[int, int]) -> bool:
    # Asked of an open file: a benchmark may have removed the directory.
    disk = os.fstatvfs(logs[0])
    return bool(disk.f_bavail * disk.f_frsize < spec["min_free_bytes"])


def _grace(benchmark: _Benchmark, wake: _Wake, seconds: float) -> None:
    """Ask the group to end and give the benchmark so long to do it."""
    benchmark.terminate()
    deadline = time.monotonic() + seconds
    while benchmark.ended is None and not wake.stop and time.monotonic() < deadline:
        wake.wait(deadline - time.monotonic())
        benchmark.reap()


def boot_id() -> str | None:
    """Identify this start of this machine, where the system can."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _outcome(benchmark: _Benchmark, begun: float) -> dict[str, Any]:
    """Return how it ended and what it used; `returncode` is null for an end by signal."""
    ended = benchmark.ended if benchmark.ended is not None else time.monotonic()
    facts: dict[str, Any] = {"returncode": None, "signal": None, "wall_s": ended - begun}
    if benchmark.status is not None:
        code = os.waitstatus_to_exitcode(benchmark.status)
        if code < 0:
            facts["signal"] = _signal_name(-code)
        else:
            facts["returncode"] = code
    used = benchmark.usage
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): kilobytes but on macOS
    facts["user_s"] = used.ru_utime if used else 0.0
    facts["system_s"] = used.ru_stime if used else 0.0
    facts["max_rss_bytes"] = used.ru_maxrss * unit if used else 0
    return facts


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


def _write_exit(spec: dict[str, Any], logs: tuple[int, int], facts: dict[str, Any]) -> None:
    """Make the logs durable, tell reprokit the facts, then write exit.json by renaming.

    reprokit is told first: it also has to know them where the benchmark left no directory.
    """
    for log in logs:
        os.fsync(log)
    facts["stdout_bytes"], facts["stderr_bytes"] = (os.fstat(log).st_size for log in logs)
    with suppress(BrokenPipeError):  # reprokit is gone, and will find exit.json
        os.write(1, f"\n{json.dumps(facts)}\n".encode())
    directory = Path(spec["directory"])
    temporary = directory / ".exit.json.tmp"
    temporary.unlink(missing_ok=True)  # a pipe of that name, left by the benchmark, would block
    with temporary.open("x") as file:
        json.dump(facts, file, indent=1, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / "exit.json")
    folder = os.open(directory, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _supervise(spec: dict[str, Any], wake: _Wake, logs: tuple[int, int]) -> int:
    prctl = load_prctl()
    subreaper = prctl is not None and prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    begun = time.monotonic()
    facts: dict[str, Any] = {
        "schema": EXIT_SCHEMA, "spawn_error": None, "stopped_by": None,
        "leftovers": 0, "unkillable": 0,
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "monotonic_start_s": begun, "boot_id": boot_id(),
    }  # fmt: skip
    try:
        benchmark = _Benchmark(_start(spec, logs, prctl), subreaper=subreaper)
    except (OSError, ValueError) as error:
        facts["spawn_error"] = str(error)
        _write_exit(spec, logs, {**_outcome(_Benchmark(None, subreaper=False), begun), **facts})
        return 0
    why = _watch(benchmark, wake, spec, logs, begun)
    if why in {"timeout", "log_limit"}:
        facts["stopped_by"] = why
        _grace(benchmark, wake, spec["grace_s"])
    linger_s = LINGER_S if why is None else 0.0
    facts["leftovers"], facts["unkillable"] = benchmark.kill_everything(wake, linger_s=linger_s)
    if wake.stop:
        return STOPPED
    if why == "disk" or _disk_is_full(spec, logs):
        return DISK_FULL
    _write_exit(spec, logs, {**facts, **_outcome(benchmark, begun)})
    return 0


def main() -> int:
    """Read the spec, run it, say by the exit code whether exit.json was written."""
    wake = _Wake()
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return STOPPED
    spec = json.loads(line)
    wake.listen_to_parent()
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC
        names = ("stdout.log", "stderr.log")
        out, err = (os.open(Path(spec["directory"]) / name, flags, 0o644) for name in names)
        return _supervise(spec, wake, (out, err))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return DISK_FULL if full else CANNOT_WRITE


if __name__ == "__main__":
    sys.exit(main())
