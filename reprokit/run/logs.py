"""Whether the logs of an invocation still are what its processes wrote."""

from __future__ import annotations

import os
from pathlib import Path

from reprokit.evidence import open_evidence
from reprokit.process.launch import STDERR, STDOUT, Exit
from reprokit.records import RowStatus
from reprokit.run.ending import Finding


def spoiled(folder: Path, found: Exit) -> Finding | None:
    """Say what is wrong with the logs of an invocation that ended; None when nothing is."""
    if folder.is_symlink():
        return _contaminated("log_replaced: the directory of the invocation is a symbolic link")
    for name, written in ((STDOUT, found.stdout_bytes), (STDERR, found.stderr_bytes)):
        complaint = _complaint(folder / name, written)
        if complaint is not None:
            return _contaminated(complaint)
    return None


def _complaint(log: Path, written: int) -> str | None:
    try:
        with open_evidence(log) as file:
            holds = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return f"files_removed: {log.name} is gone"
    except OSError as error:
        return f"log_replaced: {log.name}: {error.strerror}"
    if holds == written:
        return None
    return f"log_replaced: {log.name} holds {holds} bytes, and {written} were written to it"


def _contaminated(reason: str) -> Finding:
    return Finding(RowStatus.CONTAMINATED, reason)
