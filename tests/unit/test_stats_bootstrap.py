"""The hierarchical bootstrap: SciPy as oracle, properties, degenerate data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from reprokit.records import Estimate
from reprokit.stats import bootstrap
from reprokit.stats.bootstrap import bootstrap_contrast, bootstrap_rate

ARMS = st.lists(st.lists(st.floats(1.0, 50.0), min_size=1, max_size=4), min_size=3, max_size=6)


def _numbers(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.value, estimate.low, estimate.high


def _arm(seed: int, invocations: int = 12, iterations: int = 5) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    level = generator.normal(2.0, 0.05, (invocations, 1))
    noise = generator.normal(0, 0.01, (invocations, iterations))
    return np.exp(level + noise).tolist()  # type: ignore[no-any-return]


def test_one_iteration_each_is_scipys_bca() -> None:
    first, second = _arm(1, 15, 1), _arm(2, 12, 1)
    logs = [np.log(np.ravel(arm)) for arm in (first, second)]
    oracle = stats.bootstrap(
        logs,
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    value, low, high = _numbers(bootstrap_contrast("latency_ms", first, second, resamples=20_000))
    assert value == pytest.approx(math.exp(logs[0].mean() - logs[1].mean()))
    assert (low, high) == pytest.approx((math.exp(oracle.low), math.exp(oracle.high)), rel=2e-3)


def test_processes_are_drawn_whole() -> None:
    arm = _arm(3)
    _, low, high = _numbers(bootstrap_rate("latency_ms", arm))
    _, pooled_low, pooled_high = _numbers(
        bootstrap_rate("latency_ms", [[each] for each in np.ravel(arm)])
    )
    assert high - low > 1.5 * (pooled_high - pooled_low)


def test_a_rate_and_its_time_are_one_answer() -> None:
    arm = _arm(4)
    time = _numbers(bootstrap_rate("latency_ms", arm))
    rate = _numbers(bootstrap_rate("tokps", [[1 / each for each in row] for row in arm]))
    assert rate == pytest.approx((1 / time[0], 1 / time[2], 1 / time[1]))


def test_the_record_is_complete_and_the_chunks_do_not_matter_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arm = _arm(5)
    whole = bootstrap_rate("latency_ms", arm, resamples=4000)
    assert whole == bootstrap_rate("latency_ms", arm, resamples=4000)
    assert whole.n == {"invocations": 12, "iterations": 60, "resamples": 4000}
    assert (whole.seed, whole.level) == (42, 0.95)
    monkeypatch.setattr(bootstrap, "_CHUNK", 100)
    assert _numbers(bootstrap_rate("latency_ms", arm, resamples=4000)) == pytest.approx(
        _numbers(whole), rel=5e-3
    )


@pytest.mark.parametrize(
    ("arm", "reason"),
    [
        ([], "no_data"),
        ([[], []], "no_data"),
        ([[1.0, 2.0]], "too_few_invocations"),
        ([[1.0], [1.0], [1.0]], "zero_variance"),
        ([[1.0], [2.0], [math.nan]], "impossible_value"),
        ([[1.0], [2.0], [math.inf]], "impossible_value"),
        ([[1.0], [2.0], [0.0]], "impossible_value"),
    ],
)
def test_degenerate_arms_have_no_interval(arm: list[list[float]], reason: str) -> None:
    for found in (
        bootstrap_rate("latency_ms", arm),
        bootstrap_contrast("latency_ms", arm, _arm(1)),
        bootstrap_contrast("latency_ms", _arm(1), arm),
    ):
        assert (found.value, found.low, found.high, found.reason) == (None, None, None, reason)


def test_too_few_resamples_reach_no_tail() -> None:
    assert bootstrap_rate("latency_ms", _arm(1), resamples=10).reason == "too_few_resamples"


@settings(max_examples=40, deadline=None)
@given(ARMS, ARMS, st.floats(0.01, 100.0))
@example([[2.0], [2.0], [1.0000000000000002]], [[1.0], [1.0, 1.0], [3.0]], 0.125)
def test_order_unit_and_side_do_not_matter(
    first: list[list[float]], second: list[list[float]], factor: float
) -> None:
    found = bootstrap_contrast("latency_ms", first, second, resamples=200)
    again = bootstrap_contrast(
        "latency_ms", [row[::-1] for row in first[::-1]], second[::-1], resamples=200
    )
    assert again.reason == found.reason
    if found.value is None:
        return
    assert _numbers(again) == pytest.approx(_numbers(found))
    value, low, high = _numbers(found)
    swapped = _numbers(bootstrap_contrast("latency_ms", second, first, resamples=200))
    assert swapped == pytest.approx((1 / value, 1 / high, 1 / low), rel=1e-6)
    scaled = [[[each * factor for each in row] for row in arm] for arm in (first, second)]
    assert _numbers(
        bootstrap_contrast("latency_ms", scaled[0], scaled[1], resamples=200)
    ) == pytest.approx(_numbers(found), rel=1e-6)
