"""Gates on outputs and time: each test makes one of them close, or keep open for a sound row."""

from __future__ import annotations

from typing import Any

import pytest

from reprokit.adapter import Sample, Setup
from reprokit.records import Arm, CompileDecision, CompileEvidence, Evidence, Row, RowStatus
from reprokit.run.agreement import with_outputs_checked
from reprokit.run.proof import lowered, merged

SETUP = Setup(
    model=None, arms={}, options={}, device="cpu", samples=4, warmup=0, seed=1,
)  # fmt: skip


def gate(values: dict[str, float], **evidence: Any) -> str | None:
    compiled = CompileEvidence(decision=CompileDecision.COMPILED, reason="seen")
    facts = Evidence(device="cpu", compile=compiled, **evidence)
    found = lowered(Sample(iteration=0, values=values), facts, arm=Arm.SUBJECT, setup=SETUP)
    return f"{found.status}: {found.reason}" if found else None


@pytest.mark.parametrize(
    ("values", "tokens"),
    [
        ({"latency_ms": 0.11}, None),
        ({"wall_ms": 0.11}, None),
        ({"latency_ms": 5.0, "device_ms": 0.11}, None),
        ({"tokps": 80_000.0}, 8),
    ],
)
def test_nothing_is_faster_than_reading_the_weights(
    values: dict[str, float], tokens: int | None
) -> None:
    told = gate(values, tokens=tokens, floor_ms=0.72)
    assert told is not None
    assert told.startswith("fall_through: too_fast: 0.1")
    assert told.endswith("takes at least 0.72 ms")
    assert gate(values, tokens=tokens, floor_ms=0.05) is None


@pytest.mark.parametrize("floor", [None, float("nan"), float("inf")])
def test_a_floor_that_is_not_known_refuses_nothing(floor: float | None) -> None:
    assert gate({"latency_ms": 0.001}, floor_ms=floor) is None


def test_the_first_token_has_no_floor_of_the_whole() -> None:
    assert gate({"latency_ms": 9.0, "ttft_ms": 1.0}, floor_ms=8.0) is None


def test_the_device_cannot_work_longer_than_the_host_waited() -> None:
    told = gate({"latency_ms": 4.0, "device_ms": 5.2})
    assert told == "contaminated: two_clocks: 5.2 ms on the device inside of 4 ms on the host"
    assert gate({"latency_ms": 4.0, "device_ms": 4.1}) is None
    assert gate({"latency_ms": 0.1, "device_ms": 0.12}) is None
    assert gate({"latency_ms": 400.0, "device_ms": 0.2}) is None


def test_all_evidence_of_a_sample_overrides_that_of_its_invocation() -> None:
    common = Evidence(floor_ms=1.0, output_tokens=(1,), output_ties=(2,), output_digest="a")
    own = Evidence(output_tokens=(5,), input_digest="i", output_steps=3)
    found = merged(common, own)
    assert (found.floor_ms, found.input_digest, found.output_steps) == (1.0, "i", 3)
    assert (found.output_tokens, found.output_ties, found.output_digest) == ((5,), None, None)


def row(arm: Arm, iteration: int, tokens: tuple[int, ...] | None, **evidence: Any) -> Row:
    status = evidence.pop("status", RowStatus.OK)
    return Row(
        id=f"p__c__{arm}__00__{iteration:03d}", point="p", cell="c", arm=arm, invocation=0,
        iteration=iteration, status=status, evidence=Evidence(output_tokens=tokens, **evidence),
    )  # fmt: skip


def compared(subject: dict[str, Any], *baselines: dict[str, Any]) -> Row:
    """Check one subject row, iteration 0, against baseline rows."""
    rows = [
        row(Arm.BASELINE, at, **{"tokens": (1, 2, 3, 4), **facts})
        for at, facts in enumerate(baselines)
    ]
    return with_outputs_checked([*rows, row(Arm.SUBJECT, 0, **subject)])[-1]


def verdict(found: Row) -> str:
    return " ".join([found.status, *found.labels, (found.reason or "")]).strip()


def test_a_difference_without_a_tie_is_wrong() -> None:
    found = compared({"tokens": (1, 2, 9, 4)}, {})
    assert verdict(found) == "wrong_output output_differs: from the baseline's at token 2"


@pytest.mark.parametrize("side", ["subject", "baseline"])
def test_a_tie_of_either_side_that_names_the_other_is_rounding(side: str) -> None:
    mine: dict[str, Any] = {"tokens": (1, 2, 9, 4)}
    theirs: dict[str, Any] = {}
    if side == "subject":
        mine["output_ties"] = (None, None, 3, None)
    else:
        theirs["output_ties"] = (None, None, 9, None)
    assert verdict(compared(mine, theirs)) == "ok output_tied"


@pytest.mark.parametrize("ties", [(None, None, 7, None), (3, 3, None, 3), (None, 3), ()])
def test_a_tie_with_another_token_or_elsewhere_excuses_nothing(ties: tuple[int | None]) -> None:
    found = compared({"tokens": (1, 2, 9, 4), "output_ties": ties}, {})
    assert found.status is RowStatus.WRONG_OUTPUT


@pytest.mark.parametrize(
    ("steps", "status"), [(4, RowStatus.OK), (2, RowStatus.WRONG_OUTPUT), (1, "w"), (None, "w")]
)
def test_only_the_rest_of_its_own_sequence_follows_from_a_tie(
    steps: int | None, status: str
) -> None:
    expected = RowStatus.WRONG_OUTPUT if status == "w" else status
    mine = {"tokens": (9, 2, 8, 8), "output_ties": (1, None, None, None), "output_steps": steps}
    assert compared(mine, {"output_steps": steps}).status is expected


def test_arms_that_disagree_on_what_a_sequence_is_are_compared_throughout() -> None:
    mine = {"tokens": (9, 2, 8, 8), "output_ties": (1, None, None, None), "output_steps": 4}
    assert compared(mine, {"output_steps": 1}).status is RowStatus.WRONG_OUTPUT


def test_a_tie_before_the_end_excuses_no_missing_token() -> None:
    mine = {"tokens": (9, 2), "output_ties": (1, None), "output_steps": 4}
    assert compared(mine, {"output_steps": 4}).status is RowStatus.WRONG_OUTPUT


def test_outputs_are_compared_for_the_same_input_only() -> None:
    first = {"tokens": (1, 1), "input_digest": "a"}
    second = {"tokens": (2, 2), "input_digest": "b"}
    assert verdict(compared({"tokens": (1, 1), "input_digest": "a"}, first, second)) == "ok"
    swapped = compared({"tokens": (2, 2), "input_digest": "a"}, first, second)
    assert swapped.status is RowStatus.WRONG_OUTPUT
    assert verdict(compared({"tokens": (2, 2)}, first, second)) == "ok"


def test_another_input_than_the_baseline_s_is_other_work() -> None:
    found = compared({"tokens": (1, 1), "input_digest": "x"}, {"input_digest": "a"})
    assert verdict(found).startswith("wrong_output input_differs")


def test_an_input_that_the_baseline_did_not_come_to_is_unchecked() -> None:
    failed = {"tokens": None, "status": RowStatus.CRASH}
    mine = {"tokens": (1, 1), "input_digest": "x"}
    assert verdict(compared(mine, failed, {"input_digest": "b"})) == "ok output_unchecked"
    assert verdict(compared(mine)) == "ok output_unchecked"
    assert verdict(compared({"tokens": None}, {"tokens": None})) == "ok output_unchecked"


def test_a_subject_that_keeps_its_output_to_itself_is_not_believed() -> None:
    assert verdict(compared({"tokens": None}, {})) == (
        "fall_through output_missing: no output tokens, where the baseline gave its own"
    )
    # The baseline need not have given them for each of its iterations.
    assert compared({"tokens": None}, {"tokens": None}, {}).status is RowStatus.FALL_THROUGH


@pytest.mark.parametrize("arm", list(Arm))
def test_one_output_for_two_inputs_was_not_computed(arm: Arm) -> None:
    rows = [
        row(arm, at, None, input_digest=f"i{at}", output_digest="same" if at in {1, 3} else f"{at}")
        for at in range(4)
    ]
    found = with_outputs_checked(rows)
    assert [each.status is RowStatus.WRONG_OUTPUT for each in found] == [False, True, False, True]
    assert found[1].reason == (
        "repeated_output: iterations 1 and 3 gave the same logits to the bit for different inputs"
    )


def test_equal_outputs_of_equal_inputs_are_no_repetition() -> None:
    rows = [row(Arm.BASELINE, at, None, input_digest="i", output_digest="o") for at in range(3)]
    assert {each.status for each in with_outputs_checked(rows)} == {RowStatus.OK}


def test_a_baseline_that_repeats_itself_is_no_reference() -> None:
    repeats = {"output_digest": "o"}
    found = compared(
        {"tokens": (1, 2, 3, 4), "input_digest": "a"},
        {**repeats, "input_digest": "a"},
        {**repeats, "input_digest": "b"},
    )
    assert verdict(found) == "ok output_unchecked"


BASE = ((1.0, 2.0, 2.0), (3.0, 4.0, 0.0))


def logits(*sequences: tuple[float, ...], tolerance: float = 0.01) -> dict[str, Any]:
    return {
        "tokens": (1, 2, 3, 4), "output_steps": 2, "output_logits": sequences,
        "logit_tolerance": tolerance,
    }  # fmt: skip


def test_other_logits_under_the_same_tokens_are_another_computation() -> None:
    found = compared(logits(BASE[0], (3.0, 4.1, 0.0)), logits(*BASE))
    assert found.status is RowStatus.WRONG_OUTPUT
    assert found.reason is not None
    assert "the logits differ by 0.02 of their size" in found.reason
    assert "rounding explains 0.01 at the most" in found.reason


@pytest.mark.parametrize(
    "subject",
    [
        logits(BASE[0], (3.0, 4.04, 0.0)),
        {"tokens": (1, 2, 3, 4), "output_steps": 2},
    ],
    ids=["rounding", "not_told"],
)
def test_logits_that_rounding_explains_or_nobody_told_refuse_nothing(
    subject: dict[str, Any],
) -> None:
    assert verdict(compared(subject, logits(*BASE))) == "ok"


@pytest.mark.parametrize(
    "sequences",
    [
        (BASE[0],),
        (BASE[0], (3.0, 4.0)),
        (BASE[0], (3.0, float("inf"), 0.0)),
        (BASE[0], (3.0, float("nan"), 0.0)),
        ((float("nan"), 2.0, 2.0), BASE[1]),
    ],
    ids=["one_missing", "shorter", "infinite", "second_nan", "first_nan"],
)
def test_logits_that_cannot_be_compared_do_not_agree(sequences: Any) -> None:
    assert compared(logits(*sequences), logits(*BASE)).status is RowStatus.WRONG_OUTPUT


def test_the_logits_of_a_sequence_that_went_on_from_a_tie_are_not_compared() -> None:
    tied = {**logits(BASE[0], (9.0, 9.0, 9.0)), "tokens": (1, 2, 7, 8)}
    accepted = compared({**tied, "output_ties": (None, None, 3, None)}, logits(*BASE))
    assert verdict(accepted) == "ok output_tied"
    other = {**tied, "output_logits": ((9.0, 9.0, 9.0), BASE[1])}
    refused = compared({**other, "output_ties": (None, None, 3, None)}, logits(*BASE))
    assert refused.status is RowStatus.WRONG_OUTPUT


def test_logits_of_no_size_allow_no_difference() -> None:
    nothing = (0.0, 0.0, 0.0)
    assert verdict(compared(logits(BASE[0], nothing), logits(BASE[0], nothing))) == "ok"
    found = compared(logits(BASE[0], (0.0, 1e-9, 0.0)), logits(BASE[0], nothing))
    assert found.status is RowStatus.WRONG_OUTPUT


@pytest.mark.parametrize("strict", ["subject", "baseline"])
def test_the_smaller_of_two_tolerances_decides_and_is_told(strict: str) -> None:
    mine, theirs = (0.01, 0.5) if strict == "subject" else (0.5, 0.01)
    moved = (BASE[0], (3.0, 4.1, 0.0))
    found = compared(logits(*moved, tolerance=mine), logits(*BASE, tolerance=theirs))
    assert found.status is RowStatus.WRONG_OUTPUT
    assert (found.reason or "").endswith("rounding explains 0.01 at the most")


def test_positions_of_a_prompt_are_no_sequences_of_their_logits() -> None:
    """With one token to a sequence a tie says nothing of the logits, which are of the last ones."""
    tied = {**logits(BASE[0], (9.0, 9.0, 9.0)), "tokens": (1, 7, 3, 4), "output_steps": 1}
    tied["output_ties"] = (None, 2, None, None)
    found = compared(tied, {**logits(*BASE), "output_steps": 1})
    assert found.status is RowStatus.WRONG_OUTPUT


def test_repeats_are_looked_for_within_one_process_only() -> None:
    same = {"output_digest": "o"}
    first = row(Arm.BASELINE, 0, None, input_digest="a", **same)
    other = row(Arm.BASELINE, 1, None, input_digest="b", **same)
    assert with_outputs_checked([first, other])[0].status is RowStatus.WRONG_OUTPUT
    for change in ({"invocation": 1}, {"cell": "d"}, {"point": "q"}, {"arm": Arm.SUBJECT}):
        rows = [first, other.model_copy(update=change)]
        assert [each.status for each in with_outputs_checked(rows)] == [RowStatus.OK] * 2


def test_what_had_failed_before_keeps_how_it_failed() -> None:
    facts = {"input_digest": "a", "output_digest": "o"}
    failed = row(Arm.SUBJECT, 0, None, status=RowStatus.CONTAMINATED, **facts)
    repeats = row(Arm.SUBJECT, 1, None, **{**facts, "input_digest": "b"})
    found = with_outputs_checked([failed, repeats])
    assert [each.status for each in found] == [RowStatus.CONTAMINATED, RowStatus.WRONG_OUTPUT]
    assert found[0].reason is None


def test_a_cell_is_compared_with_the_baseline_that_it_shares() -> None:
    baseline = row(Arm.BASELINE, 0, (1, 2))
    subject = row(Arm.SUBJECT, 0, (1, 3)).model_copy(update={"cell": "d"})
    alone = with_outputs_checked([baseline, subject])[1]
    assert verdict(alone) == "ok output_unchecked"
    shared = with_outputs_checked([baseline, subject], {"d": "c"})[1]
    assert verdict(shared) == "wrong_output output_differs: from the baseline's at token 1"
