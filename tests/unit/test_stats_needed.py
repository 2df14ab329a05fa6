"""The number of invocations that would decide: the smallest that does, or a reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprokit.stats.logmean import LogMean, Part
from reprokit.stats.needed import (
    AT_THE_BOUND,
    BEYOND,
    invocations_needed,
    invocations_needed_for_rate,
)
from reprokit.stats.rates import clopper_pearson, clustered_crash_rate
from reprokit.stats.sample import TOO_FEW, Undefined

BOUND = math.log(1.03)


def _seen(value: float, sd: float = 0.01, k: int = 5) -> LogMean:
    return LogMean(value, (Part(sd**2 / k, k - 1),), k, k, k)


@settings(max_examples=100, deadline=None)
@given(st.floats(-0.2, 0.2), st.floats(0.001, 0.05), st.integers(2, 10))
def test_it_is_the_smallest_number_that_decides(value: float, sd: float, k: int) -> None:
    mean = _seen(value, sd, k)
    found = invocations_needed(mean, (-BOUND, BOUND), 0.95)
    if found.value is None:
        assert found.reason in {AT_THE_BOUND, BEYOND}
        return
    distance = min(abs(value - BOUND), abs(value + BOUND))
    needed = int(found.value)
    assert mean.scaled(needed).half_width(0.95) <= distance
    if needed > k:
        assert mean.scaled(needed - 1).half_width(0.95) > distance


def test_no_number_helps_an_estimate_at_the_margin() -> None:
    found = invocations_needed(_seen(BOUND), (-BOUND, BOUND), 0.95)
    assert found.value is None
    assert found.reason == AT_THE_BOUND


def test_a_number_that_nobody_would_run_is_not_told() -> None:
    found = invocations_needed(_seen(BOUND + 1e-5), (-BOUND, BOUND), 0.95)
    assert found.value is None
    assert found.reason == BEYOND


def test_infinite_bounds_do_not_count() -> None:
    one_sided = invocations_needed(_seen(0.01, 0.02), (0.0, math.inf), 0.95)
    assert one_sided.value is not None
    assert invocations_needed(_seen(0.0), (-math.inf, math.inf), 0.95).reason == AT_THE_BOUND


def test_without_an_estimate_there_is_no_number() -> None:
    found = invocations_needed(Undefined(TOO_FEW), (-1.0, 1.0), 0.95)
    assert (found.value, found.reason) == (None, TOO_FEW)


@pytest.mark.parametrize("bound", [0.05, 0.1, 0.3])
def test_the_number_for_a_crash_rate_is_the_smallest_too(bound: float) -> None:
    rate = clustered_crash_rate([(0, 5)] * 5, 0.95)
    found = invocations_needed_for_rate(rate, bound, 0.95)
    assert found.value is not None
    needed = int(found.value)
    assert clopper_pearson(0, needed, 0.95)[1] <= bound
    assert clopper_pearson(0, needed - 1, 0.95)[1] > bound


def test_a_rate_at_its_bound_needs_no_number() -> None:
    rate = clustered_crash_rate([(1, 5)] * 5, 0.95)
    assert invocations_needed_for_rate(rate, 0.2, 0.95).reason == AT_THE_BOUND
    assert invocations_needed_for_rate(clustered_crash_rate([], 0.95), 0.2, 0.95).value is None
