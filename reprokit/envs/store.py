"""The finished environments of a cache: where they are, what they hold, how to remove them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import filelock
from pydantic import ValidationError

from reprokit.cache import CacheLayout
from reprokit.envs.disk import remove_tree
from reprokit.envs.interpreter import Interpreter
from reprokit.envs.lock import Lock
from reprokit.envs.probe import Findings
from reprokit.errors import UsageError
from reprokit.records import Record
from reprokit.stack import digest

MAIN_PACKAGES = ("torch", "triton", "transformers")
_KEY_LENGTH = 32


class EnvironmentSpec(Record):
    """What an environment is to be; written first, before anything is built."""

    key: str
    lock_sha256: str
    interpreter: Interpreter


class EnvironmentMarker(Record):
    """What an environment is; written last. Without it the folder is a leftover.

    Attributes:
        folder: name of the environment's folder beside the marker; another one at each build, so
            that what a killed build left running cannot write into a later one.
        created: moment in UTC, ISO 8601.
        seconds: how long installing took.
        undeclared: the sentence of `uv pip check` where the packages do not declare that they go
            together; None where they do.
        findings: what the first probe found.
    """

    spec: EnvironmentSpec
    folder: str
    created: str
    seconds: float
    uv: str
    undeclared: str | None
    findings: Findings


@dataclass(frozen=True)
class Place:
    """The files of one environment in the cache."""

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Everything of this environment."""
        return self.root / self.key

    @property
    def lock_path(self) -> Path:
        """Lock file that a build holds."""
        return self.root / f"{self.key}.lock"

    @property
    def marker_path(self) -> Path:
        """Written last."""
        return self.folder / "env.json"

    @property
    def log_path(self) -> Path:
        """What uv said while building."""
        return self.folder / "build.log"

    @property
    def used_path(self) -> Path:
        """Its time stamp is the last use."""
        return self.folder / "used"

    def marker(self) -> EnvironmentMarker | None:
        """Read the marker; None where the environment is not finished."""
        try:
            text = self.marker_path.read_text(encoding="utf-8")
            return EnvironmentMarker.model_validate_json(text)
        except (OSError, ValidationError):
            return None

    def prefix(self, marker: EnvironmentMarker) -> Path:
        """Return the environment's own folder."""
        return self.folder / marker.folder


def environment_key(lock: Lock, interpreter: Interpreter) -> str:
    """Name the environment of a lock on an interpreter; equal keys share one environment."""
    return digest([lock.sha256(), *interpreter.identity()])[:_KEY_LENGTH]


def python_of(prefix: Path) -> Path:
    """Return the interpreter of an environment."""
    return prefix / "bin" / "python"


@dataclass(frozen=True)
class EnvironmentInfo:
    """One line of `reprokit env list`.

    Attributes:
        state: "ready", or "unfinished" for what a build left that was stopped.
        created, used: moments in UTC, ISO 8601; `used` is the last time it was handed out.
        unique_bytes: disk space that only this environment holds.
        shared_bytes: disk space of files with other hard links, usually into uv's cache.
    """

    key: str
    state: Literal["ready", "unfinished"]
    path: Path
    python: str | None
    created: str | None
    used: str | None
    unique_bytes: int
    shared_bytes: int
    versions: dict[str, str]
    marker: EnvironmentMarker | None


@dataclass(frozen=True)
class Pruned:
    """What `prune` removed, and what it left because a run was building or verifying it."""

    removed: tuple[str, ...]
    busy: tuple[str, ...]
    freed_bytes: int


class EnvironmentStore:
    """The environments in one cache."""

    def __init__(self, cache: CacheLayout) -> None:
        self._cache = cache

    def list(self) -> tuple[EnvironmentInfo, ...]:
        """Describe every environment, the most recently used first."""
        found = [self._info(place) for place in self._places()]
        return tuple(sorted(found, key=lambda info: info.used or "", reverse=True))

    def show(self, key: str) -> EnvironmentInfo:
        """Describe the environment whose key starts with `key`.

        Raises:
            UsageError: none or several do.
        """
        return self._info(self._find(key))

    def prune(
        self,
        keys: tuple[str, ...] = (),
        *,
        older_than: timedelta | None = None,
        everything: bool = False,
    ) -> Pruned:
        """Remove environments: those named, those not used for a time, or all.

        Unfinished ones go with `older_than` too. One that a run is building is left alone.

        Raises:
            UsageError: a key names no environment, or several.
        """
        chosen = {self._find(key).key for key in keys}
        if everything:
            chosen = {place.key for place in self._places()}
        elif older_than is not None:
            before = time.time() - older_than.total_seconds()
            chosen |= {place.key for place in self._places() if _last_use(place) < before}
        removed: list[str] = []
        busy: list[str] = []
        freed = 0
        for key in sorted(chosen):
            size = self._remove(Place(self._cache.environments, key))
            (busy if size is None else removed).append(key)
            freed += size or 0
        return Pruned(tuple(removed), tuple(busy), freed)

    def _remove(self, place: Place) -> int | None:
        lock = filelock.FileLock(place.lock_path)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return None
        try:
            unique, _ = disk_use(place.folder)
            # The marker goes first: a removal that is cut short leaves a leftover, not a ruin.
            place.marker_path.unlink(missing_ok=True)
            remove_tree(place.folder)
            remove_tree(self._cache.bytecode / place.key)
        finally:
            lock.release()
        return unique

    def _places(self) -> Iterator[Place]:
        root = self._cache.environments
        if root.is_dir():
            for path in sorted(root.iterdir()):
                if path.is_dir():
                    yield Place(root, path.name)

    def _find(self, key: str) -> Place:
        found = [place for place in self._places() if key and place.key.startswith(key)]
        if len(found) == 1:
            return found[0]
        what = "no environment" if not found else f"{len(found)} environments"
        raise UsageError(
            f"{what} here have a key that starts with {key!r}",
            hint="`reprokit env list` names them all.",
        )

    def _info(self, place: Place) -> EnvironmentInfo:
        marker = place.marker()
        unique, shared = disk_use(place.folder)
        versions = {}
        if marker is not None:
            found = {name: marker.findings.probe.version(name) for name in MAIN_PACKAGES}
            versions = {name: version for name, version in found.items() if version}
        return EnvironmentInfo(
            key=place.key,
            state="unfinished" if marker is None else "ready",
            path=place.folder if marker is None else place.prefix(marker),
            python=marker.findings.probe.python if marker else None,
            created=marker.created if marker else None,
            used=_moment(_last_use(place)),
            unique_bytes=unique,
            shared_bytes=shared,
            versions=versions,
            marker=marker,
        )


def disk_use(folder: Path) -> tuple[int, int]:
    """Measure a folder in allocated bytes: held by it alone, and shared through hard links.

    A file all of whose links lie inside the folder counts once, as held by it alone.
    """
    links: dict[tuple[int, int], list[int]] = {}
    unique = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = Path(parent, name).lstat()
            size = found.st_blocks * 512
            if Path(parent, name).is_dir() or found.st_nlink == 1:
                unique += size
            else:
                seen = links.setdefault((found.st_dev, found.st_ino), [0, found.st_nlink, size])
                seen[0] += 1
    inside = sum(size for count, total, size in links.values() if count >= total)
    return unique + inside, sum(size for _, _, size in links.values()) - inside


def _last_use(place: Place) -> float:
    for path in (place.used_path, place.marker_path, place.folder):
        if path.exists():
            return path.stat().st_mtime
    return 0.0


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
