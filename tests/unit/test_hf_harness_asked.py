"""What a result of the harness is held against: the spec that was handed over, never its own word.

Each test takes a sound result, changes one thing as a harness at fault would have written it, and
sees that no sample is ok.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness_result import invocation, make_spec, read, records, setup

from reprokit.adapter import Reading, Sample, Setup
from reprokit.records import Arm, CompileDecision, CompileEvidence, Evidence, RowStatus
from reprokit.run.proof import lowered

DECODING = {"phase": "kv_decode", "token_len": 8, "batch": 2}


def lines_of(plan: Setup, folder: Path, **cell: Any) -> list[dict[str, Any]]:
    return records(make_spec(plan, invocation(folder, **cell)))


def statuses(reading: Reading) -> set[RowStatus]:
    return {sample.status for sample in reading.samples}


@pytest.mark.parametrize(
    ("phase", "asked", "steps"), [("prefill", 16, 1), ("kv_decode", 16, 8), ("e2e_kv", 18, 9)]
)
def test_tokens_and_steps_are_those_of_the_spec(
    tmp_path: Path, phase: str, asked: int, steps: int
) -> None:
    plan = setup(**{**DECODING, "phase": phase})
    lines = lines_of(plan, tmp_path)
    evidence = read(tmp_path, lines, plan=plan).samples[0].evidence
    assert (evidence.tokens_asked, evidence.output_steps) == (asked, steps)
    # A harness that asked itself for one step only, and made it, is right in its own eyes.
    for line in lines[1:3]:
        line |= {"tokens_asked": 2, "tokens_made": 2, "output": [7, 7], "ties": [None, None]}
    reading = read(tmp_path, lines, plan=plan)
    assert reading.samples == ()
    assert f"asked for 2 tokens; it was asked for {asked}" in str(reading.problem)


@pytest.mark.parametrize(
    ("mode", "changes", "decision", "told"),
    [
        ("default", {}, CompileDecision.COMPILED, "it ran"),
        ("default", {"decision": "not_asked"}, CompileDecision.UNKNOWN, "says not_asked, and the"),
        ("default", {"facts": {"steps": 1}}, CompileDecision.UNKNOWN, "of 1 calls of the model"),
        ("default", {"facts": {}}, CompileDecision.UNKNOWN, "of None calls of the model"),
        ("eager", {"decision": "not_asked"}, CompileDecision.NOT_ASKED, "it ran"),
        ("eager", {}, CompileDecision.UNKNOWN, "says compiled, and the mode asked for is eager"),
    ],
)
def test_compilation_is_proved_for_what_was_asked_for(
    tmp_path: Path, mode: str, changes: dict[str, Any], decision: CompileDecision, told: str
) -> None:
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: mode}
    plan = setup(**DECODING).model_copy(update={"arms": arms})
    lines = lines_of(plan, tmp_path)
    lines[3] |= changes
    proof = read(tmp_path, lines, plan=plan).evidence.compile
    assert proof is not None
    assert proof.decision is decision
    assert told in proof.reason


@pytest.mark.parametrize(
    ("subject", "refused"), [("eager", False), ("default", True), ("compiled", True)]
)
def test_a_subject_that_was_to_be_compiled_is_not_excused_by_not_asked(
    subject: str, refused: bool
) -> None:
    plan = setup().model_copy(update={"arms": {Arm.BASELINE: "eager", Arm.SUBJECT: subject}})
    proof = CompileEvidence(decision=CompileDecision.NOT_ASKED, reason="the arm is eager")
    sample = Sample(iteration=0, values={"latency_ms": 1.0})
    found = lowered(sample, Evidence(compile=proof), arm=Arm.SUBJECT, setup=plan)
    assert (found is not None) == refused
    if found is not None:
        assert found.status is RowStatus.SILENT_FALLBACK
        assert f"compile_not_asked: the arm is {subject}" in found.reason
    assert lowered(sample, Evidence(compile=proof), arm=Arm.BASELINE, setup=plan) is None


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"dtypes": {"float32": 106816}}, "bfloat16 weights are asked for"),
        ({"dtypes": {"bfloat16": 106000, "float32": 816}}, "the harness has bfloat16, float32"),
        ({"dtypes": {"bfloat16": 106000, "float16": 816}, "kept_in_float32": 0}, "float16"),
        ({"dtypes": {"float32": 106816}, "kept_in_float32": 106816}, "the harness has float32"),
        ({"dtypes": {}}, "does not say of what dtype"),
        ({"weight_bytes": 4 * 106816}, "take 213632 bytes, not 427264"),
        ({"weight_bytes": None}, "not None"),
        ({"parameters": 5, "dtypes": {"bfloat16": 5}, "weight_bytes": 10}, "has 106816 parameters"),
        ({"quantized": True, "dtypes": {}}, "does not say of what dtype"),
    ],
)
def test_weights_are_of_the_dtype_and_number_that_were_asked_for(
    tmp_path: Path, facts: dict[str, Any], told: str
) -> None:
    lines = lines_of(setup(), tmp_path, dtype="bfloat16")
    sound = {"dtypes": {"bfloat16": 106816}, "weight_bytes": 2 * 106816}
    lines[0]["model"] |= sound
    assert statuses(read(tmp_path, lines, dtype="bfloat16")) == {RowStatus.OK}
    lines[0]["model"] |= facts
    reading = read(tmp_path, lines, dtype="bfloat16")
    assert reading.samples == ()
    assert told in str(reading.problem)


def test_what_the_model_itself_keeps_in_float32_is_no_other_dtype(tmp_path: Path) -> None:
    lines = lines_of(setup(), tmp_path, dtype="bfloat16")
    lines[0]["model"] |= {
        "dtypes": {"bfloat16": 106000, "float32": 816}, "kept_in_float32": 816,
        "weight_bytes": 2 * 106000 + 4 * 816,
    }  # fmt: skip
    assert statuses(read(tmp_path, lines, dtype="bfloat16")) == {RowStatus.OK}


@pytest.mark.parametrize(
    ("place", "changes", "told"),
    [
        (1, {"weighed": {"finite": True, "stray": 3}}, "differs_from_whole_sequence: token 3"),
        (1, {"weighed": {"finite": False, "stray": None}}, "not_finite: the logits of the whole"),
        (1, {"weighed": None}, "not_weighed"),
        (1, {"logits": None}, "no_output"),
        (-1, {"each_call": {"calls": 8, "not_finite": 0}}, "not_finite: the logits of call 0"),
        (-1, {"each_call": {"calls": 7, "not_finite": None}}, "8 calls of the model, and 7 were"),
        (-1, {"each_call": None}, "not_looked_at"),
    ],
)
def test_every_step_of_decoding_must_have_been_judged(
    tmp_path: Path, place: int, changes: dict[str, Any], told: str
) -> None:
    plan = setup(**DECODING)
    lines = lines_of(plan, tmp_path)
    assert statuses(read(tmp_path, lines, plan=plan)) == {RowStatus.OK}
    lines[place] |= changes
    first, second = read(tmp_path, lines, plan=plan).samples
    assert first.status is RowStatus.WRONG_OUTPUT
    assert told in str(first.reason)
    assert second.status is (RowStatus.OK if place == 1 else RowStatus.WRONG_OUTPUT)


def test_a_token_of_a_prompt_must_be_the_greatest_of_its_own_logits(tmp_path: Path) -> None:
    lines = lines_of(setup(), tmp_path)
    lines[1]["weighed"]["stray"] = 0
    first = read(tmp_path, lines).samples[0]
    assert (first.status, str(first.reason)[:10]) == (RowStatus.WRONG_OUTPUT, "not_greedy")
