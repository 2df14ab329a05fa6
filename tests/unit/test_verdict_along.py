"""Claims about an axis where points are missing, undecided, crash, or are of other hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from scored_case import Case, Slot, steady

from reprokit.errors import ExitCode
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.verdict.along import conclusion_changes, decide_along
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Verdict

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
TRITONS = ("3.3.1", "3.4.0", "3.6.0")

HOLDS, FAILS, OPEN = 5.5, 9.5, 6.02
CRASH, FAILED, NOT_RUN = RowStatus.CRASH, RowStatus.ENVIRONMENT_FAILED, RowStatus.NOT_RUN
FELL_BACK = RowStatus.SILENT_FALLBACK


def _along(kind: str, *at: RowStatus | float, both: bool = False, **more: Any) -> Verdict:
    """Decide a claim along triton, the subject being what `at` says at each value."""
    found = dict(zip(TRITONS, at, strict=False))

    def behave(slot: Slot) -> RowStatus | float:
        here = found[str(slot.axes["triton"])]
        if isinstance(here, RowStatus):
            return here if both or slot.arm is Arm.SUBJECT else steady(10, 5)(slot)
        return steady(10, here)(slot)

    axes: dict[str, tuple[Scalar, ...]] = {"triton": TRITONS[: len(at)]}
    expect = {"kind": kind, "axis": "triton", "of": GAIN}
    return Case(expect, behave, axes=axes, **more).score()


@pytest.mark.parametrize(
    ("at", "flip", "invariance"),
    [
        ((HOLDS, HOLDS, HOLDS), "falls_short", "reproduced"),
        ((FAILS, FAILS, FAILS), "falls_short", "reproduced"),
        ((HOLDS, FAILS, HOLDS), "reproduced", "falls_short"),
        # All crash: one conclusion, that it does not hold; nothing changes along the axis.
        ((CRASH, CRASH, CRASH), "falls_short", "reproduced"),
        ((CRASH, FAILS, CRASH), "falls_short", "reproduced"),
        ((CRASH, FELL_BACK, FAILS), "falls_short", "reproduced"),
        ((CRASH, HOLDS, HOLDS), "reproduced", "falls_short"),
        # One change is enough, whatever is still open.
        ((CRASH, OPEN, HOLDS), "reproduced", "falls_short"),
        ((HOLDS, NOT_RUN, FAILS), "reproduced", "falls_short"),
        # Without a change, every value must be decided.
        ((HOLDS, OPEN, HOLDS), "inconclusive", "inconclusive"),
        ((CRASH, NOT_RUN, CRASH), "inconclusive", "inconclusive"),
        ((HOLDS, FAILED, HOLDS), "inconclusive", "inconclusive"),
        ((OPEN, OPEN, OPEN), "inconclusive", "inconclusive"),
        ((HOLDS, OPEN), "inconclusive", "inconclusive"),
    ],
)
def test_points_along_the_axis(
    at: tuple[RowStatus | float, ...], flip: str, invariance: str
) -> None:
    for kind, outcome in (("flip", flip), ("invariance", invariance)):
        verdict = _along(kind, *at)
        assert verdict.outcome == outcome
        assert (verdict.exit_code == ExitCode.REPRODUCED) == (outcome == "reproduced")
        assert len(verdict.along[0].outcomes) == len(at)


@pytest.mark.parametrize("kind", ["flip", "invariance"])
def test_both_arms_dying_at_one_value_tests_nothing_there(kind: str) -> None:
    builtin = {"claim_extra": {"source": {"builtin": "internal_harness"}}}
    for other in (HOLDS, FAILS):
        verdict = _along(kind, CRASH, other, both=True, **builtin)
        assert verdict.along[0].outcomes["3.3.1"] is Outcome.INVALID
        assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("kind", ["flip", "invariance"])
def test_nothing_measured_anywhere_is_never_a_yes(kind: str) -> None:
    for status in (FAILED, NOT_RUN, RowStatus.CONTAMINATED):
        verdict = _along(kind, status, status, status, both=True)
        assert not verdict.outcome.decided
        assert verdict.exit_code in {ExitCode.UNDECIDED, ExitCode.INFRASTRUCTURE}


def _two_axes(kind: str, keep: Any, crash: Any) -> Verdict:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": TRITONS[:2]}

    def behave(slot: Slot) -> RowStatus | float:
        if slot.arm is Arm.SUBJECT and crash(slot.axes):
            return CRASH
        return steady(10, HOLDS)(slot)

    expect = {"kind": kind, "axis": "triton", "of": GAIN}
    return Case(expect, behave, axes=axes, keep=keep).score()


def _old(axes: Mapping[str, Scalar]) -> bool:
    return axes["triton"] == TRITONS[0]


def test_a_setting_with_one_value_left_says_nothing_and_hides_nothing() -> None:
    def keep(axes: Mapping[str, Scalar]) -> bool:
        return axes["sha"] == "head" or axes["triton"] == TRITONS[1]

    verdict = _two_axes("flip", keep, _old)
    assert {line.held["sha"]: line.outcome for line in verdict.along} == {
        "pinned": Outcome.INSUFFICIENT,
        "head": Outcome.REPRODUCED,
    }
    assert verdict.outcome is Outcome.REPRODUCED


def test_no_setting_with_two_values_is_not_swept() -> None:
    def keep(axes: Mapping[str, Scalar]) -> bool:
        return (axes["sha"] == "head") == _old(axes)

    for kind in ("flip", "invariance"):
        verdict = _two_axes(kind, keep, _old)
        assert verdict.outcome is Outcome.INSUFFICIENT
        assert verdict.reasons == ("axis_not_swept",)


@pytest.mark.parametrize(
    ("kind", "at", "outcome"),
    [
        ("flip", (HOLDS, FAILS), Outcome.TRANSFERS),
        ("flip", (HOLDS, HOLDS), Outcome.DOES_NOT_TRANSFER),
        ("invariance", (HOLDS, HOLDS), Outcome.TRANSFERS),
        ("invariance", (HOLDS, CRASH), Outcome.DOES_NOT_TRANSFER),
        ("invariance", (HOLDS, OPEN), Outcome.INCONCLUSIVE),
    ],
)
def test_on_other_hardware_it_transfers_or_does_not(
    kind: str, at: tuple[RowStatus | float, ...], outcome: Outcome
) -> None:
    verdict = _along(kind, *at, regime={"device": "cuda", "gpu": "H100"})
    assert verdict.outcome is outcome
    assert verdict.exit_code != ExitCode.REPRODUCED


def test_no_points_are_no_lines() -> None:
    assert decide_along("flip", "triton", ()) == ()
    assert not conclusion_changes(())
    assert not conclusion_changes([Outcome.REPRODUCED, Outcome.INVALID, Outcome.INCONCLUSIVE])
