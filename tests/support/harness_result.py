"""Result files as the internal harness writes them, to be changed and read by the adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from adapters.hf_harness import ADAPTER, adapter
from adapters.hf_harness.asked import steps_asked, tokens_asked
from reprokit.adapter import Invocation, Model, PointContext, Reading, Setup
from reprokit.records import Arm


def setup(**options: Any) -> Setup:
    return Setup(
        model=Model(id="tiny-llama", weights="synthetic"),
        arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
        options=ADAPTER.check_options(options), device="cpu", samples=2, warmup=1, seed=42,
    )  # fmt: skip


def point() -> PointContext:
    source = str(ADAPTER.builtin_source())
    return PointContext(point="p", python="/env/bin/python", source=source, commit=None)


def invocation(folder: Path, arm: Arm = Arm.SUBJECT, **cell: Any) -> Invocation:
    return Invocation(id="i", arm=arm, cell=cell, directory=str(folder))


def make_spec(plan: Setup, asked: Invocation) -> dict[str, Any]:
    return adapter.make_spec(plan, point(), asked.arm, asked.cell)


def records(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the harness writes for a spec with two samples."""
    device = {"type": "cpu", "threads": 1}
    asked, steps = tokens_asked(spec), steps_asked(spec)
    return [
        {"kind": "header", "schema": "reprokit/harness/v1", "spec": spec,
         "versions": {"torch": "2.13.0", "cuda": None}, "device": device,
         "model": {"parameters": 106816, "weight_bytes": 4 * 106816, "dtypes": {"float32": 106816},
                   "weights": spec["weights"], "revision": None},
         "floor": {"ms": 0.5, "bytes": 8, "reason": None}, "tolerance": {"ulps": 64}},
        *({"kind": "iteration", "iteration": index, "latency_ms": 2.0 + index, "device_ms": None,
           "ttft_ms": None, "device": "cpu", "finite": True, "tokens_made": asked,
           "tokens_asked": asked, "output": [7] * asked, "ties": [None] * (asked - 1) + [9],
           "weighed": {"finite": True, "stray": None}, "input": f"i{index}", "logits": f"l{index}",
           "overhead_ms": 0.25} for index in range(2)),
        {"kind": "compile", "decision": "compiled", "reason": "it ran", "facts": {"steps": steps},
         "artifact": "compile.json"},
        {"kind": "end", "iterations": 2, "peak_bytes": None, "overhead_ms": 0.25,
         "each_call": None if steps == 1 else {"calls": steps, "not_finite": None}},
    ]  # fmt: skip


def read(
    tmp_path: Path, lines: list[dict[str, Any]], *, plan: Setup | None = None, **cell: Any
) -> Reading:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "result.jsonl").write_text(text)
    return ADAPTER.read(plan or setup(), point(), invocation(tmp_path, **cell))
