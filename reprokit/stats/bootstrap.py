"""Hierarchical bootstrap: invocations drawn with replacement, then the iterations inside each.

Intervals are bias-corrected and accelerated (BCa, Efron 1987; Davison & Hinkley 1997, section 3.8),
with the acceleration from the invocations, the independent unit. With few invocations they are too
short whatever is done inside them; from `DECIDES_FROM` on a decision may rest on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import special

from reprokit.metrics import METRICS
from reprokit.records import Estimate
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import (
    IMPOSSIBLE,
    NO_DATA,
    TOO_FEW,
    ZERO_VARIANCE,
    FloatArray,
    Undefined,
    as_times,
    exp,
    has_no_spread,
    is_time,
)

SEED: Final = 42
RESAMPLES: Final = 1000
DECIDES_FROM: Final = 10
DEGENERATE: Final = "bootstrap_degenerate"
TOO_FEW_RESAMPLES: Final = "too_few_resamples"

Invocations = Sequence[Sequence[float] | FloatArray]
"""The iterations of every invocation, in the metric's unit; empty ones do not count."""

# Numbers drawn at a time: bounds the memory and still fills the vector units.
_CHUNK: Final = 500_000


def bootstrap_rate(
    metric: str,
    invocations: Invocations,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Return the metric itself: exp(mean m_i) in its own unit, with a BCa interval."""
    name, unit = f"bootstrap_{metric}", METRICS[metric].unit
    log = _bootstrap(metric, [invocations], level, resamples, seed)
    sign = 1.0 if is_time(metric) else -1.0
    return _estimate(name, unit, log, sign, level, resamples, seed)


def bootstrap_contrast(
    metric: str,
    subject: Invocations,
    baseline: Invocations,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """Return rho = subject time / baseline time, with a BCa interval; the arms are independent."""
    log = _bootstrap(metric, [subject, baseline], level, resamples, seed)
    return _estimate("bootstrap_contrast", "ratio", log, 1.0, level, resamples, seed)


class _Block:
    """One arm as a padded matrix of times, in an order that depends on content alone.

    Attributes:
        times: (k, longest) times, padded with ones; `lengths` says how many of a row count.
        means: the m_i, log mean times.
    """

    def __init__(self, arrays: list[FloatArray]) -> None:
        ordered = sorted((np.sort(each) for each in arrays), key=lambda each: (each.size, *each))
        self.lengths = np.array([each.size for each in ordered])
        self.times = np.ones((len(ordered), int(self.lengths.max())))
        for row, each in zip(self.times, ordered, strict=True):
            row[: each.size] = each
        self.means = np.log([float(each.mean()) for each in ordered])

    def draw(self, resamples: int, stream: np.random.Generator) -> FloatArray:
        """Resample the mean of the m_i; memory is bounded by chunks."""
        count, longest = self.times.shape
        step = max(1, _CHUNK // self.times.size)
        parts = []
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            chosen = stream.integers(0, count, (rows, count))
            lengths = self.lengths[chosen]
            inside = (stream.random((rows, count, longest)) * lengths[:, :, None]).astype(np.intp)
            picked = self.times.ravel()[inside + (chosen * longest)[:, :, None]]
            if self.lengths.min() == longest:
                sums = picked.sum(axis=2)
            else:
                sums = np.where(np.arange(longest) < lengths[:, :, None], picked, 0.0).sum(axis=2)
            parts.append(np.log(sums / lengths).mean(axis=1))
        return np.concatenate(parts)


_Log = tuple[float, float, float, dict[str, int]]


def _bootstrap(
    metric: str, arms: Sequence[Invocations], level: float, resamples: int, seed: int
) -> _Log | Undefined:
    """Value and interval on the log scale, and n; of one arm, or of the first over the second."""
    blocks: list[_Block] = []
    for arm in arms:
        block = _block(metric, arm)
        if isinstance(block, Undefined):
            return block
        blocks.append(block)
    if resamples * (1.0 - level) / 2.0 < 1.0:
        return Undefined(TOO_FEW_RESAMPLES)
    signs = (1.0, -1.0)[: len(blocks)]
    # Streams go by content, so that exchanging the arms gives the exact reciprocal.
    order = sorted(range(len(blocks)), key=lambda index: tuple(blocks[index].means))
    draws = np.zeros(resamples)
    for index, stream in zip(order, np.random.default_rng(seed).spawn(len(blocks)), strict=True):
        draws += signs[index] * blocks[index].draw(resamples, stream)
    signed = [sign * block.means for sign, block in zip(signs, blocks, strict=True)]
    value = math.fsum(float(means.mean()) for means in signed)
    ends = _bca(value, draws, signed, level)
    if isinstance(ends, Undefined):
        return ends
    n = {
        "invocations": sum(int(block.means.size) for block in blocks),
        "iterations": sum(int(block.lengths.sum()) for block in blocks),
        "resamples": resamples,
    }
    return value, ends[0], ends[1], n


def _block(metric: str, invocations: Invocations) -> _Block | Undefined:
    arrays = [as_times(metric, values) for values in invocations if len(values)]
    if not arrays:
        return Undefined(NO_DATA)
    with np.errstate(over="ignore"):
        sums = [float(array.sum()) for array in arrays]
    if not all(math.isfinite(total) and total > 0 for total in sums):
        return Undefined(IMPOSSIBLE)
    if len(arrays) < 2:
        return Undefined(TOO_FEW)
    block = _Block(arrays)
    return Undefined(ZERO_VARIANCE) if has_no_spread(block.means.tolist()) else block


def _bca(
    value: float, draws: FloatArray, signed: list[FloatArray], level: float
) -> tuple[float, float] | Undefined:
    """Ends of the BCa interval; the statistic is a sum of means of `signed`."""
    # Rounding must not decide on which side of the value an equal draw lies.
    near = 1e-13 * max(1.0, abs(value))
    below = float(np.mean(draws < value - near) + np.mean(np.abs(draws - value) <= near) / 2)
    if not 0.0 < below < 1.0:
        return Undefined(DEGENERATE)
    influence = [(means - means.mean()) / means.size for means in signed]
    cubes = math.fsum(float((each**3).sum()) for each in influence)
    squares = math.fsum(float((each**2).sum()) for each in influence)
    acceleration = cubes / (6.0 * squares**1.5)
    bias = float(special.ndtri(below))
    shares = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        reach = bias + float(special.ndtri(tail))
        if acceleration * reach >= 1.0:
            return Undefined(DEGENERATE)
        shares.append(float(special.ndtr(bias + reach / (1.0 - acceleration * reach))))
    low, high = np.quantile(draws, shares)
    return float(low), float(high)


def _estimate(
    name: str,
    unit: str,
    log: _Log | Undefined,
    sign: float,
    level: float,
    resamples: int,
    seed: int,
) -> Estimate:
    method = f"hierarchical bootstrap, BCa (Efron 1987), {resamples} resamples"
    if isinstance(log, Undefined):
        return unknown(name, unit, method, log.reason)
    value, low, high, n = log
    ends = sorted((exp(sign * low), exp(sign * high)))
    if not all(math.isfinite(end) for end in ends):
        return unknown(name, unit, method, IMPOSSIBLE)
    return Estimate(
        name=name,
        value=exp(sign * value),
        low=ends[0],
        high=ends[1],
        unit=unit,
        level=level,
        method=method,
        n=n,
        seed=seed,
    )
