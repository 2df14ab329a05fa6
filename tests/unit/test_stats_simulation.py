"""Error rates under the noise that the design assumes, with a fixed seed.

1 % between invocations, 0.5 % between iterations with AR(1) 0.5; 3 invocations x 20 iterations
(docs/statistics.md, section 1).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from reprokit.stats.equivalence import tost
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.sample import arm_sample

REPEATS = 1000


def _arm(
    generator: np.random.Generator, invocations: int, iterations: int = 20, shift: float = 0.0
) -> npt.NDArray[np.float64]:
    noise = generator.normal(0, 0.005 * math.sqrt(1 - 0.5**2), (invocations, iterations))
    noise[:, 0] /= math.sqrt(1 - 0.5**2)
    for step in range(1, iterations):
        noise[:, step] += 0.5 * noise[:, step - 1]
    level = generator.normal(0, 0.01, (invocations, 1))
    return np.exp(math.log(10.0) + shift + level + noise)


def _mean(arm: npt.NDArray[np.float64]) -> LogMean:
    found = log_mean(arm_sample("latency_ms", list(arm)))
    assert isinstance(found, LogMean)
    return found


def _rho(generator: np.random.Generator, invocations: int, shift: float) -> LogMean:
    found = difference(
        _mean(_arm(generator, invocations, shift=shift)), _mean(_arm(generator, invocations))
    )
    assert isinstance(found, LogMean)
    return found


def test_the_contrast_covers_the_truth_and_pooled_samples_do_not() -> None:
    generator = np.random.default_rng(147)
    sound = pooled = 0
    for _ in range(REPEATS):
        first, second = _arm(generator, 3), _arm(generator, 3)
        rho = difference(_mean(first), _mean(second))
        assert isinstance(rho, LogMean)
        sound += abs(rho.value) <= rho.half_width(0.95)
        logs = np.log(first).ravel(), np.log(second).ravel()
        interval = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
        pooled += bool(interval.low <= 0 <= interval.high)
    assert 0.93 <= sound / REPEATS <= 0.99
    assert pooled / REPEATS < 0.5


def test_the_interval_of_one_arm_covers_the_truth() -> None:
    generator = np.random.default_rng(148)
    hits = 0
    for _ in range(REPEATS):
        mean = _mean(_arm(generator, 5))
        hits += abs(mean.value - math.log(10.0)) <= mean.half_width(0.95)
    assert hits / REPEATS == pytest.approx(0.95, abs=0.02)


def test_a_true_difference_at_the_margin_is_rarely_called_equivalent() -> None:
    generator = np.random.default_rng(149)
    wrong = sum(
        tost(_rho(generator, 5, math.log(1.03)), 1.03).equivalent is True for _ in range(REPEATS)
    )
    assert wrong / REPEATS <= 0.065


def test_two_equal_arms_are_called_equivalent() -> None:
    generator = np.random.default_rng(150)
    found = sum(tost(_rho(generator, 5, 0.0), 1.03).equivalent is True for _ in range(REPEATS))
    assert found / REPEATS >= 0.95
