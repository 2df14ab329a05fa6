"""Hierarchical bootstrap: invocations drawn with replacement, then the iterations inside each.

Intervals are bias-corrected and accelerated (BCa, Efron 1987; Davison & Hinkley 1997, section 3.8),
with the acceleration from the invocations, the independent unit. With few invocations they are too
short whatever is done inside them; from `DECIDES_FROM` on a decision may rest on them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

from reprokit.metrics import METRICS
from reprokit.records import Estimate
from reprokit.stats.quantile import quantiles
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


def bootstrap_both(
    metric: str,
    subject: Invocations,
    baseline: Invocations,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[Estimate, Estimate, Estimate]:
    """Return both rates and the contrast, the same as one by one and in less time."""
    arms = [_block(metric, arm) for arm in (subject, baseline)]
    unit, sign = METRICS[metric].unit, 1.0 if is_time(metric) else -1.0
    rates = [
        _estimate(
            f"bootstrap_{metric}",
            unit,
            _of_blocks([arm], level, resamples, seed),
            sign,
            level,
            resamples,
            seed,
        )
        for arm in arms
    ]
    log = _of_blocks(arms, level, resamples, seed)
    both = _estimate("bootstrap_contrast", "ratio", log, 1.0, level, resamples, seed)
    return rates[0], rates[1], both


class _Block:
    """One arm as a padded matrix of times, in an order that depends on content alone.

    Attributes:
        times: (k, longest) times, padded with zeros; `lengths` says how many of a row count.
        means: the m_i, log mean times.
    """

    def __init__(self, arrays: list[FloatArray]) -> None:
        rows = [np.sort(each) for each in arrays]
        rows.sort(key=lambda each: (each.size, *each.tolist()))
        self.lengths = np.array([each.size for each in rows])
        self.times = np.zeros((len(rows), int(self.lengths[-1])))
        for row, each in zip(self.times, rows, strict=True):
            row[: each.size] = each
        self.means = np.log(self.times.sum(axis=1) / self.lengths)
        self._draws: dict[tuple[int, int, int], FloatArray] = {}

    def draw(self, resamples: int, seed: int, stream: int) -> FloatArray:
        """Resample the mean of the m_i; the same draws when asked again."""
        key = (resamples, seed, stream)
        if key not in self._draws:
            self._draws[key] = self._draw(*key)
        return self._draws[key]

    def _draw(self, resamples: int, seed: int, stream: int) -> FloatArray:
        """Bound the memory by drawing in chunks."""
        step = max(1, _CHUNK // self.times.size)
        lengths = tuple(self.lengths.tolist())
        if step >= resamples:
            return self._means(_drawn_once(lengths, resamples, seed, stream))
        generator = _stream(seed, stream)
        return np.concatenate(
            [
                self._means(_drawn(lengths, min(step, resamples - start), generator))
                for start in range(0, resamples, step)
            ]
        )

    def _means(self, drawn: _Drawn) -> FloatArray:
        # Iterations lie along the first axis: adding up whole rows is what a processor does best.
        picked = self.times.ravel()[drawn.places]
        if drawn.counts is not None:
            picked *= np.arange(picked.shape[0])[:, np.newaxis] < drawn.counts
        sums = picked.sum(axis=0)
        logs = np.log(sums / (picked.shape[0] if drawn.counts is None else drawn.counts))
        return np.asarray(logs.reshape(-1, self.times.shape[0]).mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class _Drawn:
    """Which iterations some resamples take.

    Attributes:
        places: (longest, resamples k) places in a block's matrix, processes of a resample together.
        counts: how many of each column count; None where all do.
    """

    places: npt.NDArray[np.intp]
    counts: npt.NDArray[np.intp] | None


def _stream(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(seed).spawn(stream + 1)[stream]


def _drawn(lengths: tuple[int, ...], resamples: int, generator: np.random.Generator) -> _Drawn:
    """Draw processes with replacement, then iterations inside each."""
    count, longest = len(lengths), max(lengths)
    chosen = generator.integers(0, count, (resamples, count))
    counts = np.array(lengths)[chosen]
    shares = generator.random((resamples, count, longest))
    inside = (shares * counts[:, :, None]).astype(np.intp) + (chosen * longest)[:, :, None]
    places = np.ascontiguousarray(inside.reshape(-1, longest).T)
    return _Drawn(places, None if min(lengths) == longest else counts.ravel())


@lru_cache(maxsize=8)
def _drawn_once(lengths: tuple[int, ...], resamples: int, seed: int, stream: int) -> _Drawn:
    """Draw for all arms of the same sizes at once: what is drawn does not depend on the times."""
    return _drawn(lengths, resamples, _stream(seed, stream))


_Log = tuple[float, float, float, dict[str, int]]


def _bootstrap(
    metric: str, arms: Sequence[Invocations], level: float, resamples: int, seed: int
) -> _Log | Undefined:
    """Value and interval on the log scale, and n; of one arm, or of the first over the second."""
    return _of_blocks([_block(metric, arm) for arm in arms], level, resamples, seed)


def _of_blocks(
    arms: Sequence[_Block | Undefined], level: float, resamples: int, seed: int
) -> _Log | Undefined:
    blocks: list[_Block] = []
    for arm in arms:
        if isinstance(arm, Undefined):
            return arm
        blocks.append(arm)
    if resamples * (1.0 - level) / 2.0 < 1.0:
        return Undefined(TOO_FEW_RESAMPLES)
    signs = (1.0, -1.0)[: len(blocks)]
    # Streams go by content, so that exchanging the arms gives the exact reciprocal. What another
    # unit of time rounds differently must not decide.
    level_of_all = sum(float(block.means.mean()) for block in blocks) / len(blocks)
    keys = [
        (np.round(block.means - level_of_all, 9).tolist(), block.means.tolist()) for block in blocks
    ]
    order = sorted(range(len(blocks)), key=keys.__getitem__)
    draws = np.zeros(resamples)
    for stream, index in enumerate(order):
        draws += signs[index] * blocks[index].draw(resamples, seed, stream)
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
    there = [values for values in invocations if len(values)]
    if not there:
        return Undefined(NO_DATA)
    flat = as_times(metric, np.concatenate(there))
    arrays = np.split(flat, np.cumsum([len(values) for values in there[:-1]]))
    with np.errstate(over="ignore"):
        if not bool((flat > 0).all() and math.isfinite(float(flat.sum()))):
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
    low, high = quantiles(draws, shares)
    return low, high


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
