"""The verdict of a whole claim: combination, exit code, sentence, axis claims, determinism."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.errors import ExitCode
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.verdict.outcome import REASON_WORDS, Outcome, Reason, exit_code
from reprokit.verdict.records import Verdict
from reprokit.verdict.schema import verdict_schema, verdict_schema_text
from reprokit.verdict.score import combine, score

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "schemas" / "verdict.schema.json"
PINNED_DIES = broken(
    lambda slot: slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT,
    RowStatus.CRASH,
    steady(10, 5.5),
)


def test_the_outcome_depends_on_sha() -> None:
    verdict = Case(GAIN, PINNED_DIES).score()
    assert verdict.outcome is Outcome.DEPENDS
    assert verdict.exit_code == ExitCode.NOT_REPRODUCED
    assert verdict.sentence == (
        "The outcome depends on sha: at pinned no compiled invocation survived (0 of 5; "
        "AssertionError: no config matches, at model.py:43 in from_name); at head compiled takes "
        "44.9 % less time than eager [44.2, 45.6]."
    )


@pytest.mark.parametrize(
    ("outcomes", "together"),
    [
        (["reproduced"], "reproduced"),
        (["reproduced", "reproduced"], "reproduced"),
        (["reproduced", "no_survivors"], "depends"),
        (["reproduced", "falls_short", "invalid"], "depends"),
        (["reproduced", "invalid"], "inconclusive"),
        (["falls_short", "inconclusive"], "inconclusive"),
        (["invalid", "invalid"], "invalid"),
        (["invalid", "insufficient"], "inconclusive"),
        (["transfers", "transfers_shifted"], "depends"),
        (["no_survivors", "falls_short"], "no_survivors"),
        (["falls_short", "exceeds"], "falls_short"),
        (["silent_fallback", "no_survivors", "exceeds"], "silent_fallback"),
        (["silent_fallback", "no_survivors", "invalid"], "inconclusive"),
        (["reproduced", "exceeds"], "depends"),
        (["transfers", "reproduced"], "transfers"),
        (["does_not_transfer", "transfers_shifted"], "does_not_transfer"),
    ],
)
def test_points_combine(outcomes: list[str], together: str) -> None:
    assert combine([Outcome(outcome) for outcome in outcomes])[0] == together


def test_ways_of_failing_end_as_the_claims_own_point_does() -> None:
    outcomes = [Outcome.FALLS_SHORT, Outcome.NO_SURVIVORS]
    assert combine(outcomes, Outcome.NO_SURVIVORS)[0] is Outcome.NO_SURVIVORS
    assert combine(outcomes, Outcome.INVALID)[0] is Outcome.FALLS_SHORT


def _pinned_dies_and_head_is(subject: float) -> Any:
    return broken(
        lambda slot: slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT,
        RowStatus.CRASH,
        steady(10, subject),
    )


@pytest.mark.parametrize("axes", [("pinned", "head"), ("head", "pinned")])
def test_another_way_of_failing_is_no_dependence(axes: tuple[Scalar, ...]) -> None:
    case = Case(GAIN, _pinned_dies_and_head_is(9.5), axes={"sha": axes})
    plan = case.plan.model_copy(update={"base": {"sha": "pinned"}})
    verdict = score(case.claim, plan, case.ready_points, case.rows)
    assert verdict.outcome is Outcome.NO_SURVIVORS
    assert verdict.exit_code == ExitCode.NOT_REPRODUCED
    assert verdict.sentence.startswith(
        "The claim is reproduced at neither stack point; only how it fails depends on sha: at "
    )
    (effect,) = verdict.axes
    assert (effect.effect, effect.decides) == ("changes", False)


def test_an_axis_that_decides_is_told_from_one_that_changes_how_it_fails() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3", "3.6")}

    def behave(slot: Slot) -> RowStatus | float:
        if slot.arm is Arm.SUBJECT and slot.axes["sha"] == "pinned":
            return RowStatus.CRASH if slot.axes["triton"] == "3.3" else steady(10, 9.5)(slot)
        return steady(10, 5.5)(slot)

    verdict = Case(GAIN, behave, axes=axes).score()
    assert verdict.outcome is Outcome.DEPENDS
    assert verdict.sentence.startswith("The outcome depends on sha: ")
    assert {effect.axis: effect.decides for effect in verdict.axes} == {
        "sha": True,
        "triton": False,
    }


def test_an_a_a_run_is_named() -> None:
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: "eager"}
    expect = {"kind": "equivalence", "metric": "latency_ms"}
    verdict = Case(expect, steady(10, 10), axes={}, arms=arms).score()
    assert verdict.sentence.endswith("This is an A/A run: both arms are eager.")
    assert "A/A" not in Case(expect, steady(10, 10), axes={}).score().sentence


def test_an_undecided_point_is_never_a_yes() -> None:
    for first, second in product(Outcome, Outcome):
        if not second.decided:
            assert combine([first, second])[0] is not Outcome.REPRODUCED


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("reproduced", 0),
        ("falls_short", 1),
        ("exceeds", 1),
        ("no_survivors", 1),
        ("silent_fallback", 1),
        ("depends", 1),
        ("does_not_transfer", 1),
        ("transfers_shifted", 1),
        ("transfers", 3),
        ("inconclusive", 3),
        ("insufficient", 3),
        ("invalid", 3),
    ],
)
def test_exit_codes(outcome: str, code: int) -> None:
    assert exit_code(Outcome(outcome)) == code
    assert exit_code(Outcome(outcome), only_infrastructure=True) == 4


def test_only_reproduced_ends_with_zero() -> None:
    zero = [outcome for outcome in Outcome if exit_code(outcome) == 0]
    assert zero == [Outcome.REPRODUCED]


def test_the_order_of_rows_does_not_matter_and_bytes_are_the_same() -> None:
    case = Case(GAIN, PINNED_DIES)
    rows = case.rows
    first = score(case.claim, case.plan, case.ready_points, rows).to_json()
    for seed in range(3):
        random.Random(seed).shuffle(rows)
        assert score(case.claim, case.plan, case.ready_points, rows).to_json() == first


def test_another_row_gives_another_digest() -> None:
    first = Case(GAIN, steady(10, 5.5)).score()
    assert first.rows_sha256 != Case(GAIN, steady(10, 5.51)).score().rows_sha256


@pytest.mark.parametrize(
    "behaviour", [PINNED_DIES, steady(10, 5.5), lambda slot: RowStatus.TIMEOUT, lambda slot: 5.0]
)
@pytest.mark.parametrize(
    "expect",
    [
        GAIN,
        {"kind": "equivalence", "metric": "latency_ms"},
        {"kind": "stability", "at_most": 0.5},
        {"kind": "flip", "axis": "sha", "of": GAIN},
        {"kind": "invariance", "axis": "sha", "of": {"kind": "stability", "equals": 0.0}},
        {"kind": "value", "metric": "latency_ms", "value": 5.5, "unit": "ms"},
    ],
)
def test_a_verdict_reads_back_and_fits_its_schema(expect: dict[str, Any], behaviour: Any) -> None:
    verdict = Case(expect, behaviour).score()
    text = verdict.to_json()
    assert Verdict.model_validate_json(text) == verdict
    assert text.startswith('{\n  "schema": "reprokit/verdict/v1"')
    jsonschema.validate(verdict.model_dump(mode="json", by_alias=True), verdict_schema())


def test_the_committed_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == verdict_schema_text(), (
        "docs/schemas/verdict.schema.json is generated: write verdict_schema_text() to it"
    )


def test_the_schema_refuses_another_document() -> None:
    document = Case(GAIN, PINNED_DIES).score().model_dump(mode="json", by_alias=True)
    for broken_document in ({**document, "outcome": "perhaps"}, {**document, "extra": 1}, {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken_document, verdict_schema())


def test_every_reason_has_its_words() -> None:
    assert set(REASON_WORDS) == set(Reason)


def _axis(kind: str, behaviour: Any, **more: Any) -> Verdict:
    return Case({"kind": kind, "axis": "sha", "of": GAIN}, behaviour, **more).score()


@pytest.mark.parametrize(
    ("kind", "behaviour", "outcome"),
    [
        ("flip", PINNED_DIES, Outcome.REPRODUCED),
        ("flip", _pinned_dies_and_head_is(9.5), Outcome.FALLS_SHORT),
        ("invariance", _pinned_dies_and_head_is(9.5), Outcome.REPRODUCED),
        ("invariance", PINNED_DIES, Outcome.FALLS_SHORT),
        ("flip", steady(10, 5.5), Outcome.FALLS_SHORT),
        ("invariance", steady(10, 5.5), Outcome.REPRODUCED),
        ("invariance", steady(10, 9.5), Outcome.REPRODUCED),
        ("flip", steady(10, 6.02), Outcome.INCONCLUSIVE),
        ("invariance", steady(10, 6.02), Outcome.INCONCLUSIVE),
    ],
)
def test_claims_about_an_axis(kind: str, behaviour: Any, outcome: Outcome) -> None:
    verdict = _axis(kind, behaviour)
    assert verdict.outcome is outcome
    assert verdict.along[0].outcomes.keys() == {"pinned", "head"}
    if outcome.decided:
        changes = (kind == "flip") == (outcome is Outcome.REPRODUCED)
        told = "changes along sha" if changes else "is the same along sha"
        assert f"the conclusion {told}" in verdict.sentence


def test_figures_on_opposite_sides_are_no_invariance() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        return steady(10, 9.0 if slot.axes["sha"] == "pinned" else 11.0)(slot)

    equal = {"kind": "equivalence", "metric": "latency_ms"}
    verdict = Case({"kind": "invariance", "axis": "sha", "of": equal}, behave).score()
    assert set(verdict.along[0].outcomes.values()) == {"exceeds", "falls_short"}
    assert verdict.outcome is Outcome.FALLS_SHORT


def test_a_claim_about_an_axis_needs_two_values_of_it() -> None:
    for kind in ("flip", "invariance"):
        verdict = _axis(kind, steady(10, 5.5), axes={"sha": ("head",)})
        assert verdict.outcome is Outcome.INSUFFICIENT
        assert verdict.reasons == ("axis_not_swept",)
        assert verdict.exit_code == ExitCode.UNDECIDED


def test_a_failed_environment_is_no_flip() -> None:
    behaviour = broken(
        lambda slot: slot.axes["sha"] == "pinned", RowStatus.ENVIRONMENT_FAILED, steady(10, 5.5)
    )
    assert _axis("flip", behaviour).outcome is Outcome.INCONCLUSIVE
    assert _axis("invariance", behaviour).outcome is Outcome.INCONCLUSIVE


def test_an_axis_claim_on_cells_that_are_not_swept() -> None:
    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in (1, 8)]
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.cell["token_len"] == 8,
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    expect = {"kind": "flip", "axis": "token_len", "of": GAIN}
    verdict = Case(expect, behaviour, axes={}, cells=cells).score()
    assert verdict.outcome is Outcome.REPRODUCED
    assert verdict.along[0].outcomes == {"1": "reproduced", "8": "no_survivors"}


def test_a_flip_at_one_setting_only_depends_on_the_other_axis() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        dies = slot.axes["sha"] == "pinned" and slot.axes["triton"] == "3.6.0"
        if dies and slot.arm is Arm.SUBJECT:
            return RowStatus.CRASH
        return steady(10, 5.5)(slot)

    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3.1", "3.6.0")}
    verdict = _axis("flip", behave, axes=axes)
    assert verdict.outcome is Outcome.DEPENDS
    assert {line.held["triton"]: line.outcome for line in verdict.along} == {
        "3.3.1": "falls_short",
        "3.6.0": "reproduced",
    }


def test_swept_cell_axes_are_decided_apart_and_named_by_their_labels() -> None:
    cells: list[dict[str, Scalar]] = [
        {"compile_mode": mode, "token_len": length}
        for mode in ("default", "reduce-overhead")
        for length in (1, 8)
    ]
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.cell["compile_mode"] != "default",
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    axes: dict[str, tuple[Scalar, ...]] = {"compile_mode": ("default", "ro")}
    sweep = {"sweep": {"compile_mode": {"default": "default", "ro": "reduce-overhead"}}}
    verdict = Case(GAIN, behaviour, axes=axes, cells=cells, claim_extra=sweep).score()
    assert [point.axes for point in verdict.points] == [
        {"compile_mode": "default"},
        {"compile_mode": "ro"},
    ]
    assert [len(point.cells) for point in verdict.points] == [2, 2]
    assert verdict.axes[0].effect == "changes"


def test_excluded_points_are_not_missing_points() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3.1", "3.6.0")}
    verdict = Case(
        GAIN,
        PINNED_DIES,
        axes=axes,
        keep=lambda place: tuple(place.values()) != ("pinned", "3.6.0"),
    ).score()
    assert len(verdict.points) == 3
    effects = {effect.axis: effect.effect for effect in verdict.axes}
    assert effects == {"sha": "changes", "triton": "no_change"}


def test_an_edited_claim_is_told_apart_from_the_planned_one() -> None:
    case = Case(GAIN, steady(10, 5.5))
    plan = case.plan.model_copy(update={"claim_digest": "0" * 64})
    verdict = score(case.claim, plan, case.ready_points, case.rows)
    assert verdict.claim_sha256 != verdict.planned_claim
