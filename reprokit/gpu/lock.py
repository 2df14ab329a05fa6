"""One benchmark at a time on one GPU, over all processes of reprokit of one user.

The lock goes with the process that holds it, however that ends; the note beside it only says who.
"""

from __future__ import annotations

import os
import platform
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from pydantic import ValidationError

from reprokit.atomic_files import write_record
from reprokit.errors import RunError
from reprokit.evidence import read_evidence
from reprokit.process.supervisor import boot_id
from reprokit.records import Record

FOLDER_VARIABLE = "REPROKIT_GPU_LOCKS"
WAIT_VARIABLE = "REPROKIT_GPU_WAIT_S"
"""How long to wait for a GPU that another reprokit process uses; 0, the default, is not at all."""

_LARGEST = 1 << 16
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")


class Holder(Record):
    """Who holds a GPU."""

    pid: int
    run: str
    since: str

    def words(self) -> str:
        """Say it."""
        return f"process {self.pid}, which executes {self.run} since {self.since}"


def lock_folder() -> Path:
    """Return where all reprokit processes of this user look; no setting of the cache moves it.

    Two runs with caches of their own share the GPU all the same. Where the user has no folder for
    caches, the one for temporary files serves.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    usual = Path(platformdirs.user_cache_dir("reprokit")) / "gpus"
    with suppress(OSError):
        usual.mkdir(parents=True, exist_ok=True)
    if os.access(usual, os.W_OK):
        return usual
    return Path(tempfile.gettempdir()) / f"reprokit-{os.getuid()}" / "gpus"


def unknown_gpu() -> str:
    """Name whatever GPU this machine has, where no driver tells; homes are shared by machines."""
    return f"unknown-{boot_id() or platform.node()}"


class GpuLock:
    """The right to measure on one GPU."""

    def __init__(self, uuid: str, folder: Path | None = None) -> None:
        base = (folder or lock_folder()) / _UNSAFE.sub("-", uuid)
        self._note = base.with_suffix(".json")
        self._path = base.with_suffix(".lock")
        self._lock = FileLock(self._path)

    def acquire(self, run: Path) -> bool:
        """Take it for a run, at once or not at all.

        Raises:
            RunError: the folder of the locks cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:  # the second: no locks on this file system
            why = getattr(error, "strerror", None) or error
            raise RunError(
                f"the lock of a GPU cannot be made: {self._path}: {why}",
                hint=f"Name a folder that can be written in {FOLDER_VARIABLE}.",
            ) from error
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):  # the lock is held, and the note only says by whom
            write_record(self._note, Holder(pid=os.getpid(), run=str(run), since=since))
        return True

    def release(self) -> None:
        """Give it back."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)
        self._lock.release()

    def holder(self) -> str:
        """Say who holds it, as far as it said so."""
        try:
            found = Holder.model_validate_json(read_evidence(self._note, limit=_LARGEST))
        except (OSError, ValidationError):
            return "another reprokit process"
        return found.words()


def longest_wait_s() -> float:
    """Return how long to wait for a GPU.

    Raises:
        RunError: the variable holds no such number.
    """
    named = os.environ.get(WAIT_VARIABLE, "0")
    try:
        seconds = float(named)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise RunError(f"{WAIT_VARIABLE}={named!r} is no number of seconds")
    return seconds


def take(
    locks: dict[str, GpuLock], wanted: int, run: Path, tell: Callable[[str], None]
) -> list[str]:
    """Take up to `wanted` of some GPUs, those that are free; wait for one where none is.

    Raises:
        RunError: none is free; it says who holds them.
    """
    deadline = time.monotonic() + longest_wait_s()
    told = ""
    while True:
        taken: list[str] = []
        for uuid, lock in locks.items():
            if len(taken) < wanted and lock.acquire(run):
                taken.append(uuid)
        if taken:
            return taken
        busy = "; ".join(f"{uuid} by {lock.holder()}" for uuid, lock in locks.items())
        if time.monotonic() >= deadline:
            raise RunError(
                f"no GPU is free: held {busy}",
                hint="Wait for it or end it, then continue this run (--resume); nothing is lost. "
                f"{WAIT_VARIABLE}=SECONDS waits.",
            )
        if busy != told:
            tell(f"waiting for a GPU: held {busy}")
            told = busy
        time.sleep(0.5)
