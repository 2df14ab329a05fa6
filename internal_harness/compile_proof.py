"""Decides from what was observed whether compiled code really executed. Pure: no torch here.

`torch.compile` can return normally without compiling anything, and counters say what was compiled,
not what ran; their names move between releases. So the decision rests on a profiled, untimed run:
torch marks each call of an Inductor graph on every device, generated kernels are named `triton_*`,
and CUDA graphs show as launches. Counters only lower it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

COMPILED, PARTLY, FELL_BACK, UNKNOWN = "compiled", "partly", "fell_back", "unknown"
NOT_ASKED = "not_asked"

LEAST_SHARE = 0.5
"""The least part of the work of the profiled run that compiled graphs must account for."""

_MOST = 16
_LONGEST = 300


@dataclass(frozen=True)
class Observation:
    """What was seen of compilation.

    Attributes:
        steps: calls of the compiled model in the profiled run.
        graphs_asked: the mode asks for CUDA graphs.
        problem: why the profile says nothing; None where it does.
        graph_calls: calls of Inductor graphs in it; `graphs` has them by the graph's key.
        generated: executions of generated kernels on the device, by name.
        other_kernels: executions of all other kernels, by name.
        graph_launches: CUDA-graph launches in it.
        share: part of its work done by compiled graphs, 0 to 1 (see `profile_reading`).
        outside_us: where the rest of the work went.
        products: matrix products and attention that ran outside of compiled graphs.
        unique_graphs: graphs that Dynamo captured since it was last reset.
        frames: frames that Dynamo was given, and those that it compiled.
        graph_breaks: breaks that Dynamo counted; `break_reasons` has them by reason.
        recompiles: reasons of the recompilations, by function.
        limits_hit: what was said of a recompile limit that was hit.
        recordings: CUDA graphs that are recorded; None where it cannot be told.
        skips: graphs that were not wrapped in CUDA graphs, with `skip_reasons` where told.
        failures: classes of compilations that failed.
        switches: settings that keep torch from compiling, or from saying so, as they were at both
            ends of the timed window or in the profiled run.
        compiled_in_window: counters that moved while iterations were timed, and by how much.
        compilations: torch's own record of each compilation; for the dump.
    """

    steps: int
    device: str
    graphs_asked: bool = False
    problem: str | None = None
    graph_calls: int = 0
    graphs: dict[str, int] = field(default_factory=dict)
    generated: dict[str, int] = field(default_factory=dict)
    other_kernels: dict[str, int] = field(default_factory=dict)
    graph_launches: int = 0
    share: float | None = None
    outside_us: dict[str, float] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    unique_graphs: int = 0
    frames: tuple[int, int] = (0, 0)
    graph_breaks: int = 0
    break_reasons: dict[str, int] = field(default_factory=dict)
    recompiles: dict[str, list[str]] = field(default_factory=dict)
    limits_hit: tuple[str, ...] = ()
    recordings: int | None = None
    skips: int = 0
    skip_reasons: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    compiled_in_window: dict[str, int] = field(default_factory=dict)
    compilations: tuple[Mapping[str, Any], ...] = ()

    def facts(self) -> dict[str, object]:
        """Return plain values of bounded size; `distinct_*` counts what is cut to the largest."""
        whole = {name: value for name, value in asdict(self).items() if name != "compilations"}
        sizes = {f"distinct_{name}": len(whole[name]) for name in ("graphs", "generated")}
        facts = {name: _cut(value) for name, value in whole.items()}
        return {**facts, **sizes, "recompilations": sum(map(len, self.recompiles.values()))}


def decide(seen: Observation) -> tuple[str, str]:
    """Return the decision and its reason."""
    for holds, decision, reason in (*_executed(seen), *_lowered(seen)):
        if holds:
            return decision, reason
    graphs = f" ({len(seen.graphs)} different ones)" if seen.graphs else ""
    reason = (
        f"{seen.graph_calls} calls of compiled graphs{graphs} in {seen.steps} calls of the model, "
        "nothing compiled inside the timed window"
    )
    if seen.graphs_asked and seen.device == "cpu":
        reason += "; there are no CUDA graphs on a CPU"
    elif seen.graphs_asked:
        reason += f"; {seen.graph_launches} launches of CUDA graphs"
    return COMPILED, reason


_Rule = tuple[bool, str, str]


def _executed(seen: Observation) -> tuple[_Rule, ...]:
    """Return the rules about what ran, in the order in which they count."""
    generated = sum(seen.generated.values())
    calls, launches = seen.graph_calls, seen.graph_launches
    marks = calls or generated or launches
    return (
        (seen.problem is not None, UNKNOWN, f"{seen.problem}"),
        (
            not marks and not seen.unique_graphs,
            FELL_BACK,
            "nothing was compiled and no compiled code ran" + _because(seen),
        ),
        (
            bool(seen.limits_hit),
            PARTLY,
            "a recompile limit was hit, so later shapes run as they are: "
            + _line("; ".join(seen.limits_hit)),
        ),
        (
            not marks,
            UNKNOWN,
            f"{seen.unique_graphs} graphs were captured and the profiler saw none of them run"
            + _because(seen),
        ),
        (
            not calls and not launches,
            UNKNOWN,
            "generated kernels ran, and this torch does not mark the calls of compiled graphs",
        ),
        (
            calls < seen.steps and launches < seen.steps,
            PARTLY,
            f"{calls} calls of compiled graphs in {seen.steps} calls of the model" + _because(seen),
        ),
        (
            seen.device != "cpu" and not generated,
            UNKNOWN,
            "compiled graphs ran and no generated kernel was seen",
        ),
    )


def _lowered(seen: Observation) -> tuple[_Rule, ...]:
    """Return the rules by which other code ran too, or not in the way that was asked for."""
    total, compiled = seen.frames
    cuda_graphs = seen.graphs_asked and seen.device != "cpu"
    told = "; ".join(seen.skip_reasons) or "torch tells no reason"
    share, outside = seen.share or 0.0, seen.outside_us
    largest = "most outside: " + max(outside, key=lambda name: outside[name], default="not seen")
    return (
        (bool(seen.failures), PARTLY, "a compilation failed" + _because(seen)),
        (total > compiled, PARTLY, f"{compiled} of {total} frames were compiled"),
        (
            cuda_graphs and seen.skips > 0,
            PARTLY,
            f"CUDA graphs were skipped {seen.skips} times: {told}",
        ),
        (
            cuda_graphs and seen.graph_launches < seen.steps,
            PARTLY,
            f"{seen.graph_launches} launches of CUDA graphs in {seen.steps} calls: {told}",
        ),
        (
            bool(seen.products),
            PARTLY,
            f"a part of the model ran as it is: graphs did {share:.0%} of the work, and these "
            "products ran outside of compiled graphs: "
            + ", ".join(f"{count} x {name}" for name, count in seen.products.items()),
        ),
        (
            (seen.share is not None or seen.graph_breaks > 0) and share < LEAST_SHARE,
            PARTLY,
            f"graphs did {share:.0%} of the work; {seen.graph_breaks} graph breaks; {largest}",
        ),
        (
            bool(seen.compiled_in_window),
            PARTLY,
            f"something was compiled inside the timed window: {seen.compiled_in_window}"
            + "".join(f"; {reason}" for reason in _reasons(seen.recompiles)[-1:]),
        ),
        # The profile shows one run. Under such a setting the others may have run as they are, and
        # no counter moves when compiled code is passed over.
        (
            bool(seen.switches),
            PARTLY,
            "what runs may change from call to call without a word: " + ", ".join(seen.switches),
        ),
    )


def _because(seen: Observation) -> str:
    """Add what may have kept torch from compiling."""
    told = (*seen.failures, *seen.switches, *map(_line, seen.limits_hit[:1]))
    return f" ({', '.join(told)})" if told else ""


def _reasons(recompiles: Mapping[str, list[str]]) -> list[str]:
    return [
        f"{function} was recompiled: {_line(reason)}"
        for function, reasons in recompiles.items()
        for reason in reasons
        if reason
    ]


def _line(text: str) -> str:
    """Put a text on one line and cut it."""
    return " ".join(text.split())[:_LONGEST]


def _cut(value: object) -> object:
    """Cut texts, and tables and lists to their largest or first entries."""
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, dict):
        kept = sorted(value.items(), key=lambda item: _size(item[1]), reverse=True)[:_MOST]
        return {str(name)[:_LONGEST]: _cut(entry) for name, entry in kept}
    if isinstance(value, list | tuple):
        return [_cut(entry) for entry in value[:_MOST]]
    return value


def _size(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    return float(len(value)) if isinstance(value, list | tuple) else 0.0
