"""Guards: each one alone must be enough to keep a good-looking case from being decided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.errors import DamagedRunError, ExitCode
from reprokit.records import Arm, Evidence, Row, RowStatus
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
GAIN = {"kind": "gain", "metric": "tokps", "at_least": 40.0}


def _good(expect: dict[str, Any] = VALUE, **more: Any) -> Case:
    return Case(expect, steady(10, 105), **{"axes": {}, **more})


def _edited(case: Case, edit: Callable[[Row], Row | None]) -> Verdict:
    rows = [new for row in case.rows if (new := edit(row)) is not None]
    return score(case.claim, case.plan, case.ready_points, rows)


def _all(status: RowStatus, arm: Arm = Arm.SUBJECT, **more: Any) -> PointVerdict:
    behaviour = broken(lambda slot: slot.arm is arm, status, steady(10, 105))
    (point,) = Case(more.pop("expect", VALUE), behaviour, axes={}, **more).score().points
    return point


def test_the_unguarded_case_is_reproduced() -> None:
    verdict = _good().score()
    assert verdict.outcome is Outcome.REPRODUCED
    assert verdict.exit_code == ExitCode.REPRODUCED
    assert verdict.points[0].labels == ()


def test_one_invocation_is_insufficient_however_many_samples() -> None:
    verdict = _good(invocations=1, samples=500).score()
    assert verdict.outcome is Outcome.INSUFFICIENT
    assert verdict.exit_code == ExitCode.UNDECIDED
    assert verdict.points[0].estimates[0].value is None


@pytest.mark.parametrize(("invocations", "labelled"), [(2, True), (4, True), (5, False)])
def test_few_invocations_are_labelled_underpowered(invocations: int, labelled: bool) -> None:
    point = _good(invocations=invocations).score().points[0]
    assert ("underpowered" in point.labels) is labelled


def test_survivors_count_for_the_label_and_not_the_plan() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation > 3,
        RowStatus.CRASH,
        steady(10, 105),
    )
    (point,) = Case(VALUE, behaviour, axes={}, invocations=8).score().points
    assert "underpowered" in point.labels


def test_one_survivor_of_five_is_insufficient() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation > 0,
        RowStatus.CRASH,
        steady(10, 105),
    )
    (point,) = Case(VALUE, behaviour, axes={}).score().points
    assert point.outcome is Outcome.INSUFFICIENT
    assert "1 of 5 invocations" in point.clause


def test_identical_timings_are_not_evidence() -> None:
    (point,) = Case(VALUE, lambda slot: 104.9, axes={}).score().points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("zero_variance",))


@pytest.mark.parametrize("arm", list(Arm))
def test_a_comparison_needs_spread_in_both_arms(arm: Arm) -> None:
    def behave(slot: Slot) -> RowStatus | float:
        return 50.0 if slot.arm is arm else steady(10, 105)(slot)

    (point,) = Case(GAIN, behave, axes={}).score().points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("zero_variance",))


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_an_impossible_value_invalidates_the_point(value: float) -> None:
    def behave(slot: Slot) -> RowStatus | float:
        odd = slot.arm is Arm.SUBJECT and (slot.invocation, slot.iteration) == (2, 1)
        return value if odd else steady(10, 105)(slot)

    (point,) = Case(VALUE, behave, axes={}).score().points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("impossible_value",))


def test_a_missing_row_is_an_incomplete_run() -> None:
    verdict = _edited(_good(), lambda row: None if row.id.endswith("subject__04__002") else row)
    assert verdict.outcome is Outcome.INVALID
    assert verdict.points[0].reasons == ("incomplete_run",)
    assert verdict.points[0].survival[1].statuses[RowStatus.NOT_RUN] == 1


def test_a_row_that_was_not_run_is_an_incomplete_run_in_either_arm() -> None:
    for arm in Arm:
        behaviour = broken(
            lambda slot, arm=arm: slot.arm is arm and slot.invocation == 4,  # type: ignore[misc]
            RowStatus.NOT_RUN,
            steady(10, 105),
        )
        (point,) = Case(VALUE, behaviour, axes={}).score().points
        assert point.reasons == ("incomplete_run",)


def test_no_rows_at_all() -> None:
    case = _good()
    verdict = score(case.claim, case.plan, case.ready_points, [])
    assert verdict.outcome is Outcome.INVALID
    assert verdict.exit_code == ExitCode.UNDECIDED


def test_one_contaminated_row_invalidates_the_point() -> None:
    behaviour = broken(
        lambda slot: (slot.arm, slot.invocation, slot.iteration) == (Arm.SUBJECT, 0, 0),
        RowStatus.CONTAMINATED,
        steady(10, 105),
    )
    (point,) = Case(VALUE, behaviour, axes={}).score().points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("contaminated",))


def test_a_failed_environment_is_told_with_its_code() -> None:
    ready = {"point": {"failed": "unresolvable", "failed_detail": "no such version"}}
    behaviour = broken(lambda slot: True, RowStatus.ENVIRONMENT_FAILED, steady(10, 105))
    verdict = Case(VALUE, behaviour, axes={}, ready=ready).score()
    assert verdict.points[0].reasons == ("environment_failed", "unresolvable")
    assert verdict.exit_code == ExitCode.INFRASTRUCTURE
    assert "no such version" in verdict.sentence


def test_a_failed_environment_beats_rows_that_look_good() -> None:
    verdict = _good(ready={"point": {"failed": "tampered"}}).score()
    assert verdict.points[0].outcome is Outcome.INVALID


def test_a_point_that_was_never_prepared_is_invalid() -> None:
    case = _good()
    verdict = score(case.claim, case.plan, {}, case.rows)
    assert verdict.points[0].reasons == ("environment_failed",)
    assert verdict.environments[0].failed == "not_prepared"


def test_one_failed_environment_of_two_is_not_infrastructure() -> None:
    behaviour = broken(
        lambda slot: slot.axes["sha"] == "pinned", RowStatus.ENVIRONMENT_FAILED, steady(10, 105)
    )
    verdict = Case(VALUE, behaviour).score()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.exit_code == ExitCode.UNDECIDED
    assert verdict.missing
    assert verdict.missing[0].startswith("pinned: the environment")


@pytest.mark.parametrize(
    "status",
    [RowStatus.CRASH, RowStatus.OOM, RowStatus.TIMEOUT, RowStatus.KILLED, RowStatus.FALL_THROUGH],
)
def test_no_survivors(status: RowStatus) -> None:
    point = _all(status)
    assert point.outcome is Outcome.NO_SURVIVORS
    assert point.survival[1].rate.high == pytest.approx(1 - 0.05 ** (1 / 5))
    assert point.failures[0].status is status
    assert (point.failures[0].invocations, point.failures[0].rows) == (5, 15)


def test_a_crash_carries_its_fingerprint_frame_and_log() -> None:
    (failure,) = _all(RowStatus.CRASH).failures
    assert failure.fingerprint == "f" * 16
    assert failure.frame == "model.py:43 in from_name"
    assert failure.log == "invocations/x/stderr.log"
    assert "AssertionError" in failure.headline


def test_unsupported_is_no_survivor_with_its_evidence() -> None:
    point = _all(RowStatus.UNSUPPORTED)
    assert (point.outcome, point.reasons) == (Outcome.NO_SURVIVORS, ("unsupported",))
    assert point.survival[1].attempted == 5
    assert point.survival[1].crash_rate.value is None
    assert "0 of 5; AssertionError" in point.clause


def test_wrong_output_is_no_survivor() -> None:
    point = _all(RowStatus.WRONG_OUTPUT)
    assert (point.outcome, point.reasons) == (Outcome.NO_SURVIVORS, ("wrong_output",))
    assert "baseline's output" in point.clause


@pytest.mark.parametrize("expect", [VALUE, GAIN, {"kind": "stability", "equals": 0.0}])
def test_silent_fallback(expect: dict[str, Any]) -> None:
    assert _all(RowStatus.SILENT_FALLBACK, expect=expect).outcome is Outcome.SILENT_FALLBACK


def test_some_fallbacks_beside_crashes_are_no_survivors() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT,
        RowStatus.CRASH,
        steady(10, 105),
    )
    mixed = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation == 0,
        RowStatus.SILENT_FALLBACK,
        behaviour,
    )
    (point,) = Case(VALUE, mixed, axes={}).score().points
    assert point.outcome is Outcome.NO_SURVIVORS


def test_a_comparison_without_a_baseline_is_invalid() -> None:
    point = _all(RowStatus.CRASH, Arm.BASELINE, expect=GAIN)
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("baseline_no_survivors",))
    assert "AssertionError" in point.clause


def test_stability_of_what_was_never_attempted_is_invalid() -> None:
    point = _all(RowStatus.UNSUPPORTED, expect={"kind": "stability", "equals": 0.0})
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("unsupported",))


def test_stability_needs_two_launches() -> None:
    point = _all(RowStatus.CRASH, expect={"kind": "stability", "equals": 1.0}, invocations=1)
    assert point.outcome is Outcome.INSUFFICIENT


def test_a_successful_row_without_the_metric_is_invalid() -> None:
    verdict = _edited(_good(), lambda row: row.model_copy(update={"values": {"ttft_ms": 1.0}}))
    assert verdict.points[0].reasons == ("metric_missing",)


def test_rows_from_two_devices_are_not_compared() -> None:
    def edit(row: Row) -> Row:
        device = "cuda" if row.invocation == 0 else "cpu"
        return row.model_copy(update={"evidence": Evidence(device=device)})

    assert _edited(_good(), edit).points[0].reasons == ("mixed_devices",)


def test_cold_iterations_are_kept_and_never_used() -> None:
    def slow_start(slot: Slot) -> RowStatus | float:
        value = steady(10, 105)(slot)
        assert isinstance(value, float)
        return value / 3 if slot.iteration == 0 else value

    (point,) = Case(VALUE, slow_start, axes={}, cold_first=True).score().points
    assert point.outcome is Outcome.REPRODUCED
    assert point.survival[1].cold == 5
    assert {each.n for each in point.invocations} == {2}


def test_only_cold_iterations_are_insufficient() -> None:
    (point,) = _good(samples=1, cold_first=True).score().points
    assert (point.outcome, point.reasons) == (Outcome.INSUFFICIENT, ("only_cold_iterations",))


@pytest.mark.parametrize("expect", [{"kind": "gain", "metric": "tokps"}, {"kind": "stability"}])
def test_a_claim_without_a_bound_is_never_reproduced(expect: dict[str, Any]) -> None:
    (point,) = _good(expect).score().points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("nothing_expected",))


def test_a_strange_row_is_refused() -> None:
    case = _good()
    stranger = case.rows[0].model_copy(update={"id": "elsewhere__all__subject__00__000"})
    with pytest.raises(DamagedRunError, match="not in the plan"):
        score(case.claim, case.plan, case.ready_points, [*case.rows, stranger])


def test_a_row_twice_is_refused() -> None:
    case = _good()
    with pytest.raises(DamagedRunError, match="twice"):
        score(case.claim, case.plan, case.ready_points, [*case.rows, case.rows[3]])


@pytest.mark.parametrize("change", [{"arm": Arm.BASELINE}, {"iteration": 7}, {"invocation": 9}])
def test_a_row_that_contradicts_its_id_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DamagedRunError, match="says that it is"):
        _edited(
            _good(),
            lambda row: row.model_copy(update=change) if "subject__01__001" in row.id else row,
        )


def test_labels_of_the_environment_stand_beside_the_point() -> None:
    facts = {"declared": False, "relocked": True, "locked": False}
    point = _good(ready={"point": facts}, labels=("synthetic_weights",)).score().points[0]
    assert point.labels == ("not_locked", "relocked", "synthetic_weights", "undeclared")
