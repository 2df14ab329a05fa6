"""Watches compilation from inside: torch's counters, and a profile of one untimed run."""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from compile_proof import Observation

_GRAPH_CALL = re.compile(r"## Call CompiledFxGraph \S+ ##")
_GRAPH_LAUNCHES = frozenset({"cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch"})
_GROUPS = ("frames", "stats", "aot_autograd", "inductor")
_COMPILING = {
    ("frames", "total"), ("stats", "unique_graphs"), ("aot_autograd", "total"),
    ("inductor", "fxgraph_cache_hit"), ("inductor", "fxgraph_cache_miss"),
    ("inductor", "fxgraph_cache_bypass"),
}  # fmt: skip
"""Counters that move when something is compiled, or loaded from the cache of compiled code."""


class CompileWatch:
    """Keeps the counters at the borders of the timed window."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._after: dict[str, int] = {}

    def window_opens(self) -> None:
        """Remember the counters just before the first timed iteration."""
        self._before = _counters()

    def window_closes(self) -> None:
        """Remember the counters just after the last timed iteration."""
        self._after = _counters()

    def observe(self, run: Callable[[], object], *, steps: int, device: str) -> Observation:
        """Profile one run that nobody times and put all that was seen together."""
        names = {f"{group}.{name}" for group, name in _COMPILING} | {"compilations"}
        moved = {
            name: self._after[name] - self._before.get(name, 0)
            for name in sorted(names & set(self._after))
            if self._after[name] != self._before.get(name, 0)
        }
        return Observation(
            steps=steps,
            device=device,
            unique_graphs=self._after.get("stats.unique_graphs", 0),
            frames=(self._after.get("frames.total", 0), self._after.get("frames.ok", 0)),
            graph_breaks=self._after.get("graph_breaks", 0),
            failures=_failures(),
            compiled_in_window=moved,
            **_profile(run, device),
        )


def end_compile_workers() -> None:
    """End the processes in which Inductor compiles; idle or starting, they take time from others.

    They start with the first compilation, even when all of it comes from the cache. Should anything
    be compiled later, new ones are started. Releases that keep none, or hide them, are left alone.
    """
    loaded = sys.modules.get("torch._inductor.async_compile")
    shutdown = getattr(loaded, "shutdown_compile_workers", None)
    if shutdown is not None:
        shutdown()


def all_counters() -> dict[str, int]:
    """Return the counters as they stand, for the record."""
    return _counters()


def _counters() -> dict[str, int]:
    """Flatten Dynamo's counters to "group.name"; releases differ in what they count."""
    groups = importlib.import_module("torch._dynamo.utils").counters
    flat = {
        f"{group}.{name}": int(value)
        for group in _GROUPS
        for name, value in dict(groups.get(group, {})).items()
        if isinstance(value, int)
    }
    flat["graph_breaks"] = sum(dict(groups.get("graph_break", {})).values())
    flat["compilations"] = len(_compilations())
    return flat


def _compilations() -> list[Any]:
    """Return what Dynamo keeps of each compilation; empty in releases without it."""
    utils = importlib.import_module("torch._dynamo.utils")
    getter = getattr(utils, "get_compilation_metrics", None)
    return list(getter()) if getter is not None else []


def _failures() -> tuple[str, ...]:
    kinds = {getattr(compilation, "fail_type", None) for compilation in _compilations()}
    return tuple(sorted(str(kind) for kind in kinds if kind is not None))


def _profile(run: Callable[[], object], device: str) -> dict[str, Any]:
    """Profile one run: which compiled graphs were called and which kernels executed."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        started = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        elapsed_us = (time.perf_counter() - started) * 1e6
    calls, launches, in_graphs = 0, 0, 0.0
    generated: dict[str, int] = {}
    for event in profiler.key_averages():
        if _GRAPH_CALL.fullmatch(event.key):
            calls += event.count
            in_graphs += event.cpu_time_total
        elif event.key in _GRAPH_LAUNCHES:
            launches += event.count
        elif event.key.startswith("triton_") and "CUDA" in str(event.device_type):
            generated[event.key] = event.count
    return {
        "graph_calls": calls,
        "graph_launches": launches,
        "generated": generated,
        "share": min(1.0, in_graphs / elapsed_us) if elapsed_us > 0 else 0.0,
    }
