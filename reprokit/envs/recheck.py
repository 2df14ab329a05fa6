"""Looks again, after measuring, whether sources and environments are still what was verified.

A benchmark runs with the rights of its user: it can rewrite its own checkout or a package of its
environment, and what later invocations measure is then something else. Checks before a run cannot
see that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from reprokit.cache import CacheLayout
from reprokit.envs.checkout import checkout_differences
from reprokit.envs.host_probe import (
    HostFindings,
    host_changes,
    looked_at,
    probe_host,
    probe_overlaid,
)
from reprokit.envs.probe import ProbeError, probe
from reprokit.envs.store import Place, python_of
from reprokit.stack import Alteration, ReadyPoint

_CODE = frozenset({".py", ".pyc", ".pyi", ".so", ".pth", ".sh", ".cu", ".cpp", ".h"})
"""Endings of added files that can change what a later invocation runs; others are output."""


def recheck_points(ready: Mapping[str, ReadyPoint], cache: CacheLayout) -> dict[str, Alteration]:
    """Compare source and environment of every point that was measured with what was verified.

    Returns:
        Point id to what differs; points where nothing does are not in it.
    """
    environments: dict[str, tuple[str, ...]] = {}
    hosts = _Hosts(ready.values())
    sources: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    found: dict[str, Alteration] = {}
    for name, point in ready.items():
        if point.failed is not None or point.source is None:
            continue
        key = point.environment or ""
        if key not in environments:
            environments[key] = _environment_changes(point, cache, hosts)
        if point.source not in sources:
            sources[point.source] = _source(point, cache)
        changed, added = sources[point.source]
        alteration = Alteration(
            point=name,
            source=changed,
            environment=environments[key],
            added=added,
        )
        if alteration.source or alteration.environment or alteration.added:
            found[name] = alteration
    return found


def source_digest(folder: Path) -> str:
    """Digest names and content of a built-in benchmark's files; bytecode does not count."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and "__pycache__" not in inside.parts:
            total.update(f"{inside.as_posix()}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _source(point: ReadyPoint, cache: CacheLayout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the altered and the merely added files of a point's source."""
    assert point.source is not None
    folder = Path(point.source)
    if point.commit is None:
        same = folder.is_dir() and source_digest(folder) == point.tree
        return (() if same else (folder.name,)), ()
    differing = checkout_differences(folder, cache)
    code = tuple(name for name in differing.added if PurePosixPath(name).suffix in _CODE)
    output = tuple(name for name in differing.added if name not in code)
    return (*differing.changed, *code), output


def _environment_changes(point: ReadyPoint, cache: CacheLayout, hosts: _Hosts) -> tuple[str, ...]:
    if point.environment is None:
        return ()
    return _locked(point.environment, cache) if point.locked else hosts.changes(point)


class _Hosts:
    """Existing interpreters, each probed again once, whatever overlays its points have."""

    def __init__(self, points: Iterable[ReadyPoint]) -> None:
        self._names: dict[str, set[str]] = {}
        self._found: dict[str, HostFindings] = {}
        for point in points:
            if not point.locked and point.probe is not None and point.python is not None:
                names = self._names.setdefault(point.python, set())
                # What an overlay provides was looked at there, and not in the interpreter.
                overlaid = point.overlay.distributions if point.overlay is not None else {}
                names.update(set(looked_at(point.probe)) - set(overlaid))

    def changes(self, point: ReadyPoint) -> tuple[str, ...]:
        """Compare an interpreter with what it was, which is in the point's own record."""
        if point.probe is None or point.python is None:
            return ()
        try:
            now = self._now(point.python)
            if point.overlay is not None:
                folder = Path(point.overlay.folder)
                if not folder.is_dir():
                    return (f"the overlay {folder.parent.name} is gone",)
                now = probe_overlaid(Path(point.python), folder, now)
        except ProbeError as error:
            return (error.what,)
        return host_changes(point.probe, now.probe)

    def _now(self, python: str) -> HostFindings:
        if python not in self._found:
            self._found[python] = probe_host(Path(python), self._names[python])
        return self._found[python]


def _locked(key: str, cache: CacheLayout) -> tuple[str, ...]:
    place = Place(cache.environments, key)
    marker = place.marker()
    if marker is None:
        return (f"environment {key} is gone",)
    prefix = place.prefix(marker)
    try:
        return probe(python_of(prefix), prefix).changes_since(marker.findings)
    except ProbeError as error:
        return (error.what,)
