"""What the harness can never measure is refused with the plan; what it refuses is no crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.hf_harness.adapter import RESULT, HfHarness
from adapters.hf_harness.models import known_models
from reprokit.adapter import Invocation, Model, PointContext, Setup
from reprokit.cli.main import invoke
from reprokit.records import Arm, Scalar

ADAPTER = HfHarness()
CLAIM = """\
schema: reprokit/claim/v1
id: refused
title: decoding crashes
source: {builtin: internal_harness}
expect: {kind: stability, equals: 1.0}
regime: {device: cpu, batch: 1}
model: {id: tiny-llama, dtype: float32, weights: synthetic}
adapter: {name: hf_harness, baseline: eager, subject: reduce-overhead, options: {token_len: 8}}
cells: {phase: [prefill, kv_decode]}
stack: {requirements: [torch==2.13.0]}
"""


def _setup(model: str = "tiny-llama", weights: str = "synthetic", **options: int) -> Setup:
    return Setup(
        model=Model(id=model, weights=weights, revision="a" * 40 if weights == "hub" else None),
        arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
        options=ADAPTER.check_options(options), device="cpu", samples=1, warmup=0, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "asked"),
    [
        ({"phase": "prefill", "token_len": 2048}, None),
        ({"phase": "prefill", "token_len": 2049}, "has 2048 positions, and token_len ask for 2049"),
        ({"phase": "kv_decode", "token_len": 2032}, None),
        ({"phase": "kv_decode", "token_len": 2033}, "prompt_len ask for 2049"),
        ({"model": "gpt2-25m", "token_len": 1025}, "gpt2-25m has 1024 positions"),
        ({"model": "llama3.2-1b", "token_len": 4096}, None),
        ({"model": "nope"}, "no model 'nope'"),
    ],
)
def test_a_cell_that_no_stack_can_measure_is_told(
    cell: dict[str, Scalar], asked: str | None
) -> None:
    found = ADAPTER.never_measurable(_setup(), cell)
    assert found is None if asked is None else asked in str(found)


def test_what_other_weights_would_put_right_is_left_to_the_run() -> None:
    assert ADAPTER.never_measurable(_setup("some/model", "hub"), {}) is None
    assert ADAPTER.never_measurable(_setup("gpt2-25m", "hub"), {}) is None
    assert "owner/name" in str(ADAPTER.never_measurable(_setup("nope", "hub"), {}))


@pytest.mark.parametrize("name", sorted(known_models()))
def test_the_positions_of_every_model_are_known(name: str) -> None:
    weights = "hub" if "quantized" in known_models()[name] else "synthetic"
    found = ADAPTER.never_measurable(_setup(name, weights, token_len=200_000), {})
    assert "positions" in str(found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("adapter.options.token_len=4096", "tiny-llama has 2048 positions"),
        ("model.id=nope", "no model 'nope'"),
    ],
)
def test_a_typo_ends_before_anything_is_prepared(
    change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = tmp_path / "claim.yaml"
    claim.write_text(CLAIM)
    for dry in (["--dry-run"], ["--runs", str(tmp_path / "runs"), "--quiet"]):
        assert invoke(["verify", str(claim), "--set", change, *dry]) == 2
        told = capsys.readouterr()
        assert words in told.err
        assert "built here with random values" not in told.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("exception", "refused"), [("spec.SpecError", True), ("RuntimeError", False)]
)
def test_a_refusal_of_the_harness_is_no_crash(
    exception: str, refused: bool, tmp_path: Path
) -> None:
    message = "tiny-llama has 2048 positions, and 4096 are asked for"
    failure: dict[str, object] = {
        "kind": "failure", "exception": exception, "message": message, "frame": None,
        "causes": [],
    }  # fmt: skip
    (tmp_path / RESULT).write_text(json.dumps(failure) + "\n")
    point = PointContext(point="p", python="/python", source="/harness", commit=None)
    asked = Invocation(id="i", arm=Arm.SUBJECT, cell={}, directory=str(tmp_path))
    reading = ADAPTER.read(_setup(), point, asked)
    assert reading.failure is not None, reading.problem
    assert reading.unsupported == (f"the harness refused it: {message}" if refused else None)
