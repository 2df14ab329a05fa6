"""Whether the disks of the bundle and of the cache hold what is still to be fetched."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from reprokit.bundle.needs import PointNeeds
from reprokit.bundle.records import MODELS, WHEELS, BundleError
from reprokit.cache import CacheLayout
from reprokit.envs.assets import asset_folder
from reprokit.stack import digest

SPARE = 1 << 30
"""Bytes that must stay free beside what is known to be needed."""


def require_space(needs: Iterable[PointNeeds], folder: Path, cache: CacheLayout) -> None:
    """Compare what is not there yet with what is free; models pass through the cache.

    Raises:
        BundleError: a disk is too small.
    """
    every = list(needs)
    wheels, models = _wheels_to_come(every, folder), _models(every)
    into_bundle = wheels + sum(
        max(size - _bytes_of(folder / MODELS / key[:32]), 0) for key, size in models.items()
    )
    into_cache = sum(size for key, size in models.items() if not asset_folder(cache, key).is_dir())
    cache.root.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_dev == cache.root.stat().st_dev:
        _require(folder, into_bundle + into_cache)
    else:
        _require(folder, into_bundle)
        _require(cache.root, into_cache)


def _wheels_to_come(needs: Iterable[PointNeeds], folder: Path) -> int:
    wheels = {wheel.file: wheel.size or 0 for each in needs for wheel in each.wheels}
    return sum(size for file, size in wheels.items() if not (folder / WHEELS / file).is_file())


def _models(needs: Iterable[PointNeeds]) -> dict[str, int]:
    steps = {digest(step.key): step for each in needs for step, _ in each.models}
    return {key: step.about_bytes or 0 for key, step in steps.items()}


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _require(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if needed and needed + SPARE > free:
        raise BundleError(
            f"what is still to be fetched needs {needed} bytes and {SPARE} to spare, and the disk "
            f"of {place} has {free} free",
            hint="Free some, or name a folder (and with REPROKIT_CACHE a cache) on another disk; "
            "nothing was fetched.",
        )
