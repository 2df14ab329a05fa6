"""How much of the variance of the points' log ratios each axis explains.

A fixed-effects decomposition of the values themselves: the points are the ones that were asked
about, not a sample of others. Sums of squares are unweighted, so that the shares are about the
points and not about which of them happened to be noisy, and the terms of a grid without gaps stay
orthogonal. Noise is not what is left over, it is known from the processes: the part of it that
falls into a term is taken off (Kelley 1935), also where points share processes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from reprokit.records import Estimate, Record
from reprokit.stats.factorial import Grid, PointValue, Space, Term
from reprokit.stats.noncentral import true_squares
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, exp

TOO_FEW_POINTS: Final = "fewer_than_2_points_with_a_log_ratio"
ONLY_AXIS: Final = "only_axis_that_varies"
ONE_VALUE: Final = "only_one_value_has_a_log_ratio"
NOTHING_BEYOND_NOISE: Final = "no_variance_beyond_noise"
CONFOUNDED: Final = "confounded_by_missing_points"
NOT_ESTIMABLE: Final = "not_estimable_from_this_design"
TOO_MANY: Final = "too_many_combinations_for_an_incomplete_design"

_SHARE = (
    "fixed effects, unweighted sums of squares less the processes' noise (Kelley 1935); interval "
    "from those of term and rest (Steiger & Fouladi 1997; Weerahandi 1993), Bonferroni"
)
_BEYOND = f"added to all other terms without it (type II); {_SHARE}"
_SPREAD = "standard deviation of the points' log ratios less the processes' noise"
_NOISE = "noise of the processes in the sum of squares of all points"
# Relative difference that rounding leaves between two sums of squares.
_EQUAL: Final = 1e-9
# A share that is nothing but rounding differs between machines; nobody needs it to the last digit.
_DIGITS: Final = 9


class TermShare(Record):
    """Share of one term: an axis, or the interaction of two.

    Attributes:
        axes: one name, or two.
        df: degrees of freedom that the design leaves it.
        share: of the variance of the true log ratios over these points; None with the reason.
        beyond: what the term adds to all the other terms, where points are missing and its own
            share cannot be told; None where that cannot be told either, or `share` is known.
    """

    axes: tuple[str, ...]
    df: int
    share: Estimate
    beyond: Estimate | None = None

    @property
    def shown(self) -> bool:
        """True where the interval excludes that the term explains nothing."""
        found = self.share if self.beyond is None else self.beyond
        return found.low is not None and found.low > 0.0


class VarianceShares(Record):
    """The decomposition of one claim's log ratios over its points.

    Attributes:
        points: points with a log ratio.
        complete: whether every combination of the labels that have one is there.
        spread: standard deviation of the true log ratios over the points, as a factor.
        noise: share of the observed variance that is noise of the processes.
        terms: main effects and interactions of two axes.
        rest: share of interactions of three axes and more, and of terms that are not modelled;
            None where nothing is left.
    """

    points: int
    complete: bool
    spread: Estimate
    noise: Estimate
    terms: tuple[TermShare, ...] = ()
    rest: Estimate | None = None


@dataclass(frozen=True)
class _Whole:
    """All that a share is measured against."""

    grid: Grid
    total: Space
    level: float
    n: dict[str, int]
    beyond_noise: bool


def variance_shares(
    points: Sequence[PointValue], axes: Sequence[str], level: float = 0.95
) -> VarianceShares:
    """Decompose the variance of log ratios over points.

    Args:
        points: those that have a log ratio; points without one are simply not there.
        axes: names of all axes, in the order to report.
        level: of the intervals.
    """
    if len(points) < 2 or not all(math.isfinite(point.value) for point in points):
        reason = TOO_FEW_POINTS if len(points) < 2 else IMPOSSIBLE
        return _nothing(len(points), axes, reason)
    grid = Grid(points, axes)
    total = grid.total()
    low, high = _true_squares(grid, total, level)
    n = {"points": grid.size, "processes": _processes(points)}
    whole = _Whole(grid, total, level, n, low > 0.0)
    terms = _complete(whole) if grid.complete else _incomplete(whole)
    fixed = tuple(
        TermShare(axes=(axis,), df=0, share=unknown("share", "proportion", _SHARE, ONE_VALUE))
        for axis in axes
        if axis not in grid.axes
    )
    return VarianceShares(
        points=grid.size,
        complete=grid.complete,
        spread=_spread(whole, low, high),
        noise=_noise(whole),
        terms=(*terms, *fixed),
        rest=_rest(whole),
    )


def _nothing(points: int, axes: Sequence[str], reason: str) -> VarianceShares:
    return VarianceShares(
        points=points,
        complete=False,
        spread=unknown("spread", "ratio", _SPREAD, reason),
        noise=unknown("noise", "proportion", _NOISE, reason),
        terms=tuple(
            TermShare(axes=(axis,), df=0, share=unknown("share", "proportion", _SHARE, reason))
            for axis in axes
        ),
    )


def _complete(whole: _Whole) -> list[TermShare]:
    """Share out a grid without gaps: its terms are orthogonal, so each share is its own."""
    grid = whole.grid
    return [
        TermShare(
            axes=term, df=grid.degrees(term), share=_share(whole, grid.balanced(term), "share")
        )
        for term in grid.terms
    ]


def _incomplete(whole: _Whole) -> list[TermShare]:
    """Share out a grid with gaps, as far as the points tell the terms apart."""
    grid = whole.grid
    modelled = grid.modelled()
    return [
        _with_gaps(whole, term, modelled)
        if term in modelled
        else TermShare(axes=term, df=0, share=unknown("share", "proportion", _SHARE, TOO_MANY))
        for term in grid.terms
    ]


def _with_gaps(whole: _Whole, term: Term, modelled: Sequence[Term]) -> TermShare:
    grid = whole.grid
    # Marginality: a term is never compared with the interactions that contain it.
    others = [each for each in modelled if not set(term) <= set(each)]
    beyond = grid.spanned(term, others)
    full = grid.degrees(term)
    if beyond.df == 0:
        share = unknown("share", "proportion", _SHARE, NOT_ESTIMABLE)
        return TermShare(axes=term, df=0, share=share)
    alone = grid.spanned(term, [each for each in others if set(each) < set(term)])
    same = math.isclose(alone.squares, beyond.squares, rel_tol=_EQUAL, abs_tol=0.0)
    if beyond.df == full and same and alone.df == full:
        return TermShare(axes=term, df=full, share=_share(whole, beyond, "share"))
    reason = CONFOUNDED if beyond.df == full else NOT_ESTIMABLE
    return TermShare(
        axes=term,
        df=beyond.df,
        share=unknown("share", "proportion", _SHARE, reason),
        beyond=_share(whole, beyond, "beyond"),
    )


def _rest(whole: _Whole) -> Estimate | None:
    """Return the share of all that no modelled term holds."""
    grid = whole.grid
    if not grid.complete:
        rest = grid.left()
        return _share(whole, rest, "rest") if rest.df > 0 else None
    rest = whole.total
    for term in grid.terms:
        rest = rest.without(grid.balanced(term))
    return _share(whole, rest, "rest") if rest.df > 0 else None


def _share(whole: _Whole, part: Space, name: str) -> Estimate:
    """Return the part's share of the true variance, with its interval."""
    method = _BEYOND if name == "beyond" else _SHARE
    if not whole.beyond_noise:
        return unknown(name, "proportion", method, NOTHING_BEYOND_NOISE)
    left = whole.total.without(part)
    if left.df == 0:
        return unknown(name, "proportion", method, ONLY_AXIS)
    # Both intervals hold at once with the level asked for, dependent or not.
    level = 1.0 - (1.0 - whole.level) / 2.0
    least, most = _true_squares(whole.grid, part, level)
    least_left, most_left = _true_squares(whole.grid, left, level)
    true = _less_noise(whole.total)
    value = min(1.0, _less_noise(part) / true) if true > 0.0 else None
    if value is None:
        return unknown(name, "proportion", method, NOTHING_BEYOND_NOISE)
    low = least / (least + most_left) if least > 0.0 else 0.0
    high = most / (most + least_left) if most > 0.0 else 0.0
    return Estimate(
        name=name,
        value=round(value, _DIGITS),
        low=round(min(low, value), _DIGITS),
        high=round(max(high, value), _DIGITS),
        unit="proportion",
        level=whole.level,
        method=method,
        n=whole.n,
    )


def _less_noise(space: Space) -> float:
    return max(0.0, space.squares - float(space.noise.sum()))


def _true_squares(grid: Grid, space: Space, level: float) -> tuple[float, float]:
    """Return the interval of the sum of squares that the true values have in a space.

    Where the variances differ, the sum of squares is taken as a scaled noncentral chi-squared
    (Box 1954; Brunner, Dette & Munk 1997); the scale is the mean variance in the space, or that in
    the direction in which the values lie where it is larger.
    """
    noise, squares = float(space.noise.sum()), space.squares
    if noise <= 0.0:
        return squares, squares
    scale = noise / space.df
    if squares > 0.0:
        scale = max(scale, grid.variance_along(space.projected))
    return true_squares(squares, scale, noise / scale, grid.degrees_of_noise(space.noise), level)


def _spread(whole: _Whole, low: float, high: float) -> Estimate:
    """Return exp of the standard deviation: 1.02 stands for log ratios that differ by 2 %."""
    df = whole.total.df
    value, least, most = (
        exp(math.sqrt(each / df)) for each in (_less_noise(whole.total), low, high)
    )
    if not math.isfinite(value):
        return unknown("spread", "ratio", _SPREAD, IMPOSSIBLE)
    return Estimate(
        name="spread",
        value=round(value, _DIGITS),
        low=round(min(least, value), _DIGITS),
        high=round(max(most, value), _DIGITS) if math.isfinite(most) else None,
        unit="ratio",
        level=whole.level,
        method=_SPREAD,
        n=whole.n,
    )


def _noise(whole: _Whole) -> Estimate:
    squares = whole.total.squares
    if squares <= 0.0:
        return unknown("noise", "proportion", _NOISE, NOTHING_BEYOND_NOISE)
    value = round(min(1.0, float(np.sum(whole.total.noise)) / squares), _DIGITS)
    return Estimate(name="noise", value=value, unit="proportion", method=_NOISE, n=whole.n)


def _processes(points: Sequence[PointValue]) -> int:
    names = {name for point in points for sample in point.noise for name in sample.processes}
    return len(names)
