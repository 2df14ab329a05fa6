"""Short-lived helper tools (uv, git, probes): run to the end, or killed whole at the time limit."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reprokit.errors import ReprokitError

DEFAULT_MAX_OUTPUT = 8 * 1024 * 1024

_running: set[int] = set()
_running_guard = threading.Lock()


@dataclass(frozen=True)
class ToolResult:
    """How a tool ended.

    Attributes:
        returncode: exit code; negative is the signal that ended it.
        stdout: the last `max_output` bytes of its standard output, undecodable bytes replaced.
        stderr: the same of its standard error.
        timed_out: True when it ran past its limit and was killed.
    """

    returncode: int
    stdout: str
    stderr: str
    timed_out: bool

    @property
    def ok(self) -> bool:
        """True when the tool itself ended with exit code 0."""
        return self.returncode == 0 and not self.timed_out


def run_tool(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float,
    log: Path | None = None,
    max_output: int = DEFAULT_MAX_OUTPUT,
) -> ToolResult:
    """Run a tool in a session of its own, without a terminal and without standard input.

    Its output goes to files, so that neither a full pipe nor a grandchild that keeps one open can
    block; whatever is left of its process group when it ends is killed.

    Args:
        argv: the program and its arguments; no shell is involved.
        cwd: directory to start in; the caller's own when left out.
        env: the whole environment of the tool; nothing is inherited.
        timeout_s: wall-clock limit in seconds, after which the whole process group is killed.
        log: file to append the command and both streams to, whole.
        max_output: bytes of each stream handed back, counted from its end.

    Raises:
        ReprokitError: the tool cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        returncode, timed_out = _run(argv, env, cwd, timeout_s, stdout, stderr)
        if log is not None:
            _write_log(log, argv, (stdout, stderr), returncode, timed_out=timed_out)
        return ToolResult(
            returncode, _tail(stdout, max_output), _tail(stderr, max_output), timed_out
        )


def _run(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: Path | None,
    timeout_s: float,
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> tuple[int, bool]:
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise ReprokitError(
            f"cannot start {argv[0]}: {error.strerror or error}",
            hint="Check that it is installed, on the PATH and executable.",
        ) from error
    with _running_guard:
        _running.add(process.pid)
    timed_out = False
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        # Also on Ctrl-C: the tool has a session of its own, so the terminal does not reach it.
        _kill_group(process.pid)
        returncode = process.wait()
        with _running_guard:
            _running.discard(process.pid)
    return returncode, timed_out


def kill_running_tools() -> None:
    """Kill every tool that other threads are waiting for: their `run_tool` returns at once.

    For Ctrl-C, which reaches only the main thread and none of the tools.
    """
    with _running_guard:
        for group in _running:
            _kill_group(group)


def _kill_group(group: int) -> None:
    # PermissionError: macOS says so of a group whose members have all ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _tail(stream: IO[bytes], limit: int) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - limit))
    return stream.read(limit).decode("utf-8", errors="replace")


def _write_log(
    log: Path,
    argv: Sequence[str],
    streams: tuple[IO[bytes], IO[bytes]],
    returncode: int,
    *,
    timed_out: bool,
) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    end = "killed at its time limit" if timed_out else f"exit {returncode}"
    with log.open("ab") as out:
        out.write(f"$ {shlex.join(argv)}\n".encode())
        for stream in streams:
            stream.seek(0)
            while block := stream.read(1 << 20):
                out.write(block)
        out.write(f"[{end}]\n".encode())
