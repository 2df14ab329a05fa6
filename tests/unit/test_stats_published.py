"""The as-published numbers: pooled, seeded, labelled, and useless for decisions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from reprokit.stats.published import pooled_mean_bootstrap, pooled_statistic


def test_the_bootstrap_is_the_percentile_one_of_scipy() -> None:
    values = np.random.default_rng(7).lognormal(2, 0.1, 60)
    ours = pooled_mean_bootstrap("latency_ms", values)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", random_state=1
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((oracle.low, oracle.high), rel=5e-3)
    assert ours.seed == 42
    assert ours.n == {"iterations": 60}


def test_the_seed_makes_it_the_same_every_time_whatever_the_chunks() -> None:
    values = np.linspace(1.0, 2.0, 5000)
    first = pooled_mean_bootstrap("latency_ms", values)
    assert first == pooled_mean_bootstrap("latency_ms", values)
    assert first.low is not None
    assert first.high is not None
    assert first.low < 1.5 < first.high


def test_the_statistic_is_the_claims_own() -> None:
    values = np.array([1.0, 2.0, 9.0])
    assert pooled_statistic("tokps", values, "median").value == 2.0
    assert pooled_statistic("tokps", values, "mean").value == 4.0
    assert "decides nothing" in pooled_statistic("tokps", values, "mean").method


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf, 1.0]])
def test_degenerate_data_gives_a_reason(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    for estimate in (
        pooled_statistic("tokps", array, "median"),
        pooled_mean_bootstrap("tokps", array),
    ):
        assert estimate.value is None
        assert estimate.reason in {"no_data", "impossible_value"}


def test_one_value_has_no_interval() -> None:
    assert pooled_mean_bootstrap("tokps", np.array([1.0])).value is None
