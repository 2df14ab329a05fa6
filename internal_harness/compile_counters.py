"""Reads what Dynamo and Inductor count and remember of compilations. No torch is imported here.

All of it lies behind private names that move between releases, so each is looked for in the modules
that are loaded, and what a release does not have is left out: this evidence only lowers a decision.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_DYNAMO, _INDUCTOR = "torch._dynamo.utils", "torch._inductor"
_GROUPS = ("frames", "stats", "aot_autograd", "inductor")
_KEPT_COMPILATIONS = 4096
_COMPILING = {
    "frames.total", "stats.unique_graphs", "aot_autograd.total", "inductor.fxgraph_cache_hit",
    "inductor.fxgraph_cache_miss", "inductor.fxgraph_cache_bypass", "compilations",
    "inductor.cudagraph_skips", "cudagraph_recordings",
}  # fmt: skip
"""Counters that move when something is compiled, loaded from the cache of compiled code, or
recorded as a CUDA graph."""

LIMIT = re.compile(r"(recompile|cache)[_ ]?(size)?[_ ]?limit|(Cache|Recompile)Limit", re.IGNORECASE)
"""How releases name the limit after which Dynamo runs a function as it is."""


def keep_all_compilations() -> None:
    """Make Dynamo remember more compilations than the 64 that it does by itself."""
    setter = loaded(_DYNAMO, "set_compilation_metrics_limit")
    if setter is not None:
        setter(_KEPT_COMPILATIONS)


def counters() -> dict[str, int]:
    """Flatten the counters to "group.name"; releases differ in what they count."""
    groups: Mapping[str, Mapping[str, object]] = loaded(_DYNAMO, "counters") or {}
    flat = {
        f"{group}.{name}": value
        for group in _GROUPS
        for name, value in dict(groups.get(group, {})).items()
        if isinstance(value, int)
    }
    flat["graph_breaks"] = sum(graph_breaks().values())
    recordings = cudagraph_recordings()
    if recordings is not None:
        flat["cudagraph_recordings"] = recordings
    return flat


def counters_now() -> tuple[dict[str, int], frozenset[object]]:
    """Return the counters, and an identity of every compilation up to now."""
    identities = frozenset(
        (entry.get("compile_id"), entry.get("start_time_us") or entry.get("start_time"))
        for entry in compilations()
    )
    return counters(), identities


def moved(
    before: tuple[dict[str, int], frozenset[object]],
    after: tuple[dict[str, int], frozenset[object]],
) -> dict[str, int]:
    """Return the counters of compiling that differ, and by how much; a reset differs too."""
    (first, known), (last, now) = before, after
    found = {
        name: last.get(name, 0) - first.get(name, 0)
        for name in sorted(_COMPILING)
        if last.get(name, 0) != first.get(name, 0)
    }
    # Not their number: the oldest are dropped at a limit.
    return {**found, "compilations": len(now - known)} if now - known else found


def graph_breaks() -> dict[str, int]:
    """Count graph breaks by reason."""
    groups = loaded(_DYNAMO, "counters") or {}
    return {
        str(reason): int(count) for reason, count in dict(groups.get("graph_break", {})).items()
    }


def compilations() -> list[dict[str, Any]]:
    """Return what Dynamo keeps of each compilation; empty in releases without it.

    Records of the run time (of autotuning, of recording CUDA graphs) are no compilations.
    """
    getter = loaded(_DYNAMO, "get_compilation_metrics")
    kept = [vars(entry) for entry in getter()] if getter is not None else []
    return [dict(entry) for entry in kept if not entry.get("is_runtime")]


def failures(entries: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Name the classes of the compilations that failed."""
    return tuple(sorted({str(entry["fail_type"]) for entry in entries if entry.get("fail_type")}))


def recompiles(entries: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the reason of each recompilation, by function; an empty reason where none is told."""
    found: dict[str, list[str]] = {}
    functions: dict[str, str] = {}  # a compilation that failed does not name its function
    for entry in entries:
        frame, _, attempt = str(entry.get("compile_id") or "").partition("/")
        function = functions.setdefault(frame, _function(entry))
        if frame and attempt.partition("_")[0] not in {"", "0"}:
            found.setdefault(function, []).append(str(entry.get("recompile_reason") or ""))
    if found:
        return found
    guards = loaded(_DYNAMO, "guard_failures") or {}  # releases without metrics, or without reasons
    return {
        f"{code.co_name} ({_file(code.co_filename)}:{code.co_firstlineno})": list(map(str, reasons))
        for code, reasons in list(guards.items())
        if hasattr(code, "co_name")
    }


def limits_hit(entries: Iterable[Mapping[str, Any]], *, logged: Iterable[str]) -> tuple[str, ...]:
    """Return what was said of a recompile limit that was hit: later shapes run as they are."""
    groups = loaded(_DYNAMO, "counters") or {}
    texts = [f"{entry.get('fail_type')}: {entry.get('fail_reason')}" for entry in entries]
    texts += [str(reason) for reason in dict(groups.get("unimplemented", {}))]
    texts += [*graph_breaks(), *logged]
    return tuple(sorted({text[:300] for text in texts if LIMIT.search(text)}))


def skip_reasons(entries: Iterable[Mapping[str, Any]], *, logged: Iterable[str]) -> tuple[str, ...]:
    """Return why CUDA graphs were not used, in torch's words."""
    told = {str(e["cudagraph_skip_reason"]) for e in entries if e.get("cudagraph_skip_reason")}
    return tuple(sorted(told | {text for text in logged if "skipping cudagraph" in text.lower()}))


def cudagraph_recordings() -> int | None:
    """Count the CUDA graphs that are recorded now, on all devices; None where it cannot be told."""
    trees = sys.modules.get(f"{_INDUCTOR}.cudagraph_trees")
    local, get = getattr(trees, "local", None), getattr(trees, "get_obj", None)
    if trees is None or local is None or get is None:
        return None
    try:
        containers = list(get(local, "tree_manager_containers").values())
    except (AttributeError, RuntimeError, KeyError):  # never used in this thread
        return None
    count = 0
    for container in containers:
        roots = getattr(getattr(container, "tree_manager", None), "roots", None) or {}
        pending = [node for nodes in roots.values() for node in nodes]
        while pending:
            node = pending.pop()
            count += 1
            children = getattr(node, "children", None) or {}
            pending.extend(child for nodes in children.values() for child in nodes)
    return count


def loaded(module: str, name: str) -> Any:  # noqa: ANN401
    """Return a name of a module that is loaded already; None where either is missing."""
    return getattr(sys.modules.get(module), name, None)


def _function(entry: Mapping[str, Any]) -> str:
    file, line = _file(str(entry.get("co_filename"))), entry.get("co_firstlineno")
    return f"{entry.get('co_name')} ({file}:{line})"


def _file(path: str) -> str:
    """Name a file without the folders that only this machine has."""
    return re.sub(r"^.*/(?:site-packages|dist-packages|lib/python3\.\d+)/", "", path)
