"""Room and rights where reprokit writes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from reprokit.cache import CACHE_VARIABLE
from reprokit.doctor.records import Check, fail, ok, warn
from reprokit.doctor.surroundings import Surroundings

_GIB = 1 << 30
LEAST, ENOUGH = 1 * _GIB, 20 * _GIB
"""Free bytes: with less than the first nothing can be built; the second holds one CUDA build of
torch (about 8 GB installed) and a 7-billion-parameter checkpoint beside it (about 14 GB)."""


def check_cache(here: Surroundings) -> Check:
    """Look at the folder of environments, sources and weights."""
    return _check(
        "disk of the cache", here.cache.root,
        fix=f"Set {CACHE_VARIABLE} to a folder on another disk, or free some space: "
        "`reprokit env prune --older-than 30`.",
    )  # fmt: skip


def check_runs(here: Surroundings) -> Check:
    """Look at the folder of run directories."""
    return _check(
        "disk of the runs", here.runs.absolute(),
        fix="Name a folder on another disk with --runs.",
    )  # fmt: skip


def _check(name: str, folder: Path, *, fix: str) -> Check:
    cannot = "nothing can be written there, so no run can be made"
    place = folder
    try:
        place = next((each for each in (folder, *folder.parents) if each.exists()), folder)
        with tempfile.TemporaryFile(dir=place):
            pass
        free = shutil.disk_usage(place).free
        flags = os.statvfs(place).f_flag
    except OSError as error:
        return fail(name, f"{place}: {error.strerror}", cannot, fix)
    found = f"{folder}: {free / _GIB:.1f} GiB free"
    if flags & getattr(os, "ST_NOEXEC", 0):
        means = "it is mounted noexec: compiled code there cannot be loaded"
        return fail(name, f"{found}, noexec", means, fix)
    if free < LEAST:
        return fail(name, found, "too full for even a small environment", fix)
    if free < ENOUGH:
        means = "enough for a CPU; a CUDA build of torch and a checkpoint of 7 B may not fit"
        return warn(name, found, means, fix)
    return ok(name, found, "room for environments and checkpoints")
