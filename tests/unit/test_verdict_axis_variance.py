"""How much each axis explains, drawn from the rows of a run and told in the report."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.points_section import axes_section
from reprokit.stats.variance import TermShare
from reprokit.verdict.figures import figures_of
from reprokit.verdict.processes import deviations_of
from reprokit.verdict.records import Verdict
from reprokit.verdict.units import make_units
from reprokit.verdict.variance_records import AxisVariance

GAIN: dict[str, Any] = {"kind": "gain", "metric": "latency_ms", "at_least": 10.0}
VALUE = {"kind": "value", "metric": "latency_ms", "value": 5.0, "unit": "ms"}
BOTH: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3", "3.4", "3.6")}


def _slower(factor: float, **where: str) -> Any:
    def behave(slot: Slot) -> float | RowStatus:
        value = steady(10.0, 5.0)(slot)
        assert not isinstance(value, RowStatus)
        there = all(slot.axes.get(name) == label for name, label in where.items())
        return value * (factor if there and slot.arm is Arm.SUBJECT else 1.0)

    return behave


def _found(verdict: Verdict) -> AxisVariance:
    assert verdict.variance is not None
    return verdict.variance


def _terms(verdict: Verdict) -> dict[tuple[str, ...], TermShare]:
    shares = _found(verdict).shares
    assert shares is not None
    return {term.axes: term for term in shares.terms}


def test_the_axis_that_does_it_explains_it() -> None:
    verdict = Case(expect=GAIN, behaviour=_slower(1.4, sha="head"), axes=BOTH).score()
    terms = _terms(verdict)
    assert terms[("sha",)].share.value == pytest.approx(1.0, abs=0.01)
    assert terms[("triton",)].share.value == pytest.approx(0.0, abs=0.01)
    assert not terms[("sha", "triton")].shown
    assert _found(verdict).of == "contrast"


def test_axes_that_act_together_are_named() -> None:
    behaviour = _slower(1.4, sha="head", triton="3.6")
    verdict = Case(expect=GAIN, behaviour=behaviour, axes=BOTH).score()
    assert terms_shown(verdict) == {("sha",), ("triton",), ("sha", "triton")}
    page = "\n".join(axes_section(verdict))
    assert "Shown to act together (the interval excludes 0): `sha` with `triton`." in page


def terms_shown(verdict: Verdict) -> set[tuple[str, ...]]:
    return {axes for axes, term in _terms(verdict).items() if term.shown}


def test_a_crash_leaves_a_gap_and_is_named() -> None:
    def dead(slot: Slot) -> bool:
        return slot.axes == {"sha": "pinned", "triton": "3.4"} and slot.arm is Arm.SUBJECT

    case = Case(
        expect=GAIN,
        behaviour=broken(dead, RowStatus.CRASH, _slower(1.4, sha="head")),
        axes=BOTH,
    )
    verdict = case.score()
    assert _found(verdict).missing == ("pinned, triton 3.4: no_survivors",)
    assert _terms(verdict)[("sha",)].share.reason == "confounded_by_missing_points"
    page = "\n".join(axes_section(verdict))
    assert "cannot be told from the other axes: points are missing" in page
    assert "Without a log ratio: pinned, triton 3.4: no survivors." in page


def test_timings_of_survivors_are_no_timing_of_the_point() -> None:
    def dead(slot: Slot) -> bool:
        return slot.axes["triton"] == "3.4" and slot.arm is Arm.SUBJECT and slot.invocation == 0

    behaviour = broken(dead, RowStatus.CRASH, steady(10.0, 5.0))
    verdict = Case(expect=GAIN, behaviour=behaviour, axes={"triton": BOTH["triton"]}).score()
    assert _found(verdict).missing == ("triton 3.4: some_runs_failed",)


def test_where_all_but_one_crash_nothing_is_told() -> None:
    def dead(slot: Slot) -> bool:
        return slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT

    case = Case(expect=GAIN, behaviour=broken(dead, RowStatus.CRASH, steady(10.0, 5.0)))
    found = _found(case.score())
    assert (found.shares, found.reason) == (None, "fewer_than_2_points_with_a_log_ratio")
    assert "fewer than 2 points have a log ratio" in "\n".join(axes_section(case.score()))


@pytest.mark.parametrize(
    ("expect", "of", "reason"),
    [
        ({"kind": "stability", "equals": 0.0}, None, "the_claim_is_about_no_ratio"),
        (VALUE, "ratio_to_claim", None),
        ({"kind": "equivalence", "metric": "latency_ms"}, "contrast", None),
        ({"kind": "flip", "axis": "sha", "of": GAIN}, "contrast", None),
    ],
)  # fmt: skip
def test_every_kind_of_claim(expect: dict[str, Any], of: str | None, reason: str | None) -> None:
    verdict = Case(expect=expect, behaviour=_slower(1.2, sha="head")).score()
    assert (_found(verdict).of, _found(verdict).reason) == (of, reason)
    if of:
        assert _terms(verdict)[("sha",)].share.reason == "only_axis_that_varies"


def test_nothing_swept_is_nothing_to_tell() -> None:
    assert Case(expect=GAIN, behaviour=steady(10.0, 5.0), axes={}).score().variance is None


@pytest.mark.parametrize("shared", [False, True])
def test_deviations_are_the_variance_that_decides(shared: bool) -> None:
    case = Case(
        expect=GAIN, behaviour=steady(10.0, 5.0), axes={},
        cells=({"token_len": 1}, {"token_len": 8}),
    )  # fmt: skip
    plan = case.plan
    if shared:
        changed = [
            each.model_copy(update={"launch": f"{each.arm}__{each.index}"})
            for each in plan.invocations
        ]
        plan = plan.model_copy(update={"invocations": tuple(changed)})
    (unit,) = make_units(case.claim, plan, case.rows)
    figures = figures_of(unit, case.claim.expect, plan.setup.arms, 0.95)  # type: ignore[arg-type]
    samples = deviations_of("latency_ms", [each.launches[Arm.SUBJECT] for each in unit.strata])
    assert samples is not None
    assert len(samples) == (1 if shared else 2)
    variance = math.fsum(value**2 for sample in samples for value in sample.values())
    assert variance == pytest.approx(figures.arms[Arm.SUBJECT].variance)  # type: ignore[union-attr]
