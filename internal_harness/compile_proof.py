"""Decides from what was observed whether compiled code really executed. Pure: no torch here.

`torch.compile` can return normally without compiling anything, and counters say what was compiled,
not what ran; their names move between releases. So the decision rests on a profiled, untimed run:
torch marks each call of an Inductor graph on every device, generated kernels are named `triton_*`,
and CUDA graphs show as launches. Counters only lower it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

COMPILED, PARTLY, FELL_BACK, UNKNOWN = "compiled", "partly", "fell_back", "unknown"
NOT_ASKED = "not_asked"

LEAST_SHARE = 0.5
"""With graph breaks: the least share of the profiled time that compiled graphs must account for."""


@dataclass(frozen=True)
class Observation:
    """What was seen of compilation.

    Attributes:
        steps: calls of the compiled model in the profiled run.
        graph_calls: calls of Inductor graphs in it.
        generated: executions of generated kernels on the device, by name.
        graph_launches: CUDA-graph launches in it.
        share: part of its time spent in Inductor graphs, 0 to 1.
        unique_graphs: graphs that Dynamo captured in the life of the process.
        frames: frames that Dynamo was given, and those that it compiled.
        graph_breaks: breaks that Dynamo counted.
        failures: classes of compilations that failed.
        compiled_in_window: counters that moved while iterations were timed, and by how much.
    """

    steps: int
    device: str
    graph_calls: int = 0
    generated: dict[str, int] = field(default_factory=dict)
    graph_launches: int = 0
    share: float = 0.0
    unique_graphs: int = 0
    frames: tuple[int, int] = (0, 0)
    graph_breaks: int = 0
    failures: tuple[str, ...] = ()
    compiled_in_window: dict[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return everything as plain values; of the kernels only the most frequent ones."""
        top = sorted(self.generated.items(), key=lambda item: -item[1])[:16]
        return {**asdict(self), "generated": dict(top), "distinct_generated": len(self.generated)}


def decide(seen: Observation) -> tuple[str, str]:
    """Return the decision and its reason."""
    executed = sum(seen.generated.values())
    total, compiled = seen.frames
    marks = seen.graph_calls or executed or seen.graph_launches
    rules = (
        (
            not marks and not seen.unique_graphs,
            FELL_BACK,
            "nothing was compiled and no compiled code ran" + _because(seen),
        ),
        (
            not marks,
            UNKNOWN,
            f"{seen.unique_graphs} graphs were captured and the profiler saw none of them run",
        ),
        (
            seen.graph_calls < seen.steps and seen.graph_launches < seen.steps,
            PARTLY,
            f"{seen.graph_calls} calls of compiled graphs in {seen.steps} calls of the model"
            + _because(seen),
        ),
        (
            seen.device != "cpu" and not executed,
            UNKNOWN,
            "compiled graphs ran and no generated kernel was seen",
        ),
        (bool(seen.failures), PARTLY, "a compilation failed" + _because(seen)),
        (total > compiled, PARTLY, f"{compiled} of {total} frames were compiled"),
        (
            seen.graph_breaks > 0 and seen.share < LEAST_SHARE,
            PARTLY,
            f"{seen.graph_breaks} graph breaks leave {seen.share:.0%} of the time to graphs",
        ),
        (
            bool(seen.compiled_in_window),
            PARTLY,
            f"something was compiled inside the timed window: {seen.compiled_in_window}",
        ),
    )
    for holds, decision, reason in rules:
        if holds:
            return decision, reason
    return COMPILED, (
        f"{seen.graph_calls} calls of compiled graphs in {seen.steps} calls of the model, nothing "
        "compiled inside the timed window"
    )


def _because(seen: Observation) -> str:
    return f" ({', '.join(seen.failures)})" if seen.failures else ""
