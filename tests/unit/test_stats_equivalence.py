"""TOST against two one-sided t tests of SciPy, and against its own interval."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprokit.stats.equivalence import tost
from reprokit.stats.logmean import LogMean, Part, difference, log_mean
from reprokit.stats.sample import TOO_FEW, Undefined, arm_sample

EAGER = [[10.0], [10.3], [9.9], [10.05], [10.15]]
NEAR = [[10.1], [10.2], [10.0], [10.25], [9.95]]


def _rho(subject: list[list[float]], baseline: list[list[float]]) -> LogMean:
    found = difference(
        log_mean(arm_sample("latency_ms", subject)), log_mean(arm_sample("latency_ms", baseline))
    )
    assert isinstance(found, LogMean)
    return found


def test_p_values_are_those_of_two_one_sided_welch_tests() -> None:
    logs = [np.log([value for (value,) in arm]) for arm in (NEAR, EAGER)]
    bound = math.log(1.03)
    lower = stats.ttest_ind(logs[0] + bound, logs[1], equal_var=False, alternative="greater")
    upper = stats.ttest_ind(logs[0] - bound, logs[1], equal_var=False, alternative="less")
    result = tost(_rho(NEAR, EAGER), 1.03)
    assert result.p_lower.value == pytest.approx(lower.pvalue)
    assert result.p_upper.value == pytest.approx(upper.pvalue)
    assert result.equivalent is True


def test_not_equivalent_does_not_mean_different() -> None:
    noisy = [[8.0], [10.0], [12.5]]
    result = tost(_rho(noisy, EAGER), 1.03)
    assert result.equivalent is False
    assert result.interval.low is not None
    assert result.interval.high is not None
    assert result.interval.low < 1 < result.interval.high


def test_without_an_estimate_nothing_is_equivalent() -> None:
    result = tost(Undefined(TOO_FEW), 1.03)
    assert result.equivalent is None
    for estimate in (result.interval, result.p_lower, result.p_upper):
        assert estimate.value is None
        assert estimate.reason == TOO_FEW


@settings(max_examples=200, deadline=None)
@given(st.floats(-0.1, 0.1), st.floats(1e-8, 1e-2), st.integers(1, 30), st.floats(1.001, 1.2))
def test_the_tests_and_the_90_percent_interval_say_the_same(
    value: float, variance: float, df: int, margin: float
) -> None:
    result = tost(LogMean(value, (Part(variance, df),), df + 1, df + 1, df + 1), margin)
    low, high = result.interval.low, result.interval.high
    assert low is not None
    if high is not None and (abs(low * margin - 1) < 1e-9 or abs(high / margin - 1) < 1e-9):
        return  # on the bound the two differ by rounding
    assert result.equivalent == (low > 1 / margin and high is not None and high < margin)
