"""Several reprokit processes that work for one: each gets a task, says lines, and ends with it.

A worker's standard input is a control pipe: its end is the order to stop, and comes also when this
process is killed. The worker ends what it started itself.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO

_STOP_S = 60.0
"""Time to end a benchmark and all that came from it."""
_LONGEST_WORDS = 4000


class Workers:
    """Running workers by name."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._words: dict[str, IO[bytes]] = {}

    def start(self, name: str, module: str, task: bytes) -> None:
        """Start `python -m module` with one line on its standard input."""
        words = self._words[name] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        # A session of its own: Ctrl-C reaches this process alone, which then stops the workers.
        process = self._processes[name] = subprocess.Popen(
            # -P: what lies in the folder that reprokit was started in is none of its modules.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words, start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has died; its exit code says more than this
            process.stdin.write(task + b"\n")
            process.stdin.flush()

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield what the workers say, with their names, until all have ended."""
        rest = dict.fromkeys(self._processes, b"")
        with selectors.DefaultSelector() as selector:
            for name, process in self._processes.items():
                assert process.stdout is not None
                selector.register(process.stdout.fileno(), selectors.EVENT_READ, name)
            while selector.get_map():
                for key, _ in selector.select():
                    said = os.read(key.fd, 1 << 16)
                    if not said:
                        selector.unregister(key.fd)
                    *whole, rest[key.data] = (rest[key.data] + said).split(b"\n")
                    yield from ((key.data, line) for line in whole)

    def failures(self) -> Mapping[str, str]:
        """Wait for the workers; return the last words of those that ended badly."""
        found: dict[str, str] = {}
        for name, process in self._processes.items():
            code = process.wait()
            if code != 0:
                found[name] = f"exit {code}: {self._last_words(name)}"
        return found

    def stop(self) -> None:
        """Have all that still run end what they started and themselves; kill those that do not."""
        for process in self._processes.values():
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for words in self._words.values():
            words.close()

    def _last_words(self, name: str) -> str:
        words = self._words[name]
        size = words.seek(0, os.SEEK_END)
        words.seek(max(0, size - _LONGEST_WORDS))
        return words.read().decode(errors="replace").strip() or "no words"
