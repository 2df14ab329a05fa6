"""All pairwise log ratios of several points with simultaneous intervals.

Games & Howell 1976: the studentised range with Welch's standard error and degrees of freedom for
each pair, so that points may be noisy to different degrees. With two points it is Welch's t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

import numpy as np
from scipy import optimize, special

from reprokit.records import Estimate
from reprokit.robustness.records import PointPair
from reprokit.stats.logmean import LogMean, difference, t_quantile
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import FloatArray, exp

METHOD: Final = (
    "largest pairwise ratio of log invocation means, simultaneous interval by the studentised "
    "range (Games & Howell 1976)"
)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_DEGREE = 32
_REACH = 8.0  # standard deviations; beyond lies less than 1e-14 of a normal distribution


@dataclass(frozen=True)
class Pair:
    """Log ratio of two points, first over second, with its half width."""

    points: tuple[str, str]
    log: LogMean
    half: float

    @property
    def least(self) -> float:
        """Smallest |log ratio| that the interval allows."""
        return max(0.0, abs(self.log.value) - self.half)

    @property
    def most(self) -> float:
        """Largest |log ratio| that the interval allows."""
        return abs(self.log.value) + self.half

    def record(self, level: float) -> PointPair:
        """Return the ratio itself."""
        value = self.log.value
        return PointPair(
            points=self.points,
            estimate=_ratio(
                "latency_ratio", (value, value - self.half, value + self.half), self.log, level
            ),
        )


def all_pairs(means: Mapping[str, LogMean], level: float) -> tuple[Pair, ...]:
    """Compare every two points; all intervals together hold with probability `level`."""
    found = []
    for one, other in combinations(means, 2):
        log = difference(means[one], means[other])
        assert isinstance(log, LogMean)
        quantile = range_quantile(level, len(means), log.df) / math.sqrt(2.0)
        found.append(Pair((one, other), log, quantile * math.sqrt(log.variance)))
    return tuple(found)


def largest(name: str, pairs: Sequence[Pair], level: float) -> Estimate:
    """Return exp of the largest pairwise |log ratio| with the bounds that all pairs give."""
    top = max(pairs, key=lambda pair: abs(pair.log.value))
    numbers = (
        abs(top.log.value),
        max(pair.least for pair in pairs),
        max(pair.most for pair in pairs),
    )
    return _ratio(name, numbers, top.log, level)


def no_ratio(name: str, reason: str) -> Estimate:
    """Return a ratio without a value."""
    return unknown(name, "ratio", METHOD, reason)


def _ratio(name: str, logs: tuple[float, float, float], of: LogMean, level: float) -> Estimate:
    value, low, high = (exp(each) for each in logs)
    if not math.isfinite(value):
        return no_ratio(name, "impossible_value")
    return Estimate(
        name=name,
        value=value,
        low=low,
        high=high if math.isfinite(high) else None,
        unit="ratio",
        level=level,
        method=METHOD,
        n={"invocations": of.invocations, "iterations": of.iterations},
    )


def range_quantile(level: float, groups: int, df: float) -> float:
    """Quantile of the studentised range; scipy.stats.studentized_range.ppf, many times as fast.

    Args:
        level: probability.
        groups: number of means, at least 2.
        df: degrees of freedom of the standard error, at least 1.
    """
    if groups == 2:
        return math.sqrt(2.0) * t_quantile(0.5 + level / 2.0, df)
    return math.exp(float(_curve(level, groups)(1.0 / df)))


@lru_cache(maxsize=64)
def _curve(level: float, groups: int) -> np.polynomial.Chebyshev:
    """Log of the quantile over 1 / df from 0 to 1: Welch's df differ from pair to pair."""
    inverse = (np.polynomial.chebyshev.chebpts1(_DEGREE + 1) + 1.0) / 2.0
    logs = [math.log(_solved(level, groups, 1.0 / float(each))) for each in inverse]
    return np.polynomial.Chebyshev.fit(inverse, logs, _DEGREE, domain=[0.0, 1.0])


def _solved(level: float, groups: int, df: float) -> float:
    high = 2.0
    spreads = _spreads(df)
    while _probability(high, groups, spreads) < level:
        high *= 2.0
    return float(
        optimize.brentq(lambda q: _probability(q, groups, spreads) - level, 0.0, high, xtol=1e-9)
    )


def _spreads(df: float) -> FloatArray:
    """Quadrature nodes of sqrt(chi2 / df), by its quantiles."""
    tails = (1.0 - _NODES) / 2.0
    chi2 = np.asarray(special.chdtri(df, tails), dtype=np.float64)
    return np.sqrt(chi2 / df)


def _probability(q: float, groups: int, spreads: FloatArray) -> float:
    """P(range of `groups` normals <= q s), averaged over s."""
    z = _REACH * _NODES[:, np.newaxis]
    density = np.exp(-(z**2) / 2.0) / math.sqrt(2.0 * math.pi)
    inside = special.ndtr(z) - special.ndtr(z - q * spreads[np.newaxis, :])
    over_z = groups * _REACH * (_WEIGHTS[:, np.newaxis] * density * inside ** (groups - 1)).sum(0)
    return float((_WEIGHTS / 2.0 * over_z).sum())
