"""How the internal harness is asked, and what is believed of its result file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness_result import invocation, make_spec, point, read, records, setup

from adapters.hf_harness import ADAPTER
from adapters.hf_harness.options import (
    CACHES,
    DTYPES,
    MODES,
    PHASES,
)
from reprokit.adapter import Model, OptionError
from reprokit.claim.load import load_claim
from reprokit.errors import ClaimError, PlanError, UsageError
from reprokit.records import Arm, CompileDecision, RowStatus
from reprokit.sweep import make_plan

QUICKSTART = Path(__file__).parents[2] / "claims" / "quickstart.yaml"


def test_the_harness_lies_where_the_adapter_looks() -> None:
    source = ADAPTER.builtin_source()
    assert source is not None
    assert (source / "__main__.py").is_file()


def test_both_sides_know_the_same_values() -> None:
    """The harness imports nothing of ours, so a test keeps the two lists together."""
    import spec

    assert spec.PHASES == PHASES
    assert spec.CACHES == CACHES
    assert spec.DTYPES == DTYPES
    assert tuple(spec.MODES) == MODES
    asked = make_spec(setup(), invocation(Path("x")))
    assert spec.load_spec(json.dumps(asked)).model == "tiny-llama"


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"phases": "prefill"}, "phases"),
        ({"phase": "train"}, "phase"),
        ({"phase": ["prefill"]}, "phase"),
        ({"cache": "SlidingCache"}, "cache"),
        ({"token_len": 0}, "token_len"),
        ({"token_len": True}, "token_len"),
        ({"prompt_len": 1.5}, "prompt_len"),
        ({"batch": None}, "batch"),
        ({"threads": 0}, "threads"),
        ({"token_len": 1_000_001}, "token_len"),
    ],
)
def test_a_wrong_option_is_refused_where_it_stands(options: dict[str, Any], where: str) -> None:
    with pytest.raises(OptionError) as caught:
        ADAPTER.check_options(options)
    assert caught.value.path == ("options", where)


def test_cells_override_options_and_the_model(tmp_path: Path) -> None:
    cell: dict[str, Any] = {
        "phase": "kv_decode", "token_len": 8, "dtype": "bfloat16", "cache": "StaticCache",
    }  # fmt: skip
    spec = make_spec(setup(token_len=64), invocation(tmp_path, **cell))
    assert {name: spec[name] for name in cell} == cell
    assert spec["mode"] == "default"
    assert spec["threads"] is None


def test_a_compile_mode_is_the_subjects_only(tmp_path: Path) -> None:
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: "eager"}
    plan = setup().model_copy(update={"arms": arms})
    subject = invocation(tmp_path, Arm.SUBJECT, compile_mode="default")
    baseline = invocation(tmp_path, Arm.BASELINE, compile_mode="default")
    assert make_spec(plan, subject)["mode"] == "default"
    assert make_spec(plan, baseline)["mode"] == "eager"


@pytest.mark.parametrize(
    "cell", [{"phase": "x"}, {"token_len": -1}, {"batch": "2"}, {"compile_mode": "eager"}]
)
def test_a_cell_that_cannot_be_measured_is_refused(tmp_path: Path, cell: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(cell))):
        ADAPTER.command(setup(), point(), invocation(tmp_path, **cell))


@pytest.mark.parametrize("value", ["-64", "'64'", "64.5", "true", "abc", "1000001"])
def test_a_cell_that_cannot_be_measured_is_refused_when_the_claim_is_loaded(
    tmp_path: Path, value: str
) -> None:
    text = QUICKSTART.read_text(encoding="utf-8")
    assert "token_len: [64]" in text
    claim = tmp_path / "claim.yaml"
    claim.write_text(text.replace("token_len: [64]", f"token_len: [64, {value}]"))
    line = text[: text.index("token_len: [64]")].count("\n") + 1
    with pytest.raises(ClaimError, match=rf"claim.yaml:{line}:19: token_len"):
        load_claim(claim)
    with pytest.raises(PlanError, match="--sweep token_len: "):
        make_plan(load_claim(QUICKSTART), sweeps=(f"token_len=64,{value}",))
    with pytest.raises(PlanError, match="--sweep batch: "):
        make_plan(load_claim(QUICKSTART), sweeps=(f"batch={value}",))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("model: {id: tiny-llama, dtype: float32, weights: synthetic}", "model: null", "synthetic"),
        ("{builtin: internal_harness}", "{builtin: internl_harness}", "'internal_harness'"),
        ("dtype: float32", "dtype: bf16", "'bfloat16'"),
        ('transformers: ["4.57.6"', 'transfomers: ["4.57.6"', "'transformers'"),
    ],
)
def test_a_claim_that_can_never_be_measured_is_an_error_with_advice(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = QUICKSTART.read_text(encoding="utf-8")
    assert text.count(old) == 1
    claim = tmp_path / "claim.yaml"
    claim.write_text(text.replace(old, new))
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(ClaimError, match=rf"claim.yaml:{line}:\d+: ") as raised:
        load_claim(claim)
    assert words in raised.value.hint


def test_weights_of_the_hub_can_be_planned(tmp_path: Path) -> None:
    loaded = load_claim(QUICKSTART, overrides=("model.weights=hub",))
    assert make_plan(loaded, sweeps=()).setup.model == Model(id="tiny-llama")


def test_the_command_is_the_harness_by_path_with_the_spec_inline(tmp_path: Path) -> None:
    command = ADAPTER.command(setup(), point(), invocation(tmp_path))
    assert command.unsupported is None
    assert command.argv[:2] == ("/env/bin/python", "-s")
    assert command.argv[2] == str(ADAPTER.builtin_source())
    asked = json.loads(command.argv[3].removeprefix("--spec="))
    assert asked["mode"] == "default"
    assert asked["samples"] == 2


def test_what_the_harness_cannot_measure_is_unsupported_in_words(tmp_path: Path) -> None:
    for model, words in (
        (Model(id="tiny-llama", weights="hub"), "model.weights=synthetic"),
        (Model(id="no-such", weights="synthetic"), "tiny-llama"),
    ):
        plan = setup().model_copy(update={"model": model})
        reason = ADAPTER.command(plan, point(), invocation(tmp_path)).unsupported
        assert reason is not None
        assert words in reason


def test_a_data_type_that_torch_has_not_is_unsupported(tmp_path: Path) -> None:
    model = Model(id="tiny-llama", dtype="awq-4bit", weights="synthetic")
    plan = setup().model_copy(update={"model": model})
    assert "awq-4bit" in str(ADAPTER.command(plan, point(), invocation(tmp_path)).unsupported)


def test_a_whole_file_becomes_samples_with_evidence(tmp_path: Path) -> None:
    spec = make_spec(setup(), invocation(tmp_path))
    reading = read(tmp_path, records(spec))
    assert reading.problem is None
    assert [sample.values["latency_ms"] for sample in reading.samples] == [2.0, 3.0]
    assert reading.samples[0].values["wall_ms"] == 2.0
    assert "tokps" not in reading.samples[0].values
    assert reading.samples[0].evidence.output_tokens == (7,) * 32
    assert reading.samples[0].evidence.output_ties == (None,) * 31 + (9,)
    assert reading.samples[0].evidence.tokens == reading.samples[0].evidence.tokens_asked == 32
    assert [sample.evidence.input_digest for sample in reading.samples] == ["i0", "i1"]
    assert reading.samples[0].evidence.output_digest != reading.samples[1].evidence.output_digest
    assert reading.evidence.floor_ms == 0.5
    assert reading.evidence.extra["overhead_ms"] == 0.25
    assert reading.evidence.extra["tolerance"] == {"ulps": 64}
    assert reading.evidence.extra["compile_artifact"] == "compile.json"
    assert reading.samples[0].evidence.device == "cpu"
    assert not reading.samples[0].cold
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.COMPILED
    assert reading.labels == ("synthetic_weights",)


def test_decoding_has_a_rate_and_the_first_iteration_without_warmup_is_cold(
    tmp_path: Path,
) -> None:
    plan = setup(phase="kv_decode").model_copy(update={"warmup": 0})
    spec = make_spec(plan, invocation(tmp_path))
    reading = read(tmp_path, records(spec), plan=plan)
    assert reading.samples[0].values["tokps"] == 16_000.0
    assert [sample.cold for sample in reading.samples] == [True, False]


def test_times_of_the_device_and_of_the_first_token_are_values(tmp_path: Path) -> None:
    plan = setup(phase="e2e_kv")
    lines = records(make_spec(plan, invocation(tmp_path)))
    lines[1] |= {"device_ms": 1.5, "ttft_ms": 0.75}
    first, second = read(tmp_path, lines, plan=plan).samples
    assert (first.values["device_ms"], first.values["ttft_ms"]) == (1.5, 0.75)
    assert not {"device_ms", "ttft_ms"} & set(second.values)


def test_equal_tokens_with_equal_logits_have_equal_digests_and_nothing_has_none(
    tmp_path: Path,
) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    lines[2]["logits"] = "l0"
    first, second = read(tmp_path, lines).samples
    assert first.evidence.output_digest == second.evidence.output_digest
    lines[2]["output"] = [6] * 32
    assert first.evidence.output_digest != read(tmp_path, lines).samples[1].evidence.output_digest
    lines[2]["logits"] = None
    assert read(tmp_path, lines).samples[1].evidence.output_digest is None


def test_a_floor_that_cannot_be_told_is_none(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    lines[0]["floor"] = {"ms": None, "reason": "no cache size"}
    reading = read(tmp_path, lines)
    assert reading.problem is None
    assert reading.evidence.floor_ms is None


def test_rows_are_labelled_by_the_weights_that_were_measured(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    lines[0]["model"]["weights"] = "hub"
    assert read(tmp_path, lines).labels == ("hub_weights",)
    assert read(tmp_path, []).labels == ("synthetic_weights",)


def test_clocks_that_disagree_spoil_what_was_sound_and_no_more(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    for line in lines[1:3]:
        line["check_ms"] = 50.0
    lines[2]["finite"] = False
    first, second = read(tmp_path, lines).samples
    assert first.status is RowStatus.CONTAMINATED
    assert (first.reason or "").startswith("two_clocks: ")
    assert second.status is RowStatus.WRONG_OUTPUT
    for line in lines[1:3]:
        line["check_ms"] = line["latency_ms"]
    assert read(tmp_path, lines).samples[0].status is RowStatus.OK


def test_inf_or_nan_in_the_output_is_a_wrong_output(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    lines[2]["finite"] = False
    reading = read(tmp_path, lines)
    assert reading.samples[0].status is RowStatus.OK
    assert reading.samples[1].status is RowStatus.WRONG_OUTPUT


def test_a_file_of_another_spec_is_not_believed(tmp_path: Path) -> None:
    lines = records(make_spec(setup(token_len=8), invocation(tmp_path)))
    reading = read(tmp_path, lines)
    assert reading.samples == ()
    assert "another spec" in str(reading.problem)


def test_a_structured_failure_is_handed_on_and_earlier_iterations_stay(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))[:2]
    frame = {"file": "phases.py", "line": 3, "function": "run"}
    cause = {"exception": "ValueError", "message": "first"}
    lines.append(
        {"kind": "failure", "exception": "torch.X", "message": "m", "frame": frame,
         "causes": [cause]}
    )  # fmt: skip
    reading = read(tmp_path, lines)
    assert len(reading.samples) == 1
    assert reading.failure is not None
    assert reading.failure.headline() == "torch.X: m (at phases.py:3 in run)"
    assert reading.failure.causes[0].exception == "ValueError"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "no end"),
        (lambda lines: lines[1:], "header"),
        (lambda lines: [lines[0], lines[1], *lines[3:]], "iterations"),
        (lambda lines: [], "no end"),
        (lambda lines: [lines[0], {"kind": "surprise"}], "result.jsonl:2"),
        (lambda lines: [lines[0], {**lines[1], "latency_ms": "fast"}], "latency_ms"),
        (lambda lines: [lines[0], {**lines[1], "latency_ms": float("nan")}], "latency_ms"),
        (lambda lines: [lines[0], {**lines[1], "output": None}], "output"),
        (lambda lines: [lines[0], {**lines[1], "output": [7]}], "equally long"),
        (lambda lines: [lines[0], {**lines[1], "ties": []}], "equally long"),
        (lambda lines: [lines[0], {**lines[1], "tokens_made": 3}], "equally long"),
        (lambda lines: [lines[0], {**lines[1], "weighed": {"finite": True}}], "stray"),
        (lambda lines: [{**lines[0], "model": {"dtypes": ["float32"]}}], "result.jsonl:1"),
        (lambda lines: [lines[0], {**lines[1], "input": ""}], "input"),
        (lambda lines: [{**lines[0], "floor": {}}], "result.jsonl:1"),
        (lambda lines: [{**lines[0], "floor": {"ms": -1.0}}], "result.jsonl:1"),
        (lambda lines: [lines[0], {**lines[1], "iteration": -1}], "iteration"),
        (lambda lines: [lines[0], {**lines[3], "decision": "yes"}], "decision"),
    ],
)
def test_a_damaged_file_is_a_problem_in_words(tmp_path: Path, change: Any, words: str) -> None:
    lines = change(records(make_spec(setup(), invocation(tmp_path))))
    assert words in str(read(tmp_path, lines).problem)


@pytest.mark.parametrize("data", [b"\xff\xfe\n", b"{}\n", b"[[[[\n", b"null\n", b'{"kind": "end"'])
def test_bytes_that_are_no_result_never_raise(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "result.jsonl").write_bytes(data)
    reading = ADAPTER.read(setup(), point(), invocation(tmp_path))
    assert reading.samples == ()
    assert reading.problem is not None


def test_no_file_is_a_problem(tmp_path: Path) -> None:
    assert "left no" in str(ADAPTER.read(setup(), point(), invocation(tmp_path)).problem)


def test_without_compile_evidence_there_is_none(tmp_path: Path) -> None:
    lines = records(make_spec(setup(), invocation(tmp_path)))
    reading = read(tmp_path, [*lines[:3], lines[4]])
    assert reading.evidence.compile is None
