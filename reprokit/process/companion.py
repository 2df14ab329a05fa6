"""A process that runs beside a benchmark and serves it: it is started before and ended after.

It is a helper that nothing may depend on: whatever becomes of it, the benchmark goes on, and what
it was to write is then missing.
"""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

_END_S = 5.0


class Companion:
    """A started helper. Its standard input is a control pipe that ends when it is to end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def start(
        cls, argv: Sequence[str], *, env: Mapping[str, str], task: bytes, ready_s: float
    ) -> Companion | None:
        """Start a helper, give it its task and wait until it says anything on standard output.

        Returns None where it did not begin, did not live that long, or said nothing in time.
        """
        try:
            process = subprocess.Popen(
                list(argv), env=dict(env), cwd="/",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            return None
        found = cls(process)
        try:
            if found._send(task) and found._said_something(ready_s):
                return found
        except BaseException:
            found.kill()
            raise
        found.kill()
        return None

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def end(self) -> int | None:
        """Tell it to end and wait for it; return its exit code, None where it had to be killed."""
        self._close(self._process.stdin)
        with suppress(subprocess.TimeoutExpired):  # one that somebody stopped cannot end
            self._process.wait(timeout=_END_S)
        code = self._process.poll()
        self.kill()
        return code

    def kill(self) -> None:
        """Kill it, if it still lives."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            self._close(stream)

    def _send(self, task: bytes) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(task + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return False
        return True

    def _said_something(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        ready, _, _ = select.select([handle], [], [], seconds)
        return bool(ready) and bool(os.read(handle, 4096))

    @staticmethod
    def _close(stream: object) -> None:
        close = getattr(stream, "close", None)
        if close is not None:
            with suppress(OSError):
                close()
