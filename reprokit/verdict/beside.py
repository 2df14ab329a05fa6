"""Estimates beside the deciding ones: bootstrap intervals, effect sizes, what could be detected.

They decide nothing (docs/statistics.md, section 2). The bootstrap could from 10 invocations on, and
is too narrow below; effect sizes divide by a spread and grow as a machine gets quieter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from reprokit.records import Arm, Estimate
from reprokit.stats.bootstrap import bootstrap_both, bootstrap_rate
from reprokit.stats.effect import cliffs_delta, cohens_d, hedges_g
from reprokit.stats.power import minimum_detectable_effect
from reprokit.stats.published_contrast import (
    published_cv,
    published_d,
    published_delta,
    published_welch_p,
)
from reprokit.stats.sample import NO_DATA, FloatArray, Undefined, arm_sample

_Values = Mapping[Arm, Sequence[Sequence[float]]]
"""Usable iterations of every invocation that has some, in the metric's unit."""


def beside(metric: str, values: _Values, level: float) -> tuple[Estimate, ...]:
    """Estimate one cell: both arms where there is a baseline, else the subject alone."""
    subject = values[Arm.SUBJECT]
    if Arm.BASELINE not in values:
        return (_of(Arm.SUBJECT, bootstrap_rate(metric, subject, level)),)
    baseline = values[Arm.BASELINE]
    of_subject, of_baseline, contrast = bootstrap_both(metric, subject, baseline, level)
    slow, fast = (_mean_times(metric, arm) for arm in (baseline, subject))
    return (
        _of(Arm.SUBJECT, of_subject),
        _of(Arm.BASELINE, of_baseline),
        contrast,
        cohens_d(slow, fast, level),
        hedges_g(slow, fast, level),
        cliffs_delta(slow, fast, level),
        _detectable(slow.size, fast.size, round(1.0 - level, 12)),
    )


def published_beside(pooled: Mapping[Arm, FloatArray]) -> tuple[Estimate, ...]:
    """Return what TR147 prints of a pair of arms, of pooled iterations in the metric's unit."""
    spreads = [_of(arm, published_cv(values)) for arm, values in pooled.items()]
    if Arm.BASELINE not in pooled:
        return tuple(spreads)
    arms = (pooled[Arm.BASELINE], pooled[Arm.SUBJECT])
    return (*spreads, published_delta(*arms), published_d(*arms), published_welch_p(*arms))


def _mean_times(metric: str, arm: Sequence[Sequence[float]]) -> FloatArray:
    """Mean time of each invocation; NaN where a value is impossible, empty without values."""
    sample = arm_sample(metric, arm)
    if not isinstance(sample, Undefined):
        return np.asarray(np.exp(np.array(sample.means)))
    return np.full(0 if sample.reason == NO_DATA else 1, np.nan)


@lru_cache(maxsize=256)
def _detectable(baseline: int, subject: int, alpha: float) -> Estimate:
    """Ask once for arms of the same sizes."""
    return minimum_detectable_effect(baseline, subject, alpha)


def _of(arm: Arm, estimate: Estimate) -> Estimate:
    return estimate.model_copy(update={"name": f"{arm}_{estimate.name}"})
