"""Effect sizes of two arms: Cohen's d, Hedges' g, Cliff's delta; baseline minus subject.

For times a positive effect means that the subject is faster. d and g divide by a spread and so say
how well two arms can be told apart, not how far apart they are: a quieter machine has a larger d.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from scipy import special

from reprokit.records import Estimate
from reprokit.stats.logmean import t_quantile
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import (
    IMPOSSIBLE,
    NO_DATA,
    TOO_FEW,
    ZERO_VARIANCE,
    FloatArray,
    Undefined,
)

Counted = Literal["invocations", "iterations"]
"""What one number of a sample is: the mean of one process, or one timing of many in it."""

TOO_FEW_ITERATIONS: Final = "too_few_iterations"

_SD = "sd"
_SHARE = "difference of shares"
_D = "Cohen 1988, pooled sd; interval by the noncentral t (Steiger & Fouladi 1997)"
_G = "Hedges 1981, Cohen's d times the exact small-sample factor; interval by the noncentral t"
_DELTA = "Cliff 1993; asymmetric interval (Feng & Cliff 2004)"

# Spread, relative to the largest value, that rounding of equal numbers can leave.
_EQUAL: Final = 1e-12
# Above it the series of the noncentral t gets slow, and its normal part no longer matters.
_LARGE_T: Final = 5_000.0


@dataclass(frozen=True)
class Pooled:
    """Two samples reduced to what a standardised difference needs.

    Attributes:
        d: (mean of the baseline - mean of the subject) / pooled sd.
        sizes: of the baseline and of the subject.
    """

    d: float
    sizes: tuple[int, int]

    @property
    def df(self) -> int:
        """Degrees of freedom of the pooled sd."""
        return sum(self.sizes) - 2

    @property
    def root(self) -> float:
        """What turns d into a t statistic: sqrt(n1 n2 / (n1 + n2))."""
        first, second = self.sizes
        return math.sqrt(first * second / (first + second))


def usable(
    baseline: FloatArray, subject: FloatArray, counted: Counted = "invocations"
) -> Undefined | None:
    """Say why two samples cannot be compared; None where they can."""
    if baseline.size == 0 or subject.size == 0:
        return Undefined(NO_DATA)
    both = np.concatenate((baseline, subject))
    if not bool(np.isfinite(both).all()):
        return Undefined(IMPOSSIBLE)
    if min(baseline.size, subject.size) < 2:
        return Undefined(TOO_FEW if counted == "invocations" else TOO_FEW_ITERATIONS)
    spread = max(float(np.ptp(baseline)), float(np.ptp(subject)))
    if not spread > _EQUAL * float(np.abs(both).max()):
        return Undefined(ZERO_VARIANCE)
    return None


def pooled(
    baseline: FloatArray, subject: FloatArray, counted: Counted = "invocations"
) -> Pooled | Undefined:
    """Standardise the difference of two means with the pooled sd (ddof 1 in each arm)."""
    refused = usable(baseline, subject, counted)
    if refused is not None:
        return refused
    # In units of the largest value, so that nothing overflows.
    scale = max(float(np.abs(baseline).max()), float(np.abs(subject).max()))
    first, second = baseline / scale, subject / scale
    squares = float(((first - first.mean()) ** 2).sum() + ((second - second.mean()) ** 2).sum())
    spread = math.sqrt(squares / (first.size + second.size - 2))
    return Pooled(float(first.mean() - second.mean()) / spread, (int(first.size), int(second.size)))


def cohens_d(
    baseline: FloatArray,
    subject: FloatArray,
    level: float = 0.95,
    counted: Counted = "invocations",
) -> Estimate:
    """Cohen's d = (mean of the baseline - mean of the subject) / pooled sd.

    The interval takes the numbers as independent, so it is given for invocations only; d of
    iterations is what TR147 prints and has none.
    """
    return _standardised("cohens_d", _D, pooled(baseline, subject, counted), level, counted)


def hedges_g(
    baseline: FloatArray,
    subject: FloatArray,
    level: float = 0.95,
    counted: Counted = "invocations",
) -> Estimate:
    """Hedges' g: Cohen's d without its bias in small samples (Hedges 1981)."""
    found = pooled(baseline, subject, counted)
    factor = 1.0 if isinstance(found, Undefined) else small_sample_factor(found.df)
    return _standardised("hedges_g", _G, found, level, counted, factor)


def small_sample_factor(df: int) -> float:
    """Hedges' exact J(df) = gamma(df/2) / (sqrt(df/2) gamma((df-1)/2)); df of 2 or more."""
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


def _standardised(
    name: str,
    method: str,
    found: Pooled | Undefined,
    level: float,
    counted: Counted,
    factor: float = 1.0,
) -> Estimate:
    if isinstance(found, Undefined):
        return unknown(name, _SD, method, found.reason)
    low = high = None
    if counted == "invocations":
        ends = noncentrality(found.d * found.root, found.df, level)
        low, high = (factor * end / found.root for end in ends)
    return Estimate(
        name=name,
        value=factor * found.d,
        low=low,
        high=high,
        unit=_SD,
        level=level if counted == "invocations" else None,
        method=method if counted == "invocations" else method.split(";", maxsplit=1)[0],
        n=_counts(found.sizes, counted),
    )


@lru_cache(maxsize=256)
def noncentrality(t: float, df: int, level: float) -> tuple[float, float]:
    """Interval of the noncentrality of which `t` is a draw with df degrees of freedom."""
    tail = (1.0 - level) / 2.0
    if abs(t) > _LARGE_T:
        # t = (Z + nc) / S: as t grows, nc / t is distributed as S = sqrt(chi^2 / df).
        ends = [t * math.sqrt(float(special.chdtri(df, p)) / df) for p in (1 - tail, tail)]
    else:
        ends = [float(special.nctdtrinc(df, p, t)) for p in (1 - tail, tail)]
    return min(ends), max(ends)


def cliffs_delta(
    baseline: FloatArray,
    subject: FloatArray,
    level: float = 0.95,
    counted: Counted = "invocations",
) -> Estimate:
    """Cliff's delta = P(baseline > subject) - P(baseline < subject); needs only an order.

    Null where both arms are constant, although an order exists: identical timings are no evidence.
    """
    refused = usable(baseline, subject, counted)
    if refused is not None:
        return unknown("cliffs_delta", _SHARE, _DELTA, refused.reason)
    first, second = np.sort(baseline), np.sort(subject)
    over_second, over_first = _dominance(first, second), _dominance(second, first)
    delta = float(over_second.mean())
    low = high = None
    if counted == "invocations":
        ties = _ties(first, second)
        low, high = _delta_interval(delta, over_second, over_first, ties, level)
    return Estimate(
        name="cliffs_delta",
        value=delta,
        low=low,
        high=high,
        unit=_SHARE,
        level=level if counted == "invocations" else None,
        method=_DELTA if counted == "invocations" else _DELTA.split(";", maxsplit=1)[0],
        n=_counts((int(baseline.size), int(subject.size)), counted),
    )


def _dominance(of: FloatArray, over: FloatArray) -> FloatArray:
    """For each number the share of sorted `over` below it minus the share above it."""
    below = np.searchsorted(over, of, side="left")
    above = over.size - np.searchsorted(over, of, side="right")
    return (below - above) / over.size


def _ties(first: FloatArray, second: FloatArray) -> float:
    """Share of equal pairs of two sorted samples."""
    equal = np.searchsorted(second, first, side="right") - np.searchsorted(second, first)
    return float(equal.sum()) / (first.size * second.size)


def _delta_interval(
    delta: float, over_second: FloatArray, over_first: FloatArray, ties: float, level: float
) -> tuple[float, float]:
    """Feng & Cliff's interval from the consistent variance; one-sided where delta is 1 or -1."""
    first, second = over_second.size, over_first.size
    quantile = t_quantile(0.5 + level / 2, first + second - 2)
    if abs(delta) == 1.0:
        smaller = min(first, second)
        near = (smaller - quantile**2) / (smaller + quantile**2)
        return (near, 1.0) if delta > 0 else (-1.0, -near)
    pairs = first * second
    within = (1.0 - ties - delta**2) * pairs / (pairs - 1)
    variance = (
        (second - 1) * float(over_second.var(ddof=1))
        + (first - 1) * float(over_first.var(ddof=1))
        + within
    ) / pairs
    spread = quantile**2 * variance
    middle, root = delta - delta**3, math.sqrt(spread * ((1 - delta**2) ** 2 + spread))
    bottom = 1 - delta**2 + spread
    return max(-1.0, (middle - root) / bottom), min(1.0, (middle + root) / bottom)


def _counts(sizes: tuple[int, int], counted: Counted) -> dict[str, int]:
    return {f"baseline_{counted}": sizes[0], f"subject_{counted}": sizes[1], counted: sum(sizes)}
