"""What a reader should know of the files of a checkout."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from reprokit.envs.mirror import TreeEntry

_LFS_HEAD = b"version https://git-lfs"
_LFS_SIZES = range(100, 1025)  # what Git LFS itself takes for a pointer file
_SHOWN = 5


def content_notes(root: Path, inside: str, entries: tuple[TreeEntry, ...]) -> list[str]:
    """Say what a checkout holds that its commit does not fix: pointer files, links to elsewhere."""
    notes = []
    prefix = PurePosixPath(inside)
    pointers = [
        str(prefix / entry.path) for entry in entries if _is_lfs_pointer(root / inside, entry)
    ]
    if pointers:
        what = "file is a Git LFS pointer" if len(pointers) == 1 else "files are Git LFS pointers"
        notes.append(f"{len(pointers)} {what}, not content: {few(pointers)}")
    escaping = [
        str(prefix / entry.path)
        for entry in entries
        if entry.is_symlink and _escapes(root, root / inside / entry.path)
    ]
    if escaping:
        what = "symbolic link leads" if len(escaping) == 1 else "symbolic links lead"
        notes.append(
            f"{len(escaping)} {what} out of the checkout, to what its commit does not fix: "
            f"{few(escaping)}"
        )
    return notes


def _is_lfs_pointer(place: Path, entry: TreeEntry) -> bool:
    if entry.size not in _LFS_SIZES or entry.is_symlink:
        return False
    with (place / entry.path).open("rb") as file:
        return file.read(len(_LFS_HEAD)) == _LFS_HEAD


def _escapes(root: Path, link: Path) -> bool:
    target = os.path.normpath(link.parent / link.readlink())
    return not Path(target).is_relative_to(root)


def few(names: tuple[str, ...] | list[str]) -> str:
    """Name the first few of many."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
