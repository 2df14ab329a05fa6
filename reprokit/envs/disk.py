"""Folders of the cache: closed to writing, removed whole even then, one writer at a time."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from reprokit.progress import Event, Observer


def forbid_writing(root: Path) -> None:
    """Take the write permission from every directory of a tree.

    Only directories: files may be hard links into uv's cache, and their mode is that of the link's
    other end too.
    """
    for folder in _directories(root):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) & ~0o222)


def remove_tree(root: Path) -> None:
    """Remove a tree, also one that `forbid_writing` has closed; nothing to do when it is gone."""
    if root.is_symlink() or root.is_file():
        root.unlink()
        return
    if not root.exists():
        return
    for folder in _directories(root):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o700)
    shutil.rmtree(root)


def _directories(root: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(root):
        yield Path(folder)


@contextmanager
def locked(path: Path, observer: Observer, subject: str) -> Iterator[None]:
    """Hold the lock file of something that two runs must not build at the same time.

    The operating system releases it when its holder dies. A second run waits, and says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        observer(Event("prepare", subject, f"waiting for another run that holds {path.name}"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
