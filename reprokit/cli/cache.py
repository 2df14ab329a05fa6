"""The cache folder that a command needs, looked at before anything is built in it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from reprokit.cache import CACHE_VARIABLE, CacheLayout
from reprokit.errors import ReprokitError


def require_writable(cache: CacheLayout) -> None:
    """Make the root of the cache where it is missing, and try to write in it.

    Raises:
        ReprokitError: it cannot be made or written to; names the path and the variable.
    """
    try:
        cache.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache.root):
            pass
    except OSError as error:
        raise _unusable(cache.root, error.strerror or str(error)) from error


def require_readable(cache: CacheLayout) -> None:
    """Accept a cache that is not there yet, or one that can be listed.

    Raises:
        ReprokitError: what is there is no folder, or it may not be read.
    """
    try:
        next(cache.root.iterdir(), None)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(cache.root, error.strerror or str(error)) from error


def _unusable(root: Path, reason: str) -> ReprokitError:
    what = f"the cache folder {root} cannot be used: {reason}"
    if os.environ.get(CACHE_VARIABLE):
        what = f"{CACHE_VARIABLE} names {root}, which cannot be used as the cache folder: {reason}"
    hint = f"Set {CACHE_VARIABLE} to a folder that you can write to, with space for environments."
    return ReprokitError(what, hint=hint)
