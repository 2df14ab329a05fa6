"""Invocations that were not made because equal failures were enough: no gap, and no evidence."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest
from rich.console import Console
from scored_case import FAILURE, Behaviour, Case, Slot, broken, steady

from reprokit.records import Arm, FailureKind, Row, RowStatus
from reprokit.report.evidence_section import failures_section
from reprokit.report.points_section import points_section, survival_words
from reprokit.report.terminal import render_terminal
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
STABILITY = {"kind": "stability", "equals": 1.0}
REASON = "stopped_early: 3 of 5 invocations were made, the last 3 failed alike (ffff)"


@dataclass
class Stopped(Case):
    """A case in which the launches of `arm` from `made` on were not made; those before crashed."""

    arm: Arm = Arm.SUBJECT
    made: int = 3
    reason: str = REASON

    def told(self) -> Verdict:
        rows = [self._stopped(row) for row in self.rows]
        return score(self.claim, self.plan, self.ready_points, rows)

    def _stopped(self, row: Row) -> Row:
        named = FAILURE.model_copy(update={"kind": FailureKind.CUDAGRAPH_OVERWRITE})
        if row.arm is self.arm and row.invocation >= self.made:
            changes: dict[str, Any] = {
                "status": RowStatus.NOT_RUN, "reason": self.reason, "failure": None, "values": {},
            }  # fmt: skip
            return row.model_copy(update=changes)
        return row.model_copy(update={"failure": named}) if row.failure else row


def crashing(slot: Slot) -> bool:
    return slot.arm is Arm.SUBJECT


def case(expect: dict[str, Any] = VALUE, **more: Any) -> Stopped:
    return Stopped(expect, broken(crashing, RowStatus.CRASH, steady(10, 105)), axes={}, **more)


def only(verdict: Verdict) -> PointVerdict:
    (point,) = verdict.points
    return point


def test_what_was_stopped_early_is_no_incomplete_run() -> None:
    point = only(case().told())
    assert point.outcome is Outcome.NO_SURVIVORS
    assert "0 of 3; attempted 3 of 5, stopped early; cudagraph_overwrite: " in point.clause


def test_only_attempts_count() -> None:
    point = only(case(STABILITY).told())
    subject = next(each for each in point.survival if each.arm is Arm.SUBJECT)
    assert (subject.planned, subject.attempted, subject.stopped_early) == (5, 3, 2)
    assert subject.crash_rate.n == {"invocations": 3, "iterations": 9}
    assert subject.crash_rate.value == 1.0
    assert survival_words(subject).startswith("0 of 3 (attempted 3 of 5, stopped early)")
    assert "stopped early" in point.clause


def test_it_is_no_failure_of_its_own_in_the_report() -> None:
    verdict = case().told()
    failures = only(verdict).failures
    assert [(each.kind, each.invocations) for each in failures] == [("cudagraph_overwrite", 3)]
    report = "\n".join([*failures_section(verdict), *points_section(verdict)])
    assert "`cudagraph_overwrite: AssertionError: no config matches" in report
    assert "attempted 3 of 5, stopped early" in report
    assert "was not run" not in report


def test_any_other_reason_is_an_incomplete_run() -> None:
    for reason in ("interrupted: resume the run", "never_started", "not stopped_early: 3"):
        assert only(case(reason=reason).told()).reasons == ("incomplete_run",)


def test_a_stop_that_no_failure_bears_out_is_an_incomplete_run() -> None:
    sound = Stopped(VALUE, steady(10, 105), axes={})
    assert only(sound.told()).reasons == ("incomplete_run",)
    assert only(case(made=0).told()).reasons == ("incomplete_run",)
    # The subject's failures do not bear out a stop of the baseline.
    assert only(case(arm=Arm.BASELINE).told()).reasons == ("incomplete_run",)


def _crashing_after(last: int) -> Behaviour:
    return broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation > last,
        RowStatus.CRASH,
        steady(10, 105),
    )


def test_survivors_before_the_stop_make_no_claim_true() -> None:
    point = only(Stopped(VALUE, _crashing_after(2), axes={}, made=4).told())
    assert point.outcome is Outcome.INCONCLUSIVE
    assert point.reasons == ("partial_survival",)
    assert "attempted 4 of 5, stopped early" in point.clause


@pytest.mark.parametrize(
    ("status", "outcome", "reasons"),
    [
        (RowStatus.SILENT_FALLBACK, Outcome.SILENT_FALLBACK, ()),
        (RowStatus.UNSUPPORTED, Outcome.NO_SURVIVORS, ("unsupported",)),
        (RowStatus.WRONG_OUTPUT, Outcome.NO_SURVIVORS, ("wrong_output",)),
    ],
)
def test_what_was_not_made_does_not_blur_how_the_rest_failed(
    status: RowStatus, outcome: Outcome, reasons: tuple[str, ...]
) -> None:
    point = only(Stopped(VALUE, broken(crashing, status, steady(10, 105)), axes={}).told())
    assert (point.outcome, point.reasons) == (outcome, reasons)


def test_an_invocation_of_which_a_part_is_missing_was_not_stopped_early() -> None:
    stopped = case()
    rows = [stopped._stopped(row) for row in stopped.rows]
    last = max(at for at, row in enumerate(rows) if row.reason == REASON)
    rows[last] = rows[last].model_copy(update={"reason": "interrupted: resume the run"})
    verdict = score(stopped.claim, stopped.plan, stopped.ready_points, rows)
    assert only(verdict).reasons == ("incomplete_run",)


def test_too_few_attempts_are_told_as_stopped() -> None:
    point = only(Stopped(VALUE, _crashing_after(0), axes={}, made=4).told())
    assert point.outcome is Outcome.INSUFFICIENT
    assert "1 of 4 invocations of compiled survived whole" in point.clause
    assert "attempted 4 of 5, stopped early" in point.clause


def test_a_baseline_that_was_stopped_is_told_so() -> None:
    dies = broken(lambda slot: slot.arm is Arm.BASELINE, RowStatus.CRASH, steady(10, 5))
    gain = {"kind": "gain", "metric": "latency_ms", "at_least": 10.0}
    point = only(Stopped(gain, dies, axes={}, arm=Arm.BASELINE).told())
    assert point.reasons == ("baseline_no_survivors",)
    assert "; attempted 3 of 5, stopped early)" in point.clause


def test_the_terminal_counts_what_was_attempted() -> None:
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(render_terminal(case().told()))
    assert "0/3 of 5" in out.getvalue()
    assert "5/5 of 5" not in out.getvalue()
