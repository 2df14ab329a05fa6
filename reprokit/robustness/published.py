"""`cri_d`: the Compile Reproducibility Index as published.

Banterhearts "Conclusive Phase 6", section 6.1, appendices X1.2 and D.8. It pools iterations and
divides by their spread, so it calls noise fragile and a crash sensitive (docs/statistics.md); it
stands beside `cri` for readers who know it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from reprokit.records import Estimate
from reprokit.robustness.records import (
    EAGER_DRIFT,
    CriD,
    PointPair,
    RobustnessClass,
    too_few_points,
)
from reprokit.robustness.runs import PointRuns, pooled_values
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, ZERO_VARIANCE, FloatArray, as_times

SENSITIVE: Final = 0.5
FRAGILE: Final = 2.0
CATASTROPHIC: Final = 10.0
DRIFT: Final = 0.5
_METHOD = "largest pairwise |Cohen's d| of pooled iterations, pooled sd (Cohen 1988), as published"
# Relative spread that rounding of equal numbers can leave.
_EQUAL = 1e-12


def cri_d_of(metric: str, points: Sequence[PointRuns]) -> CriD:
    """Compute the index of one cell from its rows; throughput enters as time per work."""
    return cri_d(
        {each.point: as_times(metric, pooled_values(metric, each.subject)) for each in points},
        {each.point: as_times(metric, pooled_values(metric, each.baseline)) for each in points},
    )


def cri_d(
    compiled: Mapping[str, Sequence[float] | FloatArray],
    eager: Mapping[str, Sequence[float] | FloatArray],
) -> CriD:
    """Compute the index over stack points, other things equal.

    Args:
        compiled: stack point to the compiled latencies of its valid rows.
        eager: the same of the eager arm; points without rows do not guard.
    """
    valid = {point: np.asarray(values) for point, values in compiled.items() if len(values) >= 2}
    index, pairs = _largest("cri_d", valid)
    guarding = {
        point: np.asarray(eager[point]) for point in valid if len(eager.get(point, ())) >= 2
    }
    drift, _ = _largest("cri_d_eager", guarding)
    robustness, reason = _classify(len(valid), index, drift)
    return CriD(
        robustness=robustness,
        reason=reason,
        index=index,
        drift=drift,
        pairs=pairs,
        valid_points=tuple(valid),
    )


def band(d: float) -> RobustnessClass:
    """Name the published band of |d|."""
    size = abs(d)
    if size >= CATASTROPHIC:
        return RobustnessClass.CATASTROPHIC
    if size >= FRAGILE:
        return RobustnessClass.FRAGILE
    return RobustnessClass.SENSITIVE if size >= SENSITIVE else RobustnessClass.ROBUST


def cohen_d(one: FloatArray, other: FloatArray) -> Estimate:
    """(mean of one - mean of other) / pooled standard deviation (Cohen 1988)."""
    name, method = "cohen_d", "pooled sd (Cohen 1988)"
    if min(one.size, other.size) < 2:
        return unknown(name, "sd", method, NO_DATA)
    if not bool(np.isfinite(one).all() and np.isfinite(other).all()):
        return unknown(name, "sd", method, IMPOSSIBLE)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = (one.size - 1) * one.var(ddof=1) + (other.size - 1) * other.var(ddof=1)
        spread = math.sqrt(squares / (one.size + other.size - 2))
        scale = max(float(np.abs(one).max()), float(np.abs(other).max()))
        difference = float(one.mean() - other.mean())
    if not (math.isfinite(spread) and math.isfinite(difference)):
        return unknown(name, "sd", method, IMPOSSIBLE)
    if spread <= _EQUAL * scale:
        return unknown(name, "sd", method, ZERO_VARIANCE)
    return Estimate(
        name=name,
        value=difference / spread,
        unit="sd",
        method=method,
        n={"first": int(one.size), "second": int(other.size)},
    )


def _largest(
    name: str, samples: Mapping[str, FloatArray]
) -> tuple[Estimate, tuple[PointPair, ...]]:
    """Return the largest |d| and all pairs; one pair without a d leaves it without one."""
    pairs = tuple(
        PointPair(points=(one, other), estimate=cohen_d(samples[one], samples[other]))
        for one, other in combinations(samples, 2)
    )
    if not pairs:
        return unknown(name, "sd", _METHOD, too_few_points(len(samples))), pairs
    without = next((pair.estimate.reason for pair in pairs if pair.estimate.value is None), None)
    if without is not None:
        return unknown(name, "sd", _METHOD, without), pairs
    value = max(abs(pair.estimate.value or 0.0) for pair in pairs)
    n = {"points": len(samples), "iterations": sum(each.size for each in samples.values())}
    return Estimate(name=name, value=value, unit="sd", method=_METHOD, n=n), pairs


def _classify(valid: int, index: Estimate, drift: Estimate) -> tuple[RobustnessClass, str | None]:
    if valid < 2:
        return RobustnessClass.INVALID, too_few_points(valid)
    if index.value is None:
        return RobustnessClass.INVALID, index.reason
    if drift.value is not None and drift.value >= DRIFT:
        return RobustnessClass.INVALID, EAGER_DRIFT
    return band(index.value), None
