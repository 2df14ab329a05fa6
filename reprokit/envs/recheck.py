"""Looks again, after measuring, whether sources and environments are still what was verified.

A benchmark runs with the rights of its user: it can rewrite its own checkout or a package of its
environment, and what later invocations measure is then something else. Checks before a run cannot
see that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from reprokit.cache import CacheLayout
from reprokit.envs.checkout import checkout_differences
from reprokit.envs.host_probe import host_changes, looked_at, probe_host
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
    sources: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    found: dict[str, Alteration] = {}
    for name, point in ready.items():
        if point.failed is not None or point.source is None:
            continue
        key = point.environment or ""
        if key not in environments:
            environments[key] = _environment_changes(point, cache)
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


def _environment_changes(point: ReadyPoint, cache: CacheLayout) -> tuple[str, ...]:
    if point.environment is None:
        return ()
    return _locked(point.environment, cache) if point.locked else _host(point)


def _host(point: ReadyPoint) -> tuple[str, ...]:
    """Probe an existing interpreter again; what it was is in the point's own record."""
    if point.probe is None or point.python is None:
        return ()
    try:
        now = probe_host(Path(point.python), looked_at(point.probe)).probe
    except ProbeError as error:
        return (error.what,)
    return host_changes(point.probe, now)


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
