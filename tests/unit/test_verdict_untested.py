"""A claim that was never put to the test is neither reproduced nor refuted by what failed."""

from __future__ import annotations

from typing import Any

import pytest
from scored_case import FAILURE, Case, Slot, broken, steady

from reprokit.errors import ExitCode
from reprokit.records import Arm, FailureKind, Row, RowStatus, Scalar
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
GAIN = {"kind": "gain", "metric": "tokps", "at_least": 40.0}
EQUAL = {"kind": "equivalence", "metric": "tokps", "margin": 1.1}
ALWAYS = {"kind": "stability", "equals": 1.0}
BUILTIN = {"source": {"builtin": "internal_harness"}}
SAME = {Arm.BASELINE: "eager", Arm.SUBJECT: "eager"}


def _dead(
    expect: dict[str, Any],
    *arms: Arm,
    status: RowStatus = RowStatus.CRASH,
    kind: FailureKind | None = None,
    **more: Any,
) -> Verdict:
    """Score a case in which every run of the arms named ended with a status."""
    behaviour = broken(lambda slot: slot.arm in (arms or tuple(Arm)), status, steady(10, 105))
    case = Case(expect, behaviour, **{"axes": {}, **more})

    def edit(row: Row) -> Row:
        if row.failure is None:
            return row
        return row.model_copy(update={"failure": FAILURE.model_copy(update={"kind": kind})})

    return score(case.claim, case.plan, case.ready_points, [edit(row) for row in case.rows])


@pytest.mark.parametrize("source", [BUILTIN, {}])
@pytest.mark.parametrize("expect", [ALWAYS, {"kind": "stability", "equals": 0.0}])
def test_crashes_of_both_arms_are_no_crash_rate(
    expect: dict[str, Any], source: dict[str, Any]
) -> None:
    verdict = _dead(expect, claim_extra=source)
    (point,) = verdict.points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("baseline_no_survivors",))
    assert verdict.exit_code == ExitCode.UNDECIDED
    assert "no config matches" in verdict.sentence


@pytest.mark.parametrize("source", [BUILTIN, {}])
def test_crashes_beside_a_baseline_that_survives_are_evidence(source: dict[str, Any]) -> None:
    kind = FailureKind.STACK_INCOMPATIBLE
    assert _dead(ALWAYS, Arm.SUBJECT, kind=kind, claim_extra=source).outcome is Outcome.REPRODUCED
    verdict = _dead(GAIN, Arm.SUBJECT, kind=kind, claim_extra=source)
    assert verdict.outcome is Outcome.NO_SURVIVORS


def test_a_subject_that_survives_needs_no_baseline_for_its_crash_rate() -> None:
    expect = {"kind": "stability", "equals": 0.0}
    verdict = _dead(expect, Arm.BASELINE, claim_extra=BUILTIN)
    assert verdict.outcome is Outcome.REPRODUCED


def test_one_stratum_that_was_not_tested_is_enough() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        both = slot.cell["token_len"] == 512
        dead = both or slot.arm is Arm.SUBJECT
        return RowStatus.CRASH if dead else steady(10, 105)(slot)

    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in (8, 512)]
    (point,) = Case(ALWAYS, behave, axes={}, cells=cells, claim_extra=BUILTIN).score().points
    assert point.reasons == ("baseline_no_survivors",)


@pytest.mark.parametrize("expect", [GAIN, EQUAL])
def test_a_comparison_by_the_harness_needs_a_baseline_before_it_asks_the_subject(
    expect: dict[str, Any],
) -> None:
    verdict = _dead(expect, claim_extra=BUILTIN)
    (point,) = verdict.points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("baseline_no_survivors",))
    assert verdict.exit_code == ExitCode.UNDECIDED


@pytest.mark.parametrize("expect", [GAIN, VALUE])
@pytest.mark.parametrize("status", [RowStatus.CRASH, RowStatus.UNSUPPORTED])
def test_code_of_the_claim_that_fails_in_both_arms_is_not_reproduced(
    expect: dict[str, Any], status: RowStatus
) -> None:
    verdict = _dead(expect, status=status)
    assert verdict.outcome is Outcome.NO_SURVIVORS
    assert verdict.exit_code == ExitCode.NOT_REPRODUCED


@pytest.mark.parametrize("expect", [GAIN, EQUAL, VALUE, ALWAYS])
@pytest.mark.parametrize("arms", [tuple(Arm), (Arm.SUBJECT,)])
def test_what_the_harness_refuses_is_never_evidence(
    expect: dict[str, Any], arms: tuple[Arm, ...]
) -> None:
    verdict = _dead(expect, *arms, status=RowStatus.UNSUPPORTED, claim_extra=BUILTIN)
    (point,) = verdict.points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("unsupported",))
    assert "no config matches" in verdict.sentence


@pytest.mark.parametrize("expect", [GAIN, VALUE, ALWAYS])
@pytest.mark.parametrize("kind", [FailureKind.IMPORT_ERROR, FailureKind.STACK_INCOMPATIBLE])
def test_a_broken_environment_of_the_harness_is_never_evidence(
    expect: dict[str, Any], kind: FailureKind
) -> None:
    verdict = _dead(expect, kind=kind, claim_extra=BUILTIN)
    (point,) = verdict.points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("environment_fault",))
    assert verdict.exit_code == ExitCode.UNDECIDED


def test_a_value_of_the_harness_needs_no_baseline() -> None:
    assert _dead(VALUE, claim_extra=BUILTIN).outcome is Outcome.NO_SURVIVORS


def test_a_claim_about_one_arm_is_about_its_crashes() -> None:
    """Both arms are eager: nothing else could survive, and the claim says which one crashes."""
    assert _dead(ALWAYS, arms=SAME, claim_extra=BUILTIN).outcome is Outcome.REPRODUCED
    broken_torch = _dead(ALWAYS, arms=SAME, kind=FailureKind.IMPORT_ERROR, claim_extra=BUILTIN)
    assert broken_torch.points[0].reasons == ("environment_fault",)


@pytest.mark.parametrize("status", [RowStatus.SILENT_FALLBACK, RowStatus.WRONG_OUTPUT])
def test_calls_that_came_back_are_no_failure_of_both_arms(status: RowStatus) -> None:
    def behave(slot: Slot) -> RowStatus | float:
        return RowStatus.CRASH if slot.arm is Arm.BASELINE else status

    (point,) = Case(GAIN, behave, axes={}, claim_extra=BUILTIN).score().points
    assert point.outcome in {Outcome.SILENT_FALLBACK, Outcome.NO_SURVIVORS}
