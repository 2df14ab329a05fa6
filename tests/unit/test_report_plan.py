"""A plan in words says of the subject only what is true of every cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprokit.claim.load import load_claim
from reprokit.report.plan import plan_lines
from reprokit.sweep import make_plan

CLAIM = """
schema: reprokit/claim/v1
id: modes
title: Compiling helps in every mode
source: {builtin: internal_harness}
expect: {kind: gain, metric: latency_ms, at_least: 0}
regime: {device: cpu}
model: {id: tiny-llama, weights: synthetic}
adapter: {name: hf_harness, baseline: eager, subject: default}
cells: {phase: [prefill, kv_decode], token_len: [8]}
protocol: {invocations: 2, samples: 2}
stack: {requirements: [torch==2.13.0, transformers]}
"""


@pytest.mark.parametrize(
    ("sweep", "cells", "told"),
    [
        (None, None, "arms: baseline = eager, subject = default"),
        ("phase", None, "arms: baseline = eager, subject = default"),
        (
            "compile_mode=default,reduce-overhead",
            None,
            "arms: baseline = eager, subject = compile_mode of the cell",
        ),
        (
            None,
            "compile_mode: [default, reduce-overhead], ",
            "arms: baseline = eager, subject = compile_mode of the cell",
        ),
        (
            "compile_mode=reduce-overhead",
            None,
            "arms: baseline = eager, subject = reduce-overhead",
        ),
    ],
)
def test_the_subject_is_named_as_it_is(
    tmp_path: Path, sweep: str | None, cells: str | None, told: str
) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(CLAIM.replace("cells: {", "cells: {" + (cells or "")))
    loaded = load_claim(path)
    plan = make_plan(loaded, sweeps=(sweep,) if sweep else ())
    assert told in list(plan_lines(loaded.claim, plan, torch_backend=None, relock=False))
