"""How many cores benchmarks may use: those of this process, not those of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def cores() -> int:
    """Return how many cores this process may use; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, int(min([allowed, *quotas()])))


def quotas(groups: Path = _GROUPS, own: Path = _OWN) -> Iterator[float]:
    """Yield the limits, in cores, that a container or batch system puts on this process's time.

    All of them hold: that of its control group and of every group around it (cgroup v2), or that
    of version 1.
    """
    for folder in _folders(groups, own):
        with suppress(OSError, ValueError, ZeroDivisionError):
            limit, period = (folder / "cpu.max").read_text().split()
            yield int(limit) / int(period)  # without a limit the word is "max"
    with suppress(OSError, ValueError, ZeroDivisionError):
        limit, period = (
            (groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
        )
        if int(limit) > 0:
            yield int(limit) / int(period)


def _folders(groups: Path, own: Path) -> list[Path]:
    """Return the folder of this process's group and those of the groups around it."""
    named = "/"
    with suppress(OSError, UnicodeDecodeError):
        lines = own.read_text().splitlines()
        named = next((line[3:] for line in lines if line.startswith("0::/")), "/")
    folder = groups / named.strip("/")
    return [folder, *(each for each in folder.parents if each.is_relative_to(groups))]
