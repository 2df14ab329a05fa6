"""Finding every process that a test started, whatever session or parent it moved to."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

MARK = "LC_REPROKIT_TEST"
"""A variable that passes the allow-list, so everything below a test inherits it."""


def marked(mark: str) -> list[psutil.Process]:
    """Return every other living process that carries the mark."""
    return [found for found in psutil.process_iter() if _carries(found, mark)]


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False


def wait_for(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: it never was.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def file_appears(folder: Path, pattern: str) -> Path:
    """Wait for a whole file below a folder and return it."""
    wait_for(lambda: [path for path in folder.rglob(pattern) if path.stat().st_size])
    return next(folder.rglob(pattern))
