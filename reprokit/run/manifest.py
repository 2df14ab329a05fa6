"""MANIFEST.sha256: the digest of every file of a bundle, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from reprokit.atomic_files import is_left_over, write_atomic
from reprokit.errors import DamagedRunError
from reprokit.run.directory import CACHE, LOCK

MANIFEST = "MANIFEST.sha256"
_SHOWN = 5


def write_manifest(root: Path, verified: Mapping[str, str] | None = None) -> None:
    """List every file of a run directory but caches, the lock and the list itself.

    Args:
        root: the run directory.
        verified: digests of files that were compared with the list before and not written since;
            they are not read again, so that what happened to them meanwhile stays noticeable.
    """
    known = verified or {}
    lines = (_line(known.get(name) or _digest(root / name), name) for name in _files(root))
    write_atomic(root / MANIFEST, (line.encode(errors="surrogateescape") for line in lines))


def verify_manifest(root: Path) -> dict[str, str]:
    """Compare a run directory with its manifest; return the digest of every file.

    Raises:
        DamagedRunError: files are missing, changed, or not in the list; it names them.
    """
    listed = _read(root / MANIFEST)
    wrong = _differences(root, listed)
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise DamagedRunError(
            f"{root}: {'; '.join(wrong[:_SHOWN])}{more}",
            hint="The bundle is not the one that was written; nothing in it can be relied on.",
        )
    return listed


def compare_manifest(root: Path) -> tuple[int, tuple[str, ...]]:
    """Count the files that a manifest lists, and name every one that is not as listed.

    Raises:
        DamagedRunError: there is no manifest, or it cannot be read.
    """
    listed = _read(root / MANIFEST)
    return len(listed), tuple(_differences(root, listed))


def _differences(root: Path, listed: Mapping[str, str]) -> list[str]:
    present = set(_files(root))
    wrong = [f"{name} is missing" for name in listed if name not in present]
    wrong += [f"{name} is not in the manifest" for name in sorted(present - listed.keys())]
    wrong += [
        f"{name} was changed"
        for name, digest in listed.items()
        if name in present and _digest(root / name) != digest
    ]
    return wrong


def _files(root: Path) -> list[str]:
    """Return the files of a bundle relative to its root, sorted; links count as what they hold."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        if here == root:
            folders[:] = [name for name in folders if name != CACHE]
        found += [
            (here / name).relative_to(root).as_posix()
            for name in names
            if (here / name).is_file() and not is_left_over(name)
        ]
    return sorted(set(found) - {LOCK, MANIFEST})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(digest: str, name: str) -> str:
    """Write one line; as sha256sum does, a leading backslash says that the name is escaped."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n"


def _read(path: Path) -> dict[str, str]:
    try:
        text = path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        raise DamagedRunError(f"{path} is missing: the run was never closed") from None
    listed: dict[str, str] = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        digest, separator, name = line.removeprefix("\\").partition("  ")
        if len(digest) != 64 or not separator or not name:
            raise DamagedRunError(f"{path}:{number}: not a line of digest and file name")
        listed[_unescaped(name) if line.startswith("\\") else name] = digest
    return listed


def _unescaped(name: str) -> str:
    meant = {"\\n": "\n", "\\r": "\r", "\\\\": "\\"}
    return re.sub(r"\\[nr\\]", lambda found: meant[found.group()], name)
