"""From the events of one profiled run to what executed in it. Pure: no torch here.

torch marks each call of an Inductor graph, on every device, with the graph's key in the cache of
compiled code: its identity, the same wherever the same graph was compiled for the same device.
Kernels on a GPU belong to the host operation that launched them, or that replayed their CUDA graph.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

_MARK = re.compile(r"## Call CompiledFxGraph (\S+) ##")
_PRODUCTS = frozenset({
    "aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::convolution",
    "aten::_scaled_mm", "aten::scaled_dot_product_attention",
})  # fmt: skip
"""Operations that are the work of a model; what a loop does around it is none of them."""
_LAUNCHES = frozenset({"cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch"})


@dataclass(frozen=True)
class Event:
    """One event of the profiler.

    Attributes:
        parent: index of the operation around it in the list of events; None at the top.
        on_device: it ran on an accelerator.
        annotation: it only names a stretch of time.
        total_us: its duration with everything in it.
        self_us: without what has events of its own.
        kernels: names and durations in us of the kernels that this host operation launched.
    """

    name: str
    parent: int | None = None
    on_device: bool = False
    annotation: bool = False
    total_us: float = 0.0
    self_us: float = 0.0
    kernels: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Profile:
    """What executed.

    Attributes:
        graphs: calls of Inductor graphs, by the graph's key.
        launches: of CUDA graphs.
        kernels: executions on the accelerator, by name.
        share: part of the work done by compiled graphs, 0 to 1: of the accelerator's time where it
            ran kernels, else of the time in operations; None where nothing ran.
        outside_us: where the rest of the work went, by name.
        products: matrix products and attention outside of compiled graphs, by operation.
    """

    graphs: dict[str, int] = field(default_factory=dict)
    launches: int = 0
    kernels: dict[str, int] = field(default_factory=dict)
    share: float | None = None
    outside_us: dict[str, float] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)


def is_generated(kernel: str) -> bool:
    """Tell kernels that Inductor generated through Triton from those of libraries."""
    return kernel.startswith("triton_")


def read_profile(events: Iterable[Event]) -> Profile:
    """Read the events of one run."""
    known = list(events)
    inside = _inside(known)
    graphs: dict[str, int] = {}
    kernels: dict[str, int] = {}
    launches = 0
    for event in known:
        # On a GPU the marks come a second time, as stretches of the device's time.
        mark = None if event.on_device else _MARK.fullmatch(event.name)
        if mark is not None:
            graphs[mark[1]] = graphs.get(mark[1], 0) + 1
        elif event.name in _LAUNCHES and not event.on_device:
            launches += 1
        elif event.on_device and not _names_a_stretch(event):
            kernels[event.name] = kernels.get(event.name, 0) + 1
    share, outside = _device_share(known, inside) if kernels else _host_share(known, inside)
    products: dict[str, int] = {}
    for event, within in zip(known, inside, strict=True):
        if event.name in _PRODUCTS and not event.on_device and not within:
            products[event.name] = products.get(event.name, 0) + 1
    return Profile(graphs, launches, kernels, share, outside, products)


def looked_at(
    look: Callable[[], tuple[Profile, str | None]], *, least_share: float, most: int = 3
) -> tuple[Profile, str | None]:
    """Profile a run, and again where its times alone speak against it.

    A host's times are wall times: one operation that loses the processor for some milliseconds
    outweighs all graphs of a small model. What really runs outside of graphs does so every time.

    Args:
        look: profiles one run; returns what executed, and why that cannot be told.
        least_share: of the work, by compiled graphs, below which it is looked at again.
        most: profiles altogether.
    """
    seen, problem = look()
    for _ in range(most - 1):
        if problem is not None or seen.products or seen.share is None or seen.share >= least_share:
            break
        other, problem = look()
        if problem is not None or other.products or (other.share or 0.0) > (seen.share or 0.0):
            seen = other
    return seen, problem


def _inside(events: list[Event]) -> list[bool]:
    """Say of each event whether it is, or lies within, a call of a compiled graph."""
    found: list[bool | None] = [None] * len(events)
    for start in range(len(events)):
        path, index = [], start
        answer: bool | None = None
        while answer is None:
            path.append(index)
            event = events[index]
            if not event.on_device and _MARK.fullmatch(event.name):
                answer = True
            elif event.parent is None:
                answer = False
            else:
                index = event.parent
                answer = found[index]
        for index in path:
            found[index] = answer
    return [bool(answer) for answer in found]


def _device_share(events: list[Event], inside: list[bool]) -> tuple[float | None, dict[str, float]]:
    """Split the accelerator's time; kernels that nothing is known to have launched lie outside."""
    total: dict[str, float] = {}
    compiled: dict[str, float] = {}
    for event, within in zip(events, inside, strict=True):
        if event.on_device:
            if not _names_a_stretch(event):
                total[event.name] = total.get(event.name, 0.0) + event.total_us
        elif within:
            for name, duration in event.kernels:
                compiled[name] = compiled.get(name, 0.0) + duration
    outside = {
        name: rest
        for name, spent in total.items()
        if not is_generated(name) and (rest := spent - compiled.get(name, 0.0)) > 1e-3
    }
    return _part(sum(total.values()), sum(outside.values())), outside


def _host_share(events: list[Event], inside: list[bool]) -> tuple[float | None, dict[str, float]]:
    """Split the time in operations; the interpreter's own time is nobody's work."""
    compiled = 0.0
    outside: dict[str, float] = {}
    for event, within in zip(events, inside, strict=True):
        if event.on_device:
            continue
        if within:
            if event.parent is None or not inside[event.parent]:
                compiled += event.total_us
        elif "::" in event.name:
            outside[event.name] = outside.get(event.name, 0.0) + event.self_us
    return _part(compiled + sum(outside.values()), sum(outside.values())), outside


def _part(total: float, outside: float) -> float | None:
    return max(0.0, 1.0 - outside / total) if total > 0 else None


def _names_a_stretch(event: Event) -> bool:
    return event.annotation or event.name.startswith(("## Call", "Torch-Compiled", "ProfilerStep"))
