"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

_TEMPORARY = ".tmp"


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that a reader, or a crash at any moment, finds all of it or the old one.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    # A name of its own: several writers of one file never share it, and "x" opens nothing that is
    # there already. A pipe that a benchmark left under a known name would block for ever.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
    with temporary.open("xb") as file:
        try:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):  # the first error says more than one about the rest of it
                temporary.unlink()
            raise
    _sync_folder(path.parent)


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record as indented JSON under the names that its files use, atomically."""
    write_atomic(path, [record.model_dump_json(indent=1, by_alias=True).encode(), b"\n"])


def is_left_over(name: str) -> bool:
    """Tell by its name a file in the making; one that stays was cut short and means nothing."""
    return name.startswith(".") and name.endswith(_TEMPORARY)


def _sync_folder(folder: Path) -> None:
    """Bring the new name itself to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
