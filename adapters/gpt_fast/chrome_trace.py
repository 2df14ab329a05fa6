"""Reads the profiler's trace of one sample and decides from it whether compiled code executed.

An unmodified script cannot be asked for torch's counters; its own `--profile` writes what the last
sample executed. Three marks are looked for: calls of Inductor's graphs, which torch marks on every
device; kernels that Inductor generated (`triton_*`); and CUDA-graph launches. Some commits compile
the building of their attention mask even in the eager arm, so a mark alone proves nothing: it must
occur once per decode step.
"""

from __future__ import annotations

import bisect
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pydantic import JsonValue

from reprokit.evidence import open_evidence
from reprokit.records import CompileDecision, CompileEvidence

CHUNK = 1 << 20
"""Characters read at a time; the memory needed is a few times this, whatever the trace's size."""

_FIRST = 1 << 16
"""Characters within which `traceEvents` must begin."""
_LONGEST_EVENT = 16 * CHUNK
_MOST_MARKS = 500_000
_OUTSIDE_DECODE = 4
"""Compiled calls per sample that prefill and mask building account for, whatever the tokens."""

_REGION = re.compile(r"Torch-Compiled Region(?:: (?P<frame>\d+)/\d+.*)?")
_GRAPH = re.compile(r"## Call CompiledFxGraph (?P<key>\S+) ##")
_GRAPH_LAUNCHES = frozenset({"cudaGraphLaunch", "cuGraphLaunch", "hipGraphLaunch"})


@dataclass
class Trace:
    """What a trace holds, in bounded size.

    Attributes:
        graph_calls: calls of compiled graphs by the frame that they belong to, or by the graph
            where no frame is marked.
        generated: executions of each generated kernel on the device.
        kernels: executions of all kernels on the device.
        problem: why the trace cannot be trusted.
    """

    events: int = 0
    size: int = 0
    sha256: str | None = None
    graph_calls: Counter[str] = field(default_factory=Counter)
    generated: Counter[str] = field(default_factory=Counter)
    kernels: int = 0
    graph_launches: int = 0
    problem: str | None = None

    def facts(self) -> dict[str, JsonValue]:
        """Return the summary that goes into the evidence."""
        return {
            "trace_sha256": self.sha256,
            "trace_bytes": self.size,
            "events": self.events,
            "compiled_graph_calls": dict(self.graph_calls.most_common(8)),
            "generated_kernels": dict(self.generated.most_common(8)),
            "distinct_generated_kernels": len(self.generated),
            "generated_kernel_executions": self.generated.total(),
            "kernel_executions": self.kernels,
            "cuda_graph_launches": self.graph_launches,
        }


def read_trace(path: Path) -> Trace:
    """Read a Chrome trace in bounded memory; never raises for what is in it."""
    trace = Trace()
    marks = _Marks()
    try:
        with (
            open_evidence(path) as stream,
            io.TextIOWrapper(stream, encoding="utf-8", errors="replace") as text,
        ):
            trace.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            trace.size = stream.tell()
            stream.seek(0)
            for event in _events(text):
                trace.events += 1
                _count(trace, marks, event)
    except FileNotFoundError:
        trace.problem = "the profiler left no trace"
    except OSError as error:
        trace.problem = f"the trace cannot be read: {error.strerror}"
    except (ValueError, RecursionError) as error:
        trace.problem = f"the trace is damaged: {error}"
    trace.graph_calls = marks.by_frame()
    return trace


def decide(trace: Trace, *, steps: int, device: str) -> CompileEvidence:
    """Decide whether the decode steps of the profiled sample ran compiled code.

    Args:
        trace: what the profiled sample executed.
        steps: calls of the compiled decode function in the sample.
        device: where the work ran, as seen from inside.
    """
    decision, reason = _decision(trace, steps, device)
    return CompileEvidence(
        decision=decision, reason=reason, facts={**trace.facts(), "decode_steps": steps}
    )


def _decision(trace: Trace, steps: int, device: str) -> tuple[CompileDecision, str]:
    if trace.problem is not None:
        return CompileDecision.UNKNOWN, trace.problem
    calls = max(trace.graph_calls.values(), default=0)
    # A launched CUDA graph says that kernels were recorded, not that Inductor generated them.
    launches = trace.graph_launches if trace.generated else 0
    on_device = max(launches, *trace.generated.values(), 0)
    proof, most = (calls if device == "cpu" else on_device), max(calls, on_device)
    seen = (
        f"{calls} calls of compiled graphs, {trace.generated.total()} generated kernels and "
        f"{trace.graph_launches} CUDA-graph launches in a sample of {steps} decode steps"
    )
    rules = (
        (proof >= steps, CompileDecision.COMPILED, "every decode step ran compiled code"),
        (calls >= steps, CompileDecision.UNKNOWN, "graphs ran without a generated kernel each"),
        (steps <= _OUTSIDE_DECODE, CompileDecision.UNKNOWN, "too few decode steps to tell"),
        (most > _OUTSIDE_DECODE, CompileDecision.PARTLY, "only some decode steps were compiled"),
        (most > 0 or device != "cpu", CompileDecision.FELL_BACK, "no decode step was compiled"),
        # Some releases of torch do not mark compiled code on a CPU.
        (True, CompileDecision.UNKNOWN, "the trace has no mark of compiled code"),
    )
    return next((decision, f"{words}: {seen}") for holds, decision, words in rules if holds)


class _Marks:
    """Compiled regions and graph calls, to be matched by time once the trace is read."""

    def __init__(self) -> None:
        self._regions: list[tuple[float, float, str]] = []
        self._calls: list[tuple[float, str]] = []

    def add(self, event: Mapping[str, object], name: str) -> None:
        start, length = event.get("ts"), event.get("dur", 0.0)
        if not isinstance(start, int | float) or not isinstance(length, int | float):
            return
        if graph := _GRAPH.fullmatch(name):
            self._calls.append((start, graph["key"]))
        elif (region := _REGION.fullmatch(name)) and region["frame"]:
            self._regions.append((start, start + length, f"frame {region['frame']}"))
        if len(self._regions) + len(self._calls) > _MOST_MARKS:
            raise ValueError(f"more than {_MOST_MARKS} marks of compiled code")

    def by_frame(self) -> Counter[str]:
        regions = sorted(self._regions)
        return Counter(self._frame(regions, start, key) for start, key in self._calls)

    @staticmethod
    def _frame(regions: list[tuple[float, float, str]], start: float, key: str) -> str:
        """Name the innermost region around a call; regions nest a few levels deep at most."""
        last = bisect.bisect_right(regions, start, key=lambda region: region[0])
        for begin, end, frame in reversed(regions[max(0, last - 16) : last]):
            if begin <= start <= end:
                return frame
        return f"graph {key}"


def _count(trace: Trace, marks: _Marks, event: Mapping[str, object]) -> None:
    name = event.get("name")
    if not isinstance(name, str):
        return
    if event.get("cat") == "kernel":
        trace.kernels += 1
        if name.startswith("triton_"):
            trace.generated[name] += 1
    elif name in _GRAPH_LAUNCHES:
        trace.graph_launches += 1
    elif event.get("ph") == "X":
        marks.add(event, name)


def _events(stream: TextIO) -> Iterator[Mapping[str, object]]:
    """Yield the objects of `traceEvents` one by one.

    Raises:
        ValueError: the file is no such trace, or it is cut short.
    """
    decoder = json.JSONDecoder()
    text, at = _find_events(stream)
    while True:
        while at < len(text) and text[at] in ", \t\r\n":
            at += 1
        if at < len(text) and text[at] == "]":
            return
        try:
            event, end = decoder.raw_decode(text, at)
        except ValueError:
            more = stream.read(CHUNK)
            if not more:
                raise ValueError("it is cut short") from None
            if len(text) - at > _LONGEST_EVENT:
                raise ValueError("it holds something that is no event") from None
            text, at = text[at:] + more, 0
            continue
        if not isinstance(event, dict):
            raise ValueError("it holds something that is no event")  # noqa: TRY004
        yield event
        at = end


def _find_events(stream: TextIO) -> tuple[str, int]:
    text = stream.read(_FIRST)
    found = re.search(r'"traceEvents"\s*:\s*\[', text)
    if found is None:
        raise ValueError("it has no traceEvents")
    return text, found.end()
