"""The eager guard: is the baseline arm the same at all points? An equivalence test, not a null."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from reprokit.robustness.pairs import all_pairs, largest
from reprokit.robustness.records import EAGER_DRIFT, EAGER_FAILS, EAGER_OPEN, Guard
from reprokit.robustness.runs import Fate, PointRuns, fate_of, sample_of
from reprokit.stats.equivalence import tost
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.sample import Undefined


def eager_guard(metric: str, points: Sequence[PointRuns], *, margin: float, level: float) -> Guard:
    """Test the baseline over the points with the ratio margin, at 1 - level."""
    if not any(point.baseline for point in points):
        return Guard(status="not_measured")
    fates = {fate_of(point.baseline) for point in points}
    if Fate.FAILS in fates:
        return Guard(status="fails", reason=EAGER_FAILS)
    if fates != {Fate.SURVIVES} or len(points) < 2:
        return Guard(status="open", reason=EAGER_OPEN)
    means: dict[str, LogMean] = {}
    for point in points:
        mean = log_mean(sample_of(metric, point.baseline))
        if isinstance(mean, Undefined):
            return Guard(status="open", reason=mean.reason)
        means[point.point] = mean
    return _tested(means, margin=margin, level=level)


def _tested(means: Mapping[str, LogMean], *, margin: float, level: float) -> Guard:
    pairs = all_pairs(means, level)
    records = tuple(pair.record(level) for pair in pairs)
    top = largest("eager_ratio", pairs, level)
    # All pairs must be equivalent, so each may be tested at the full alpha (Berger 1982).
    if all(
        tost(difference(means[one], means[other]), margin, 1.0 - level).equivalent
        for one, other in combinations(means, 2)
    ):
        return Guard(status="equivalent", largest=top, pairs=records)
    if max(pair.least for pair in pairs) > math.log(margin):
        return Guard(status="drift", reason=EAGER_DRIFT, largest=top, pairs=records)
    return Guard(status="open", reason=EAGER_OPEN, largest=top, pairs=records)
