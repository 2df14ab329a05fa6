"""Whose the processes on a GPU are: the benchmark's, or somebody else's.

Standard library only; runs inside the sampler.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of Linux: the namespace in which every process of the machine has an id."""

_PROC = Path("/proc")


def blindness(proc: Path = _PROC) -> str | None:
    """Say why processes of others may be hidden from here; None where none can be."""
    if not sys.platform.startswith("linux"):
        return f"processes cannot be told apart on {sys.platform}"
    try:
        namespace = str((proc / "self/ns/pid").readlink())
    except OSError as error:
        return f"the namespace of processes cannot be told: {error.strerror}"
    if namespace == _FIRST_PID_NAMESPACE:
        return None
    return "a container: processes outside of it cannot be seen"


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, also where /proc hides those of other users."""
    if pid <= 0:
        return False  # to `kill` these are groups
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


class Owners:
    """Tells processes of one tree from foreign ones; remembers them, for they may end any time."""

    def __init__(
        self, root: int, proc: Path = _PROC, alive: Callable[[int], bool] = is_alive
    ) -> None:
        self._root, self._proc, self._alive = root, proc, alive
        self._known: dict[int, bool] = {}

    def is_own(self, pid: int) -> bool | None:
        """Tell whether a process descends from the root; None when it is gone."""
        if pid in self._known and self._exists(pid):
            return self._known[pid]
        self._known.pop(pid, None)
        found = self._descends(pid)
        if found is not None:
            self._known[pid] = found
        return found

    def name(self, pid: int) -> str:
        """Return the short name of a process, without its arguments; empty when it is gone."""
        try:
            return (self._proc / str(pid) / "comm").read_text(errors="replace").strip()
        except OSError:
            return ""

    def _descends(self, pid: int) -> bool | None:
        seen: set[int] = set()
        while pid not in seen:
            if pid == self._root:
                return True
            seen.add(pid)
            parent = self._parent(pid)
            if parent is None:
                # Mounted with hidepid, /proc shows a user's own processes only; the root's are.
                return False if self._alive(pid) else None
            if parent <= 1:
                return False
            pid = parent
        return None

    def _parent(self, pid: int) -> int | None:
        try:
            stat = (self._proc / str(pid) / "stat").read_bytes()
            # The name in parentheses may itself hold spaces and parentheses.
            return int(stat.rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None

    def _exists(self, pid: int) -> bool:
        return (self._proc / str(pid)).exists()
