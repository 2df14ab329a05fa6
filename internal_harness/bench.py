"""Measures one spec: build, warm up, time, then prove what ran."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from dataclasses import asdict
from typing import Any

import torch
from compile_proof import NOT_ASKED, decide
from compile_watch import CompileWatch, all_counters, end_compile_workers
from model_zoo import build_model, count_parameters, weight_bytes
from phases import Phase, make_phase
from result_file import SCHEMA, ResultFile
from spec import MODES, Spec, SpecError

_PACKAGES = ("torch", "triton", "transformers", "tokenizers", "numpy")


def measure(spec: Spec, results: ResultFile) -> None:
    """Measure a spec and write all that was seen; exceptions are the caller's to record."""
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise SpecError("cuda is asked for, and torch finds no CUDA device")
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    torch.manual_seed(spec.seed)
    with torch.inference_mode():
        model = build_model(spec)
        results.write("header", _header(spec, model))
        _measure(spec, model, results)
    results.write("end", {"iterations": spec.samples})


def _measure(spec: Spec, model: torch.nn.Module, results: ResultFile) -> None:
    compiling = MODES[spec.mode] is not None
    forward = torch.compile(model, mode=MODES[spec.mode]) if compiling else model
    phase = make_phase(spec, model, forward)
    for _ in range(spec.warmup):
        phase.prepare()
        phase.run()
    watch = CompileWatch()
    if compiling:
        end_compile_workers()
        watch.window_opens()
    for iteration in range(spec.samples):
        results.write("iteration", {"iteration": iteration, **_iteration(spec, phase)})
    if not compiling:
        results.write("compile", {"decision": NOT_ASKED, "reason": "the arm is eager"})
        return
    watch.window_closes()
    phase.prepare()
    seen = watch.observe(phase.run, steps=phase.steps, device=spec.device)
    decision, reason = decide(seen)
    facts = {**seen.facts(), "counters": all_counters()}
    results.write("compile", {"decision": decision, "reason": reason, "facts": facts})


def _iteration(spec: Spec, phase: Phase[Any]) -> dict[str, object]:
    """Time one call and look at what it made; only the call itself lies between the clocks."""
    phase.prepare()
    _synchronise(spec)
    started = time.perf_counter_ns()
    result = phase.run()
    _synchronise(spec)
    ended = time.perf_counter_ns()
    made = phase.produced(result)
    return {
        "latency_ms": (ended - started) / 1e6,
        "device": made.logits.device.type,
        "finite": bool(torch.isfinite(made.logits).all()),
        "tokens": made.tokens.flatten().tolist(),
        "tokens_asked": phase.steps * spec.batch,
    }


def _synchronise(spec: Spec) -> None:
    if spec.device == "cuda":
        torch.cuda.synchronize()


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
        "model": {
            "parameters": count_parameters(model),
            "weight_bytes": weight_bytes(model),
            "attention": getattr(model.config, "_attn_implementation", None),
            "weights": "synthetic",
        },
    }


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
