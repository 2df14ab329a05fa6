"""Processes of a benchmark that outlive their supervisor.

A killed supervisor cannot end its tree, and a process that took a session and an environment of its
own bears no mark. Where the system can, reprokit therefore is a subreaper while an invocation runs:
orphans come to it as children.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from reprokit.errors import RunError
from reprokit.process import supervisor as script


class Orphans:
    """The children that come to this process from now on."""

    def __init__(self) -> None:
        # Compared with their start time, so a reused process id is no old acquaintance.
        self._others = frozenset(psutil.Process().children())

    def end(self) -> int:
        """Kill and reap every new child with all that is below it; return how many were alive.

        Called when the supervisor itself has been reaped. No other thread may start processes
        meanwhile, for they would count as orphans.

        Raises:
            RunError: some of them survive SIGKILL.
        """
        killed: set[psutil.Process] = set()
        deadline = time.monotonic() + script.KILL_S
        while orphans := [child for child in self._children() if child not in self._others]:
            for orphan in orphans:
                killed.update(_kill_tree(orphan))
                _reap(orphan.pid)
            if time.monotonic() > deadline:
                raise cannot_kill(orphans)
            time.sleep(0.01)
        return len(killed)

    def _children(self) -> list[psutil.Process]:
        return list(psutil.Process().children())


@contextmanager
def adopting() -> Iterator[Orphans]:
    """Be the subreaper of all descendants, where there is such a thing (Linux)."""
    prctl = script.load_prctl()
    orphans = Orphans()
    if prctl is None:
        yield orphans
        return
    prctl(script.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield orphans
    finally:
        prctl(script.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def cannot_kill(processes: list[psutil.Process]) -> RunError:
    """Name processes that survive SIGKILL."""
    ids = ", ".join(str(found.pid) for found in processes)
    return RunError(
        f"processes of an earlier, killed run or invocation cannot be killed: {ids}",
        hint="They would disturb the measurement. A driver may hold them; restart the machine.",
    )


def _kill_tree(root: psutil.Process) -> Iterator[psutil.Process]:
    """Kill a process and its descendants; yield those that were alive."""
    with suppress(psutil.NoSuchProcess):
        for found in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                if found.status() != psutil.STATUS_ZOMBIE:
                    found.kill()
                    yield found


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
