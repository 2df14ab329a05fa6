"""Measures one spec: build, warm up, time, then prove what ran."""

from __future__ import annotations

import functools
import gc
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import torch
from compile_dump import write_dump
from compile_proof import NOT_ASKED, decide
from compile_watch import CompileWatch, all_counters, end_compile_workers
from floor import measure_bandwidth, time_floor
from inputs import Prompts
from model_zoo import model_facts
from outputs import Tolerance, facts_of
from phases import Phase, finite_calls, make_phase
from result_file import SCHEMA, ResultFile
from spec import GRAPH_MODES, MODES, Spec
from timing import Stopwatch, Timed

if TYPE_CHECKING:
    from floor import Bandwidth

COMPILE_DUMP = "compile.json"
_PACKAGES = ("torch", "triton", "transformers", "tokenizers", "numpy")


def measure(spec: Spec, model: torch.nn.Module, results: ResultFile) -> None:
    """Measure a spec and write all that was seen; exceptions are the caller's to record.

    Args:
        spec: what is asked for.
        model: the model of the spec, on its device.
        results: where the records go; files beside it are named in them.
    """
    torch.manual_seed(spec.seed)
    spent = _Spent()
    with torch.inference_mode():
        results.write("header", _header(spec, model))
        compiling = MODES[spec.mode] is not None
        forward = torch.compile(model, mode=MODES[spec.mode]) if compiling else model
        run = _Run(spec, model, make_phase(spec, model, forward))
        watch = CompileWatch()
        spent.on("preparing")
        for _ in range(spec.warmup):
            run.iteration()
        if compiling:
            end_compile_workers()
            watch.window_opens()
        _settle()
        run.window_opens()
        spent.on("warming_up")
        for index in range(spec.samples):
            results.write("iteration", {"iteration": index, **run.iteration()})
        if compiling:
            watch.window_closes()
        spent.on("measuring")
        results.write("compile", _compilation(spec, run, watch, results))
        end = {"iterations": spec.samples, **run.summary(), "each_call": run.each_call()}
        spent.on("proving")
    results.write("end", {**end, "spent_s": spent.seconds})


def _settle() -> None:
    """Collect what is left of compiling, and let the collector pass over what stays.

    A collection that falls into a timed call walks through all objects that are not frozen: the
    compiler's are so many that it takes longer than the call, and the eager arm has none of them.
    """
    gc.collect()
    gc.freeze()


class _Spent:
    """Adds up what a spec costs beside its timed calls, in s; compiling falls into `warming_up`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def on(self, part: str) -> None:
        """Book the time since the last booking."""
        now = time.perf_counter()
        self.seconds[part], self._since = round(now - self._since, 3), now


class _Run:
    """Makes iterations of one phase; each has a prompt of its own, untimed ones too."""

    def __init__(self, spec: Spec, model: torch.nn.Module, phase: Phase) -> None:
        self._spec, self._phase = spec, phase
        self._prompts = Prompts(spec, model.config.vocab_size)
        self._tolerance = Tolerance.of(spec.dtype)
        self._watch = Stopwatch(spec.device)
        self._idle_ms: list[float] = []
        self._peaks: list[int] = []

    def iteration(self) -> dict[str, object]:
        """Time one call and look at what it made; only the call itself lies between the clocks."""
        prompt, digest = self._prompts.next()
        self._phase.prepare(prompt)
        if self._spec.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._watch.start()
        result = self._phase.run(self._watch.mark)
        timed = self._watch.stop()
        self._remember(timed)
        made = self._phase.produced(result)
        return {
            "latency_ms": timed.wall_ms,
            "device_ms": timed.device_ms,
            "ttft_ms": timed.marked_ms,
            "check_ms": timed.check_ms,
            "window_s": timed.window_s,
            **facts_of(made.logits, made.tokens, self._phase.weighed(made), self._tolerance),
            "tokens_asked": self._spec.tokens_asked,
            "input": digest,
            "overhead_ms": timed.idle_ms,
        }

    def window_opens(self) -> None:
        """Let the time outside of calls count from now on; before, there was more to do."""
        self._watch.rest()

    def untimed(self) -> Callable[[], object]:
        """Prepare one more call and return it."""
        self._phase.prepare(self._prompts.next()[0])
        return functools.partial(self._phase.run, _mark_nothing)

    def each_call(self) -> dict[str, object] | None:
        """Look at the logits of each call of the model in one more iteration.

        None where an iteration is a single call: its logits were looked at every time.
        """
        if self._spec.steps == 1:
            return None
        finite = finite_calls(self._phase, self.untimed())
        return {"calls": len(finite), "not_finite": None if all(finite) else finite.index(False)}

    def summary(self) -> dict[str, object]:
        """Return what holds for all timed iterations together; bytes are the device's."""
        idle, peaks = self._idle_ms[-self._spec.samples :], self._peaks[-self._spec.samples :]
        return {
            "peak_bytes": max(peaks, default=None),
            "overhead_ms": statistics.median(idle) if idle else None,
        }

    def _remember(self, timed: Timed) -> None:
        if timed.idle_ms is not None:
            self._idle_ms.append(timed.idle_ms)
        if self._spec.device == "cuda":
            self._peaks.append(torch.cuda.max_memory_allocated())


def _mark_nothing() -> None:
    """Stand in for the stopwatch where nobody times."""


def _compilation(
    spec: Spec, run: _Run, watch: CompileWatch, results: ResultFile
) -> dict[str, object]:
    """Prove what ran; what was seen of it is kept whole beside the results."""
    if MODES[spec.mode] is None:
        return {"decision": NOT_ASKED, "reason": "the arm is eager", "artifact": None}
    seen = watch.observe(
        run.untimed, steps=spec.steps, device=spec.device, graphs_asked=spec.mode in GRAPH_MODES
    )
    decision, reason = decide(seen)
    write_dump(results.path.with_name(COMPILE_DUMP), seen)
    facts = {**seen.facts(), "counters": all_counters()}
    return {"decision": decision, "reason": reason, "facts": facts, "artifact": COMPILE_DUMP}


@functools.cache
def _bandwidth(device: str) -> Bandwidth:
    """Measure once in the life of a process."""
    return measure_bandwidth(device)


def _header(spec: Spec, model: torch.nn.Module) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "spec": asdict(spec),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
            "torch_git": torch.version.git_version,
            "cuda": torch.version.cuda,
        },
        "device": _device(spec, model),
        "model": model_facts(spec, model),
        "floor": time_floor(
            model, phase=spec.phase, steps=spec.steps, spec_device=spec.device,
            bandwidth=_bandwidth(spec.device),
        ),
        "tolerance": Tolerance.of(spec.dtype).facts(),
    }  # fmt: skip


def _device(spec: Spec, model: torch.nn.Module) -> dict[str, object]:
    """Say where the weights lie, not where they were asked to be."""
    lies_on = sorted({parameter.device.type for parameter in model.parameters()})
    found: dict[str, object] = {"type": "+".join(lies_on), "threads": torch.get_num_threads()}
    if spec.device == "cuda":
        found["name"] = torch.cuda.get_device_name()
        found["capability"] = list(torch.cuda.get_device_capability())
    return found


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
