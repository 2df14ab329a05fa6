"""The decision table: figures against the claim's bounds, for each kind of conclusion.

Rules and their error rates are in docs/statistics.md, sections 3 and 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from reprokit.claim.model import (
    Conclusion,
    ExpectGain,
    ExpectStability,
    ExpectValue,
)
from reprokit.claim.printed import rounding_half_width
from reprokit.records import Arm, Estimate
from reprokit.stats.equivalence import tost
from reprokit.stats.logmean import LogMean
from reprokit.stats.needed import invocations_needed, invocations_needed_for_rate
from reprokit.stats.ratio import log_ratio_to_claim
from reprokit.stats.sample import Undefined
from reprokit.verdict.figures import Figures
from reprokit.verdict.guards import Decision
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.records import Survival


@dataclass(frozen=True)
class Decided:
    """A decision on the figures, the invocations it lacks, and estimates made for it alone."""

    decision: Decision
    needed: Estimate | None = None
    estimates: tuple[Estimate, ...] = ()


def decide(
    expect: Conclusion,
    figures: Figures,
    survival: dict[Arm, Survival],
    *,
    margin: float,
    level: float,
    printed: str | None = None,
) -> Decided:
    """Decide a conclusion whose guards all hold.

    Args:
        expect: the conclusion.
        figures: log means of the arms that the conclusion needs, all with an interval.
        survival: what became of each arm.
        margin: effective margin, used by `value` and `equivalence`.
        level: level of the deciding interval.
        printed: the figure as it was published, whose digits a crash rate is compared to.
    """
    if isinstance(expect, ExpectStability):
        return _stability(expect, survival[Arm.SUBJECT], level, printed)
    if isinstance(expect, ExpectValue):
        found = _value(expect, figures, margin, level)
    elif isinstance(expect, ExpectGain):
        found = _gain(expect, figures, level)
    else:
        found = _equivalence(figures, margin, level)
    return _survivors_only(found, expect, survival)


def _value(expect: ExpectValue, figures: Figures, margin: float, level: float) -> Decided:
    log_r = log_ratio_to_claim(figures.arms[Arm.SUBJECT], expect.metric, expect.value)
    bound = math.log(margin)
    return _place(log_r, (-bound, bound), level)


def _gain(expect: ExpectGain, figures: Figures, level: float) -> Decided:
    """Compare the speed ratio 1/rho with the bounds; gain >= g is 1/rho >= 1 / (1 - g/100)."""
    speed = figures.log_rho
    if isinstance(speed, LogMean):
        speed = speed.negated()
    at_least = -math.inf if expect.at_least is None else _log_speed(expect.at_least)
    at_most = math.inf if expect.at_most is None else _log_speed(expect.at_most)
    return _place(speed, (at_least, at_most), level)


def _equivalence(figures: Figures, margin: float, level: float) -> Decided:
    """TOST shows equivalence; a difference needs the whole interval outside of the margin."""
    alpha = 1.0 - level
    result = tost(figures.log_rho, margin, alpha)
    estimates = (result.interval, result.p_lower, result.p_upper)
    if result.equivalent:
        return Decided(Decision(Outcome.REPRODUCED), estimates=estimates)
    bound = math.log(margin)
    speed = figures.log_rho
    if isinstance(speed, LogMean):
        speed = speed.negated()
    placed = _place(speed, (-bound, bound), level)
    if placed.needed is not None and isinstance(speed, LogMean) and abs(speed.value) < bound:
        # What is missing is the equivalence, and that is decided at the level of TOST.
        placed = replace(
            placed, needed=invocations_needed(speed, (-bound, bound), 1.0 - 2.0 * alpha)
        )
    return replace(placed, estimates=estimates)


def _place(log: LogMean | Undefined, bounds: tuple[float, float], level: float) -> Decided:
    """Place the interval of a speed ratio, larger is better, among two bounds."""
    if isinstance(log, Undefined):  # the guards let no such figure through
        return Decided(Decision(Outcome.INCONCLUSIVE, (log.reason,)))
    low, high = log.interval(level)
    if high < bounds[0]:
        return Decided(Decision(Outcome.FALLS_SHORT))
    if low > bounds[1]:
        return Decided(Decision(Outcome.EXCEEDS))
    if bounds[0] <= low and high <= bounds[1]:
        return Decided(Decision(Outcome.REPRODUCED))
    needed = invocations_needed(log, bounds, level)
    return Decided(Decision(Outcome.INCONCLUSIVE, (Reason.STRADDLES,)), needed)


def _stability(
    expect: ExpectStability, survival: Survival, level: float, printed: str | None
) -> Decided:
    """Decide `equals` and `at_most`; with both, the claim holds when both do."""
    rate = survival.crash_rate
    parts: list[Decided] = []
    if expect.equals is not None:
        tolerance = _tolerance(expect.equals, survival, printed)
        parts.append(_equals(rate, expect.equals, tolerance, level))
    if expect.at_most is not None:
        # A rate of exactly 0 can be refuted and never shown, so "at most 0" is asked as "equals 0".
        asked = _at_most if expect.at_most > 0 else _is_zero
        parts.append(asked(rate, expect.at_most, level))
    order = (Outcome.FALLS_SHORT, Outcome.INCONCLUSIVE, Outcome.EXCEEDS, Outcome.REPRODUCED)
    return min(parts, key=lambda each: order.index(each.decision.outcome))


def _tolerance(claimed: float, survival: Survival, printed: str | None) -> float:
    """The claim's digits, or the nearest rate that there is; 0 and 1 are meant exactly."""
    if claimed in {0.0, 1.0}:
        return 0.0
    digits = rounding_half_width(printed, claimed) if printed else None
    if digits is None:
        digits = rounding_half_width(repr(claimed))
    iterations = survival.crash_rate_as_published.n["iterations"]
    return max(float(digits or 0), 0.5 / iterations)


def _is_zero(rate: Estimate, claimed: float, level: float) -> Decided:
    return _equals(rate, claimed, 0.0, level)


def _equals(rate: Estimate, claimed: float, tolerance: float, level: float) -> Decided:
    """Reproduced when the claimed rate was observed; refuted when the interval excludes it."""
    value, low, high = _known(rate)
    if low > claimed:
        return Decided(Decision(Outcome.FALLS_SHORT))
    if high < claimed:
        return Decided(Decision(Outcome.EXCEEDS))
    if abs(value - claimed) <= tolerance + 1e-12:
        return Decided(Decision(Outcome.REPRODUCED))
    needed = invocations_needed_for_rate(rate, claimed, level)
    return Decided(Decision(Outcome.INCONCLUSIVE, (Reason.RATE_OFF,)), needed)


def _at_most(rate: Estimate, bound: float, level: float) -> Decided:
    _, low, high = _known(rate)
    if high <= bound:
        return Decided(Decision(Outcome.REPRODUCED))
    if low > bound:
        return Decided(Decision(Outcome.FALLS_SHORT))
    needed = invocations_needed_for_rate(rate, bound, level)
    return Decided(Decision(Outcome.INCONCLUSIVE, (Reason.STRADDLES,)), needed)


def _survivors_only(found: Decided, expect: Conclusion, survival: dict[Arm, Survival]) -> Decided:
    """Take back what the timings of survivors cannot show.

    A subject that is too slow although only its survivors are timed stays `falls_short`. A
    comparison with a baseline of which some runs failed decides nothing.
    """
    outcome = found.decision.outcome
    codes: list[str] = []
    if not survival[Arm.SUBJECT].whole and outcome is not Outcome.FALLS_SHORT:
        codes.append(Reason.PARTIAL_SURVIVAL)
    if expect.kind in {"gain", "equivalence"} and not survival[Arm.BASELINE].whole:
        codes.append(Reason.BASELINE_PARTIAL)
    if not codes:
        return found
    reasons = (*codes, *found.decision.reasons)
    # More invocations would not help: the failures are the obstacle.
    return Decided(Decision(Outcome.INCONCLUSIVE, reasons), None, found.estimates)


def _known(rate: Estimate) -> tuple[float, float, float]:
    """Unpack a rate; the guards let none through without attempts."""
    assert rate.value is not None
    assert rate.low is not None
    assert rate.high is not None
    return rate.value, rate.low, rate.high


def _log_speed(gain_percent: float) -> float:
    """Log speed ratio that a gain in per cent means; a gain of 100 % or more would be infinite."""
    kept = 1.0 - gain_percent / 100.0
    return -math.log(kept) if kept > 0 else math.inf
