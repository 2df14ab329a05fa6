"""The as-published numbers: pooled iterations, as TR147 and most READMEs report them.

They stand beside the sound ones so that a reader finds the figure they know. They decide nothing:
iterations of one process are not independent, and their intervals are far too narrow.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from reprokit.metrics import METRICS
from reprokit.records import Estimate
from reprokit.stats.quantile import quantiles
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, FloatArray

SEED = 42
RESAMPLES = 1000
# Resamples drawn at a time, so that memory stays bounded whatever the number of iterations.
_CHUNK = 2_000_000


def pooled_statistic(
    metric: str, values: FloatArray, statistic: Literal["median", "mean"]
) -> Estimate:
    """Median or mean of all iterations in the metric's own unit, without an interval."""
    name, unit = f"pooled_{statistic}_{metric}", METRICS[metric].unit
    method = f"as published: plain {statistic} of pooled iterations; decides nothing"
    if values.size == 0:
        return unknown(name, unit, method, NO_DATA)
    if not bool(np.isfinite(values).all()):
        return unknown(name, unit, method, IMPOSSIBLE)
    value = float(np.median(values) if statistic == "median" else np.mean(values))
    return Estimate(
        name=name, value=value, unit=unit, method=method, n={"iterations": int(values.size)}
    )


def pooled_mean_bootstrap(
    metric: str, values: FloatArray, level: float = 0.95, seed: int = SEED
) -> Estimate:
    """Pooled mean with TR147's percentile bootstrap: 1,000 resamples, seed 42."""
    name, unit = f"pooled_mean_bootstrap_{metric}", METRICS[metric].unit
    method = (
        f"as published: percentile bootstrap of the pooled mean, {RESAMPLES} resamples; "
        "decides nothing"
    )
    if values.size < 2:
        return unknown(name, unit, method, NO_DATA)
    if not bool(np.isfinite(values).all()):
        return unknown(name, unit, method, IMPOSSIBLE)
    low, high = quantiles(_resampled_means(values, seed), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        name=name,
        value=float(values.mean()),
        low=low,
        high=high,
        unit=unit,
        level=level,
        method=method,
        n={"iterations": int(values.size)},
        seed=seed,
    )


def _resampled_means(values: FloatArray, seed: int) -> FloatArray:
    if values.size <= _CHUNK // RESAMPLES:
        return np.asarray(values[_drawn(int(values.size), seed)].mean(axis=1))
    generator = np.random.default_rng(seed)
    rows = max(1, min(RESAMPLES, _CHUNK // values.size))
    means = [
        values[generator.integers(0, values.size, (min(rows, RESAMPLES - start), values.size))]
        .mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]  # fmt: skip
    return np.concatenate(means)


@lru_cache(maxsize=4)
def _drawn(size: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw for all samples of one size at once: what is drawn does not depend on the values."""
    return np.random.default_rng(seed).integers(0, size, (RESAMPLES, size))
