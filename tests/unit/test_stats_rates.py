"""Exact rates against SciPy and published bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprokit.stats.rates import (
    clopper_pearson,
    clustered_crash_rate,
    crash_rate,
    survival,
    upper_bound_of_none,
)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys_exact_one(counts: tuple[int, int]) -> None:
    events, trials = counts
    oracle = stats.binomtest(events, trials).proportion_ci(0.95, method="exact")
    assert clopper_pearson(events, trials, 0.95) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.parametrize(("trials", "percent"), [(3, 63), (5, 45), (15, 18)])
def test_what_no_survivor_still_allows(trials: int, percent: int) -> None:
    assert round(100 * upper_bound_of_none(trials, 0.95)) == percent
    estimate = survival(0, trials, 0.95)
    assert estimate.value == 0.0
    assert estimate.high == pytest.approx(upper_bound_of_none(trials, 0.95))
    assert "one-sided" in estimate.method


def test_nothing_attempted_is_nothing_known() -> None:
    assert clopper_pearson(0, 0, 0.95) == (0.0, 1.0)
    assert upper_bound_of_none(0, 0.95) == 1.0
    for estimate in (
        survival(0, 0, 0.95),
        crash_rate(0, 0, 0.95),
        clustered_crash_rate([], 0.95),
        clustered_crash_rate([(0, 0), (0, 0)], 0.95),
    ):
        assert estimate.value is None
        assert estimate.reason == "no_data"


def test_iterations_that_fail_together_count_as_one_failure() -> None:
    by_row = crash_rate(5, 25, 0.95)
    by_launch = clustered_crash_rate([(5, 5), (0, 5), (0, 5), (0, 5), (0, 5)], 0.95)
    assert by_row.value == by_launch.value == 0.2
    assert by_row.high is not None
    assert by_launch.high is not None
    assert by_launch.high > by_row.high
    assert (by_launch.low, by_launch.high) == pytest.approx(clopper_pearson(1, 5, 0.95))
    assert by_launch.n == {"invocations": 5, "iterations": 25}


def test_shares_between_failure_and_survival_keep_the_published_rate() -> None:
    rate = clustered_crash_rate([(4, 5)] * 5, 0.95)
    assert rate.value == pytest.approx(0.8)
    assert rate.low is not None
    assert rate.high is not None
    assert 0 < rate.low < 0.8 < rate.high < 1


@given(st.floats(0.0, 1.0), st.integers(1, 60), st.floats(0.6, 0.99))
def test_fractional_counts_stay_between_zero_and_one(
    share: float, trials: int, level: float
) -> None:
    low, high = clopper_pearson(share * trials, trials, level)
    assert 0.0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1.0
