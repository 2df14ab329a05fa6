"""Minimum detectable effect of a two-sample t test (Cohen 1988), by the noncentral t."""

from __future__ import annotations

import math

from scipy import optimize, special

from reprokit.records import Estimate
from reprokit.stats.effect import TOO_FEW_ITERATIONS, Counted
from reprokit.stats.logmean import t_quantile
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, TOO_FEW

_METHOD = "two-sided two-sample t test, noncentral t (Cohen 1988)"


def power_of(effect: float, first: int, second: int, alpha: float = 0.05) -> float:
    """Power of the two-sided t test for a true difference of `effect` pooled sd.

    `first` and `second` are the sizes of the arms, together at least 3.
    """
    df = first + second - 2
    critical = t_quantile(1.0 - alpha / 2.0, df)
    shift = abs(effect) * math.sqrt(first * second / (first + second))
    above = 1.0 - float(special.nctdtr(df, shift, critical))
    # The other tail is under P(Z < -shift): nothing, where its series fails.
    below = float(special.nctdtr(df, shift, -critical)) if shift < 6.0 else 0.0
    return above + below


def minimum_detectable_effect(
    first: int,
    second: int | None = None,
    alpha: float = 0.05,
    power: float = 0.80,
    counted: Counted = "invocations",
) -> Estimate:
    """Smallest |Cohen's d| that the test finds with the given power: 0.23 at 300, 0.52 at 60.

    Args:
        first: size of one arm.
        second: of the other; the same unless it is given.
        alpha: two-sided level of the test, under `power`.
        power: wanted probability of rejection.
        counted: what the sizes count. With iterations it is TR147's figure, and too small: they
            are not independent.
    """
    other = first if second is None else second
    name, method = "minimum_detectable_effect", f"{_METHOD}, alpha {alpha:g}, power {power:g}"
    if first <= 0 or other <= 0:
        return unknown(name, "sd", method, NO_DATA)
    if min(first, other) < 2:
        few = TOO_FEW if counted == "invocations" else TOO_FEW_ITERATIONS
        return unknown(name, "sd", method, few)
    if not 0.0 < alpha < power < 1.0:
        return unknown(name, "sd", method, IMPOSSIBLE)
    # From one standard error on: far beyond the answer the noncentral t cannot be computed.
    most = math.sqrt((first + other) / (first * other))
    while power_of(most, first, other, alpha) < power:
        most *= 2.0
    found = optimize.brentq(
        lambda effect: power_of(effect, first, other, alpha) - power, 0.0, most, xtol=1e-10
    )
    sizes = {f"baseline_{counted}": first, f"subject_{counted}": other, counted: first + other}
    return Estimate(name=name, value=float(found), unit="sd", method=method, n=sizes)
