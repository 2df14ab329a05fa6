"""Follows a process that measures several invocations, so that a person sees how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from reprokit.run.shared import Done, read_done

_PERIOD_S = 1.0
"""Looking is a few calls of the system; more often would be work beside the measurement."""


@contextmanager
def following(
    folders: Sequence[Path], tell: Callable[[int, Done], None], *, period_s: float = _PERIOD_S
) -> Iterator[None]:
    """While the block lasts, say of each folder once that the process is over with it.

    Args:
        folders: of the invocations, in the order in which the process takes them.
        tell: called with the index of a folder and what the process says of it, in a thread of
            its own, never again after the block. When it raises, nothing more is told here.
        period_s: time between two looks.
    """
    ended = threading.Event()

    def follow() -> None:
        index = 0
        while index < len(folders):
            done = read_done(folders[index])
            if done is not None:
                try:
                    tell(index, done)
                except Exception:  # noqa: BLE001 - the caller tells the next event, and meets it
                    return
                index += 1
            elif ended.wait(period_s):
                return

    thread = threading.Thread(target=follow, name="following", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
