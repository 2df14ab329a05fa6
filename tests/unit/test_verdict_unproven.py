"""What is told of failures: no proof is no failure, and the most helpful reason comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from scored_case import FAILURE, Case, Slot, broken, steady

from reprokit.errors import ExitCode
from reprokit.records import Arm, CompileDecision, Row, RowStatus, Scalar
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
GAIN = {"kind": "gain", "metric": "tokps", "at_least": 40.0}


def _edited(case: Case, edit: Callable[[Row], Row]) -> Verdict:
    return score(case.claim, case.plan, case.ready_points, [edit(row) for row in case.rows])


def _all(status: RowStatus, **more: Any) -> PointVerdict:
    behaviour = broken(lambda slot: slot.arm is Arm.SUBJECT, status, steady(10, 105))
    (point,) = Case(VALUE, behaviour, axes={}, **more).score().points
    return point


def test_a_part_that_compiled_is_told_as_a_part() -> None:
    point = _all(RowStatus.SILENT_FALLBACK, fallback=CompileDecision.PARTLY)
    assert (point.outcome, point.reasons) == (Outcome.SILENT_FALLBACK, ("compiled_partly",))
    assert "a part of it compiled" in point.clause
    assert "part" not in _all(RowStatus.SILENT_FALLBACK).clause


@pytest.mark.parametrize("fallback", [CompileDecision.UNKNOWN, None])
@pytest.mark.parametrize("expect", [VALUE, GAIN, {"kind": "stability", "equals": 1.0}])
def test_compilation_that_cannot_be_proved_is_no_fallback(
    expect: dict[str, Any], fallback: CompileDecision | None
) -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT, RowStatus.SILENT_FALLBACK, steady(10, 105)
    )
    verdict = Case(expect, behaviour, axes={}, fallback=fallback).score()
    (point,) = verdict.points
    assert (point.outcome, point.reasons) == (Outcome.INVALID, ("compile_unproven",))
    assert verdict.exit_code == ExitCode.UNDECIDED
    assert "compilation of the compiled arm could not be proved" in verdict.sentence


@pytest.mark.parametrize("expect", [VALUE, {"kind": "stability", "equals": 0.8}])
def test_a_row_that_may_have_compiled_is_no_failure(expect: dict[str, Any]) -> None:
    crashes = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation > 0,
        RowStatus.CRASH,
        steady(10, 105),
    )
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation == 0,
        RowStatus.SILENT_FALLBACK,
        crashes,
    )
    (point,) = Case(expect, behaviour, axes={}, fallback=None).score().points
    assert point.reasons == ("compile_unproven",)


def test_a_stratum_that_is_known_to_have_failed_decides_beside_an_unproven_one() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        if slot.arm is Arm.BASELINE:
            return steady(10, 105)(slot)
        return RowStatus.CRASH if slot.cell["token_len"] == 8 else RowStatus.SILENT_FALLBACK

    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in (1, 8)]
    (point,) = Case(VALUE, behave, axes={}, cells=cells, fallback=None).score().points
    assert point.outcome is Outcome.NO_SURVIVORS


def test_an_unproven_point_does_not_count_in_a_dependence() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.axes["sha"] == "pinned",
        RowStatus.SILENT_FALLBACK,
        steady(10, 105),
    )
    verdict = Case(VALUE, behaviour, fallback=None).score()
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.axes[0].effect == "cannot_tell"
    assert Case(VALUE, behaviour).score().outcome is Outcome.DEPENDS


def test_a_reason_is_told_before_the_last_line_of_a_log() -> None:
    case = Case(
        VALUE,
        broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.SILENT_FALLBACK, steady(10, 105)),
        axes={},
    )
    log_end = FAILURE.model_copy(
        update={"exception": None, "frame": None, "message": "/very/long/path/of/an/interpreter"}
    )

    def edit(row: Row) -> Row:
        if row.status is RowStatus.OK:
            return row
        return row.model_copy(update={"failure": log_end, "reason": "compile_fell_back: why"})

    (failure,) = _edited(case, edit).points[0].failures
    assert (failure.message, failure.headline) == ("compile_fell_back: why",) * 2
    crashed = _edited(
        case, lambda row: edit(row).model_copy(update={"status": RowStatus.CRASH})
        if row.status is not RowStatus.OK else row,
    )  # fmt: skip
    assert crashed.points[0].failures[0].message == f"compile_fell_back: why: {log_end.message}"


def test_a_long_detail_of_an_environment_keeps_head_and_tail() -> None:
    detail = "no stack satisfies it: " + "triton==3.0, " * 100 + "and you require triton==99"
    behaviour = broken(lambda slot: True, RowStatus.ENVIRONMENT_FAILED, steady(10, 105))
    ready = {"point": {"failed": "unresolvable", "failed_detail": detail}}
    sentence = Case(VALUE, behaviour, axes={}, ready=ready).score().sentence
    assert "no stack satisfies it" in sentence
    assert "and you require triton==99" in sentence
    assert len(sentence) < 400


def test_an_environment_that_failed_at_the_start_tells_the_row_s_reason() -> None:
    behaviour = broken(lambda slot: True, RowStatus.ENVIRONMENT_FAILED, steady(10, 105))
    verdict = _edited(
        Case(VALUE, behaviour, axes={}),
        lambda row: row.model_copy(update={"reason": "spawn_failed: no such file"}),
    )
    assert "spawn_failed: no such file" in verdict.sentence
