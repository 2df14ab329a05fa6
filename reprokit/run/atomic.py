"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from reprokit.records import Record

TEMPORARY = ".tmp"
"""Suffix of a file in the making; one that is left over was cut short and means nothing."""


def write_atomic(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that a reader, or a crash at any moment, never sees a part of it."""
    temporary = path.with_name(f".{path.name}{TEMPORARY}")
    temporary.unlink(missing_ok=True)  # a pipe of that name, left by a benchmark, would block
    with temporary.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_record(path: Path, record: Record) -> None:
    """Write one record as indented JSON under the names that its files use."""
    write_atomic(path, [record.model_dump_json(indent=1, by_alias=True).encode(), b"\n"])
