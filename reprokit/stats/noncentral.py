"""How much of a sum of squares is not noise: the interval of its true part.

A sum of squares over its variance is a draw from a noncentral chi-squared, whose noncentrality is
the true part over the same variance. The interval inverts that distribution (Steiger & Fouladi
1997), averaged over what the estimate of the variance leaves open (a generalised confidence
interval, Weerahandi 1993): without a true part it is the F test, with a large one Student's t.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from scipy import optimize, special

from reprokit.stats.sample import FloatArray

# Above it the series gets slow, and Patnaik's approximation is good to four digits.
_LARGE: Final = 2_000.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def true_squares(
    squares: float, scale: float, df: float, noise_df: float, level: float
) -> tuple[float, float]:
    """Return the two-sided interval of the true part of a sum of squares.

    Args:
        squares: the sum, noise included, 0 or more.
        scale: estimated variance of one degree of freedom, above 0.
        df: degrees of freedom of the sum; need not be whole.
        noise_df: of the estimate of the variance.
        level: of the interval; an end is 0 where no true part makes the sum as improbable.
    """
    tail = (1.0 - level) / 2.0
    variances = scale * _variances(noise_df)
    least = _solve(squares, df, variances, 1.0 - tail)
    # Less than noise alone would give is luck, and no evidence that there is less than nothing.
    return least, _solve(max(squares, scale * df), df, variances, tail)


def probability_under(squares: float, df: float, variances: FloatArray, true: float) -> float:
    """P(sum of squares <= `squares`) where `true` is its true part, averaged over variances.

    Where the noncentrality is large, a scaled chi-squared of the same mean and variance stands in
    for the noncentral one (Patnaik 1949).
    """
    shift = true / variances
    reached = squares / variances
    near = np.minimum(shift, _LARGE)
    exact = special.chndtr(reached, df, near)
    mean, spread = df + shift, df + 2.0 * shift
    far = special.gammainc(mean**2 / spread / 2.0, reached * mean / spread / 2.0)
    return float((_WEIGHTS / 2.0 * np.where(shift > _LARGE, far, exact)).sum())


@lru_cache(maxsize=256)
def _variances(df: float) -> FloatArray:
    """Quadrature nodes of df / chi-squared(df): the variance over its estimate."""
    chi2 = special.chdtri(df, (1.0 - _NODES) / 2.0)
    return np.asarray(df / chi2, dtype=np.float64)


def _solve(squares: float, df: float, variances: FloatArray, probability: float) -> float:
    """Find the true part at which the probability falls to the one asked for; it only falls."""
    if probability_under(squares, df, variances, 0.0) <= probability:
        return 0.0
    high = max(float(variances.max()), 2.0 * squares)
    while probability_under(squares, df, variances, high) > probability:
        high *= 2.0
    return float(
        optimize.brentq(
            lambda true: probability_under(squares, df, variances, true) - probability,
            0.0,
            high,
            xtol=1e-300,
            rtol=1e-13,
        )
    )
