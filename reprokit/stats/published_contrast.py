"""The as-published numbers of two arms, and TR147's rounding; beside the sound ones, never instead.

Iterations are pooled as if they were independent, so none of these decides anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from reprokit.records import Estimate
from reprokit.stats.effect import TOO_FEW_ITERATIONS, cohens_d, usable
from reprokit.stats.logmean import t_upper_tail
from reprokit.stats.published import pooled_mean_bootstrap
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, ZERO_VARIANCE, FloatArray, Undefined

DIGITS: Final = {"%": 2, "ms": 3, "sd": 3, "probability": 4, "proportion": 3, "cv": 4}
"""Decimals by unit: TR147, "Statistical Methods and Caveats"; CV as in its table SS11."""

_LABEL = "as published (TR147), pooled iterations; decides nothing"


@dataclass(frozen=True)
class PublishedContrast:
    """What TR147 prints of one pair of arms."""

    baseline_mean: Estimate
    subject_mean: Estimate
    baseline_cv: Estimate
    subject_cv: Estimate
    delta: Estimate
    cohens_d: Estimate
    welch_p: Estimate


def published_contrast(metric: str, baseline: FloatArray, subject: FloatArray) -> PublishedContrast:
    """Return all of them at once; values in the metric's unit, not turned into times."""
    return PublishedContrast(
        pooled_mean_bootstrap(metric, baseline),
        pooled_mean_bootstrap(metric, subject),
        published_cv(baseline),
        published_cv(subject),
        published_delta(baseline, subject),
        published_d(baseline, subject),
        published_welch_p(baseline, subject),
    )


def published_cv(values: FloatArray) -> Estimate:
    """Coefficient of variation: sd (ddof 1) over mean of the pooled iterations."""
    name, method = "cv_as_published", f"{_LABEL}: sd / mean"
    if values.size == 0:
        return unknown(name, "cv", method, NO_DATA)
    if not bool((np.isfinite(values) & (values > 0)).all()):
        return unknown(name, "cv", method, IMPOSSIBLE)
    if values.size < 2:
        return unknown(name, "cv", method, TOO_FEW_ITERATIONS)
    scaled = values / float(values.max())
    if float(np.ptp(scaled)) <= 1e-12:
        return unknown(name, "cv", method, ZERO_VARIANCE)
    value = float(scaled.std(ddof=1) / scaled.mean())
    return Estimate(
        name=name, value=value, unit="cv", method=method, n={"iterations": int(values.size)}
    )


def published_delta(baseline: FloatArray, subject: FloatArray) -> Estimate:
    """Delta % = 100 (subject mean - baseline mean) / baseline mean; a gain is its negative."""
    name, method = "delta_as_published", f"{_LABEL}: ratio of pooled means"
    if baseline.size == 0 or subject.size == 0:
        return unknown(name, "%", method, NO_DATA)
    both = np.concatenate((baseline, subject))
    if not bool((np.isfinite(both) & (both > 0)).all()):
        return unknown(name, "%", method, IMPOSSIBLE)
    scale = float(both.max())
    ratio = float((subject / scale).mean()) / float((baseline / scale).mean())
    return _of_two(name, "%", method, 100.0 * (ratio - 1.0), baseline, subject)


def published_d(baseline: FloatArray, subject: FloatArray) -> Estimate:
    """Pooled Cohen's d of iterations, eager minus compiled."""
    found = cohens_d(baseline, subject, counted="iterations")
    method = f"{_LABEL}: Cohen 1988, pooled sd"
    return found.model_copy(update={"name": "cohens_d_as_published", "method": method})


def published_welch_p(baseline: FloatArray, subject: FloatArray) -> Estimate:
    """Two-sided Welch p-value of iterations."""
    name, method = "welch_p_as_published", f"{_LABEL}: Welch t test"
    refused = usable(baseline, subject, "iterations")
    if isinstance(refused, Undefined):
        return unknown(name, "probability", method, refused.reason)
    scale = max(float(np.abs(baseline).max()), float(np.abs(subject).max()))
    first, second = baseline / scale, subject / scale
    parts = (float(first.var(ddof=1)) / first.size, float(second.var(ddof=1)) / second.size)
    variance = math.fsum(parts)
    df = variance**2 / (parts[0] ** 2 / (first.size - 1) + parts[1] ** 2 / (second.size - 1))
    statistic = abs(float(first.mean() - second.mean())) / math.sqrt(variance)
    value = min(1.0, 2.0 * t_upper_tail(statistic, df))
    if not math.isfinite(value):
        return unknown(name, "probability", method, IMPOSSIBLE)
    return _of_two(name, "probability", method, value, baseline, subject)


def printed(estimate: Estimate) -> str:
    """Write a value with TR147's number of decimals, or the reason why there is none.

    Units without a rule of TR147's keep three.
    """
    if estimate.value is None:
        return f"n/a ({estimate.reason})"
    digits = DIGITS.get(estimate.unit, 3)
    return f"{estimate.value:.{digits}f}"


def rounding_interval(text: str) -> tuple[float, float]:
    """Numbers that a printed figure may stand for: half a unit of its last digit either way.

    Raises:
        decimal.InvalidOperation: it is not a number.
    """
    value = Decimal(text.replace(",", "").replace("\N{MINUS SIGN}", "-").rstrip("%"))
    half = Decimal(5).scaleb(int(value.as_tuple().exponent) - 1)
    return float(value - half), float(value + half)


def _of_two(
    name: str, unit: str, method: str, value: float, baseline: FloatArray, subject: FloatArray
) -> Estimate:
    first, second = int(baseline.size), int(subject.size)
    n = {
        "baseline_iterations": first,
        "subject_iterations": second,
        "iterations": first + second,
    }
    return Estimate(name=name, value=value, unit=unit, method=method, n=n)
