"""The p-value of a decision: the smallest error rate at which it would still be made.

A decision places an interval among bounds, so it is a test of each bound: inside both (Berger 1982,
intersection-union), or beyond one. Intervals are two-sided and every tail counts twice, but for the
equivalence, whose two tests have the whole alpha each (Schuirmann 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from reprokit.claim.model import (
    Conclusion,
    ExpectEquivalence,
    ExpectGain,
    ExpectStability,
    ExpectValue,
)
from reprokit.records import Arm, Estimate
from reprokit.stats.logmean import LogMean, t_upper_tail
from reprokit.stats.ratio import log_ratio_to_claim, unknown
from reprokit.stats.sample import NO_DATA, Undefined
from reprokit.verdict.figures import Figures
from reprokit.verdict.outcome import Outcome

NAME = "decision_p"
NO_TEST = "no_test_behind_it"
_T = "t tests of the claim's bounds on log invocation means, smallest of three directions"
_RATE = "exact interval of the crash rate inverted (Korn & Graubard 1998)"
_UNDECIDABLE = frozenset({
    Outcome.NO_SURVIVORS, Outcome.SILENT_FALLBACK, Outcome.INSUFFICIENT, Outcome.INVALID,
})  # fmt: skip
_STEPS = 60


def decision_p(
    expect: Conclusion,
    outcome: Outcome,
    figures: Figures,
    crash_rate: Callable[[float], Estimate],
    margin: float,
) -> Estimate:
    """Return the p-value of the decision at one point.

    Args:
        expect: the conclusion.
        outcome: on the figures alone.
        figures: log means of the arms.
        crash_rate: level to the subject's crash rate with its interval.
        margin: effective margin.
    """
    if outcome in _UNDECIDABLE:
        return unknown(NAME, "probability", _T, str(outcome))
    if isinstance(expect, ExpectStability):
        return _stability(expect, outcome, crash_rate)
    log, bounds = _placed(expect, figures, margin)
    if isinstance(log, Undefined):
        return unknown(NAME, "probability", _T, log.reason)
    whole = 1.0 if isinstance(expect, ExpectEquivalence) else 2.0
    return Estimate(
        name=NAME,
        value=_smallest(log, bounds, whole),
        unit="probability",
        method=_T,
        n={"invocations": log.invocations, "iterations": log.iterations},
    )


def _placed(
    expect: Conclusion, figures: Figures, margin: float
) -> tuple[LogMean | Undefined, tuple[float, float]]:
    """Return the log speed ratio that is placed, larger is better, and its bounds."""
    bound = math.log(margin)
    if isinstance(expect, ExpectValue):
        log = log_ratio_to_claim(figures.arms[Arm.SUBJECT], expect.metric, expect.value)
        return log, (-bound, bound)
    rho = figures.log_rho
    speed = rho if isinstance(rho, Undefined) else rho.negated()
    if isinstance(expect, ExpectGain):
        least = -math.inf if expect.at_least is None else _log_speed(expect.at_least)
        most = math.inf if expect.at_most is None else _log_speed(expect.at_most)
        return speed, (least, most)
    return speed, (-bound, bound)


def _log_speed(gain_percent: float) -> float:
    kept = 1.0 - gain_percent / 100.0
    return -math.log(kept) if kept > 0 else math.inf


def _smallest(log: LogMean, bounds: tuple[float, float], whole: float) -> float:
    error = math.sqrt(log.variance)
    above = _tail((log.value - bounds[0]) / error, log.df)
    below = _tail((bounds[1] - log.value) / error, log.df)
    under = _tail((bounds[0] - log.value) / error, log.df)
    over = _tail((log.value - bounds[1]) / error, log.df)
    return min(1.0, whole * max(above, below), 2.0 * under, 2.0 * over)


def _tail(statistic: float, df: float) -> float:
    if math.isinf(statistic):
        return 0.0 if statistic > 0 else 1.0
    return t_upper_tail(statistic, df)


def _stability(
    expect: ExpectStability, outcome: Outcome, crash_rate: Callable[[float], Estimate]
) -> Estimate:
    """Invert the interval of the rate; that a rate was not refuted is no test."""
    exact = expect.equals is not None or expect.at_most == 0
    if outcome is Outcome.REPRODUCED and exact:
        return unknown(NAME, "probability", _RATE, NO_TEST)
    claimed = [each for each in (expect.equals, expect.at_most) if each is not None]
    directions: list[Callable[[float, float], bool]] = [lambda low, _: low > min(claimed)]
    if expect.equals is not None:
        equals = expect.equals
        directions.append(lambda _, high: high < equals)
    elif expect.at_most:
        at_most = expect.at_most
        directions.append(lambda _, high: high <= at_most)
    if crash_rate(0.95).value is None:
        return unknown(NAME, "probability", _RATE, crash_rate(0.95).reason or NO_DATA)
    return Estimate(
        name=NAME,
        value=min(_inverted(crash_rate, direction) for direction in directions),
        unit="probability",
        method=_RATE,
        n=crash_rate(0.95).n,
    )


def _inverted(
    crash_rate: Callable[[float], Estimate], holds: Callable[[float, float], bool]
) -> float:
    """Return 1 less the largest level at which the interval still lies so; 1 where none does."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        rate = crash_rate(middle)
        if rate.low is not None and rate.high is not None and holds(rate.low, rate.high):
            low = middle
        else:
            high = middle
        if high - low < 1e-12:
            break
    return 1.0 - low
