"""How much of the variance of the log ratio each axis of a sweep explains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from reprokit.claim.model import Conclusion, ExpectStability, ExpectValue
from reprokit.records import Arm, Scalar
from reprokit.stats.factorial import PointValue
from reprokit.stats.point_noise import NoiseSample
from reprokit.stats.variance import TOO_FEW_POINTS, variance_shares
from reprokit.verdict.figures import metric_of
from reprokit.verdict.guards import needed_arms
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.processes import deviations_of
from reprokit.verdict.records import PointVerdict
from reprokit.verdict.units import Unit
from reprokit.verdict.variance_records import AxisVariance
from reprokit.verdict.wording import position

NO_RATIO = "the_claim_is_about_no_ratio"
ONE_POINT = "only_one_point_was_planned"
SOME_FAILED = "some_runs_failed"
_ON_FIGURES = frozenset(
    {Outcome.REPRODUCED, Outcome.FALLS_SHORT, Outcome.EXCEEDS, Outcome.INCONCLUSIVE}
)
_SIGNS = {Arm.SUBJECT: 1.0, Arm.BASELINE: -1.0}


def axis_variance(
    expect: Conclusion,
    units: Sequence[Unit],
    points: Sequence[PointVerdict],
    axes: Mapping[str, tuple[Scalar, ...]],
    level: float,
) -> AxisVariance | None:
    """Decompose the log ratio that decides at every point; None where nothing was swept.

    Points of which some runs failed are missing: timings of survivors are no timing of the point.

    Args:
        expect: what is decided at every point.
        units: the rows in order, one unit per point.
        points: their verdicts, in the same order.
        axes: axes along which points differ.
        level: of the intervals.
    """
    if not axes:
        return None
    if isinstance(expect, ExpectStability):
        return AxisVariance(of=None, reason=NO_RATIO)
    of = "ratio_to_claim" if isinstance(expect, ExpectValue) else "contrast"
    if len(points) < 2:
        return AxisVariance(of=of, reason=ONE_POINT)
    values: list[PointValue] = []
    missing: list[str] = []
    for unit, point in zip(units, points, strict=True):
        found = _value(expect, of, unit, point)
        if isinstance(found, PointValue):
            values.append(found)
        else:
            missing.append(f"{position(point.axes) or point.point}: {found}")
    if len(values) < 2:
        return AxisVariance(of=of, missing=tuple(missing), reason=TOO_FEW_POINTS)
    shares = variance_shares(values, tuple(axes), level)
    return AxisVariance(of=of, missing=tuple(missing), shares=shares)


def _value(expect: Conclusion, of: str, unit: Unit, point: PointVerdict) -> PointValue | str:
    """Return a point's log ratio with its noise, or why it has none."""
    if point.on_figures not in _ON_FIGURES:
        return str(point.on_figures)
    arms = needed_arms(expect)
    if not all(each.whole for each in point.survival if each.arm in arms):
        return SOME_FAILED
    estimate = point.estimate(of)
    noise = _noise(unit, metric_of(expect), arms)
    if estimate is None or not estimate.value or noise is None:
        return (estimate.reason if estimate else None) or "no_data"
    return PointValue(point.axes, math.log(estimate.value), noise)


def _noise(unit: Unit, metric: str | None, arms: Iterable[Arm]) -> tuple[NoiseSample, ...] | None:
    found: list[NoiseSample] = []
    for arm in arms:
        samples = deviations_of(metric or "", [each.launches[arm] for each in unit.strata])
        if samples is None:
            return None
        found += [
            NoiseSample(tuple(sample), tuple(_SIGNS[arm] * each for each in sample.values()))
            for sample in samples
        ]
    return tuple(found)
