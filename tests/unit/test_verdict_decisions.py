"""The decision table, kind by kind: every outcome is reached, and only where it should be."""

from __future__ import annotations

from typing import Any

import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, RowStatus, Scalar
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict, Verdict

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
EQUAL = {"kind": "equivalence", "metric": "latency_ms", "margin": 1.03}
BANDS = {"strong_match": ">= 90", "weak_match": "50..90"}


def _case(expect: dict[str, Any], baseline: float, subject: float, **more: Any) -> Case:
    return Case(expect, steady(baseline, subject), **{"axes": {}, **more})


def _point(case: Case) -> PointVerdict:
    (point,) = case.score().points
    return point


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (104.9, Outcome.REPRODUCED),
        (103.5, Outcome.REPRODUCED),
        (95.0, Outcome.FALLS_SHORT),
        (115.0, Outcome.EXCEEDS),
        (107.5, Outcome.INCONCLUSIVE),
        (102.2, Outcome.INCONCLUSIVE),
    ],
)
def test_value_of_a_throughput(measured: float, outcome: Outcome) -> None:
    assert _point(_case(VALUE, 10.0, measured)).outcome is outcome


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [(10.0, Outcome.REPRODUCED), (12.0, Outcome.FALLS_SHORT), (8.0, Outcome.EXCEEDS)],
)
def test_value_of_a_latency_is_better_when_it_is_smaller(measured: float, outcome: Outcome) -> None:
    expect = {"kind": "value", "metric": "latency_ms", "value": 10.0, "unit": "ms"}
    point = _point(_case(expect, 20.0, measured))
    assert point.outcome is outcome
    ratio = point.estimate("ratio_to_claim")
    assert ratio is not None
    assert ratio.value == pytest.approx(10.0 / measured, rel=0.01)


def test_a_wider_margin_reproduces_what_a_narrow_one_does_not() -> None:
    assert _point(_case({**VALUE, "margin": 1.10}, 10.0, 107.5)).outcome is Outcome.REPRODUCED


def test_the_margin_is_never_finer_than_the_printed_digits() -> None:
    source = {"repo": "https://example.org/r", "commit": "d" * 40, "printed": "1.2"}
    expect = {"kind": "value", "metric": "latency_ms", "value": 1.2, "unit": "ms"}
    case = _case(expect, 2.0, 1.2, claim_extra={"source": source})
    margin = case.score().margin
    assert margin is not None
    assert margin.declared == 1.03
    assert margin.value == pytest.approx(1.2 / 1.15)
    assert margin.rounding == margin.value


def test_more_digits_leave_the_claims_own_margin() -> None:
    source = {"repo": "https://example.org/r", "commit": "d" * 40, "printed": "104.9 tok/s"}
    margin = _case(VALUE, 10.0, 104.9, claim_extra={"source": source}).score().margin
    assert margin is not None
    assert margin.value == 1.03
    assert margin.rounding == pytest.approx(104.9 / 104.85)


@pytest.mark.parametrize(
    ("measured", "band"), [(105.0, "strong_match"), (60.0, "weak_match"), (20.0, None)]
)
def test_the_claims_own_bands(measured: float, band: str | None) -> None:
    assert _point(_case({**VALUE, "bands": BANDS}, 10.0, measured)).band == band


def test_no_survivor_is_in_the_band_null_and_no_data_in_none() -> None:
    dead = broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.CRASH, steady(10, 105))
    expect = {**VALUE, "bands": BANDS}
    assert _point(Case(expect, dead, axes={})).band == "null"
    assert _point(_case(expect, 10, 105, invocations=1)).band is None


@pytest.mark.parametrize(
    ("bounds", "subject", "outcome"),
    [
        ({"at_least": 40.0}, 5.5, Outcome.REPRODUCED),
        ({"at_least": 40.0}, 9.0, Outcome.FALLS_SHORT),
        ({"at_least": 40.0}, 6.02, Outcome.INCONCLUSIVE),
        ({"at_least": 40.0, "at_most": 50.0}, 5.5, Outcome.REPRODUCED),
        ({"at_least": 40.0, "at_most": 50.0}, 3.0, Outcome.EXCEEDS),
        ({"at_least": 40.0, "at_most": 50.0}, 5.0, Outcome.INCONCLUSIVE),
        ({"at_least": 44.8, "at_most": 44.95}, 5.5, Outcome.INCONCLUSIVE),
        ({"at_most": -3.0}, 11.0, Outcome.REPRODUCED),
        ({"at_most": -3.0}, 9.0, Outcome.EXCEEDS),
        ({"at_least": 100.0}, 5.5, Outcome.FALLS_SHORT),
    ],
)
def test_gain(bounds: dict[str, float], subject: float, outcome: Outcome) -> None:
    expect = {"kind": "gain", "metric": "latency_ms", **bounds}
    assert _point(_case(expect, 10.0, subject)).outcome is outcome


def test_the_gain_of_a_throughput_is_one_of_time() -> None:
    point = _point(_case({"kind": "gain", "metric": "tokps", "at_least": 40.0}, 100.0, 200.0))
    gain = point.estimate("gain")
    assert point.outcome is Outcome.REPRODUCED
    assert gain is not None
    assert gain.value == pytest.approx(50.0, abs=1.0)


@pytest.mark.parametrize(
    ("subject", "outcome"),
    [
        (10.0, Outcome.REPRODUCED),
        (10.6, Outcome.FALLS_SHORT),
        (9.4, Outcome.EXCEEDS),
        (10.29, Outcome.INCONCLUSIVE),
        (9.72, Outcome.INCONCLUSIVE),
    ],
)
def test_equivalence(subject: float, outcome: Outcome) -> None:
    point = _point(_case(EQUAL, 10.0, subject))
    assert point.outcome is outcome
    assert point.estimate("tost_p_upper") is not None


def test_not_different_is_never_equal() -> None:
    def noisy(slot: Slot) -> float:
        shift = (0.2, -0.15, 0.1, -0.12, 0.02)[slot.invocation]
        return 10.0 * (1 + (shift if slot.arm is Arm.SUBJECT else -shift))

    point = _point(Case(EQUAL, noisy, axes={}))
    rho = point.estimate("contrast")
    assert rho is not None
    assert rho.low is not None
    assert rho.high is not None
    assert rho.low < 1 < rho.high
    assert point.outcome is Outcome.INCONCLUSIVE


def test_an_a_a_claim_is_reproduced() -> None:
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: "eager"}
    assert _point(_case(EQUAL, 10.0, 10.0, arms=arms)).outcome is Outcome.REPRODUCED


def test_inconclusive_says_how_many_invocations_would_decide() -> None:
    undecided = _case(VALUE, 10.0, 107.5)
    point = _point(undecided)
    assert point.needed is not None
    assert point.needed.value is not None
    assert point.needed.value > 5
    # The spread repeats every 10 invocations, so the promise can be kept here.
    enough = int(point.needed.value / 10 + 2) * 10
    assert _point(_case(VALUE, 10.0, 107.3, invocations=enough)).outcome is Outcome.REPRODUCED


def test_a_decision_needs_no_more_invocations() -> None:
    assert _point(_case(VALUE, 10.0, 104.9)).needed is None


def _some_fail(fraction: dict[int, int]) -> Case:
    """Crash the last n iterations of the invocations named."""

    def fails(slot: Slot) -> bool:
        return slot.arm is Arm.SUBJECT and slot.iteration >= 5 - fraction.get(slot.invocation, 0)

    return Case(
        {"kind": "stability"}, broken(fails, RowStatus.CRASH, steady(10, 10)), axes={}, samples=5
    )


@pytest.mark.parametrize(
    ("bounds", "failed", "outcome"),
    [
        ({"equals": 0.0}, {}, Outcome.REPRODUCED),
        ({"equals": 0.0}, {0: 5}, Outcome.FALLS_SHORT),
        ({"equals": 1.0}, dict.fromkeys(range(5), 5), Outcome.REPRODUCED),
        ({"equals": 1.0}, {}, Outcome.EXCEEDS),
        ({"equals": 1.0}, dict.fromkeys(range(4), 5), Outcome.EXCEEDS),
        ({"equals": 0.8}, dict.fromkeys(range(4), 5), Outcome.REPRODUCED),
        ({"equals": 0.8}, dict.fromkeys(range(5), 4), Outcome.REPRODUCED),
        ({"equals": 0.8}, dict.fromkeys(range(3), 5), Outcome.INCONCLUSIVE),
        ({"equals": 0.8}, {}, Outcome.EXCEEDS),
        ({"equals": 0.05}, dict.fromkeys(range(5), 5), Outcome.FALLS_SHORT),
        ({"at_most": 0.0}, {}, Outcome.REPRODUCED),
        ({"at_most": 0.0}, {1: 1}, Outcome.FALLS_SHORT),
        ({"at_most": 0.1}, {}, Outcome.INCONCLUSIVE),
        ({"at_most": 0.6}, {}, Outcome.REPRODUCED),
        ({"at_most": 0.1}, dict.fromkeys(range(4), 5), Outcome.FALLS_SHORT),
    ],
)
def test_stability(bounds: dict[str, float], failed: dict[int, int], outcome: Outcome) -> None:
    case = _some_fail(failed)
    case.expect = {"kind": "stability", **bounds}
    assert _point(case).outcome is outcome


def test_a_rate_with_published_digits_is_compared_to_those() -> None:
    source = {"repo": "https://example.org/r", "commit": "d" * 40, "printed": "0.800"}
    case = _some_fail(dict.fromkeys(range(5), 4) | {0: 3})
    case.expect = {"kind": "stability", "equals": 0.8}
    assert _point(case).outcome is Outcome.REPRODUCED  # 19 of 25: 0.76 is 0.8 to one digit
    case.claim_extra = {"source": source}
    assert _point(case).outcome is Outcome.INCONCLUSIVE  # and not 0.800 to three


def test_no_crash_in_five_is_reproduced_and_says_what_it_still_allows() -> None:
    clause = _point(_case({"kind": "stability", "equals": 0.0}, 10, 10)).clause
    assert "still allows a crash rate of 45 %" in clause


@pytest.mark.parametrize(("subject", "outcome"), [(105.0, "inconclusive"), (90.0, "falls_short")])
def test_survivors_do_not_make_a_claim_true(subject: float, outcome: str) -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation == 2 and slot.iteration == 2,
        RowStatus.CRASH,
        steady(10, subject),
    )
    point = _point(Case(VALUE, behaviour, axes={}))
    assert point.outcome == outcome
    assert point.survival[1].complete == 4
    assert point.survival[1].partial == 1


def test_survivors_of_the_baseline_decide_no_comparison() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.BASELINE and slot.invocation == 0,
        RowStatus.TIMEOUT,
        steady(10, 5.5),
    )
    point = _point(Case(GAIN, behaviour, axes={}))
    assert point.outcome is Outcome.INCONCLUSIVE
    assert "baseline_partial_survival" in point.reasons
    assert (
        _point(
            Case(
                VALUE,
                broken(lambda slot: slot.arm is Arm.BASELINE, RowStatus.CRASH, steady(10, 105)),
                axes={},
            )
        ).outcome
        is Outcome.REPRODUCED
    )  # a number needs no baseline


def test_strata_are_combined_and_not_pooled() -> None:
    def by_length(slot: Slot) -> float:
        length = slot.cell["token_len"]
        assert isinstance(length, int)
        return float(steady(10.0 * length, 5.5 * length)(slot))

    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in (1, 8, 512)]
    point = _point(Case(GAIN, by_length, axes={}, cells=cells))
    assert point.outcome is Outcome.REPRODUCED
    assert len(point.strata) == 3
    assert point.cells == ("1", "8", "512")


def test_one_dead_stratum_decides_for_all() -> None:
    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in (1, 8)]
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.cell["token_len"] == 8,
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    point = _point(Case(GAIN, behaviour, axes={}, cells=cells))
    assert point.outcome is Outcome.NO_SURVIVORS
    assert "in at least one cell" in point.clause


def test_phases_are_never_combined() -> None:
    cells: list[dict[str, Scalar]] = [
        {"phase": phase, "token_len": n} for phase in ("prefill", "kv_decode") for n in (1, 2)
    ]
    verdict: Verdict = Case(
        GAIN,
        lambda slot: steady(10, 5.5 if slot.cell["phase"] == "prefill" else 10.3)(slot),
        axes={},
        cells=cells,
    ).score()
    assert [point.axes for point in verdict.points] == [
        {"phase": "prefill"},
        {"phase": "kv_decode"},
    ]
    assert [point.outcome for point in verdict.points] == ["reproduced", "falls_short"]
    assert verdict.outcome is Outcome.DEPENDS
