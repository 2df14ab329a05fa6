"""Estimates of ratios against SciPy, known answers and properties; degenerate data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprokit.records import Estimate
from reprokit.stats.logmean import LogMean, Part, average, difference, log_mean
from reprokit.stats.ratio import (
    contrast,
    gain,
    log_ratio_to_claim,
    measured_rate,
    overhead,
    ratio_to_value,
)
from reprokit.stats.sample import (
    IMPOSSIBLE,
    NO_DATA,
    TOO_FEW,
    ZERO_VARIANCE,
    ArmSample,
    Undefined,
    arm_sample,
    as_times,
)

EAGER = [[10.0, 10.1], [10.3, 10.2], [9.9, 9.8], [10.0, 10.2], [10.4, 10.1]]
COMPILED = [[6.0, 6.1], [6.2, 6.3], [5.9, 5.8], [6.1, 6.0]]
TIMES = st.lists(st.lists(st.floats(0.1, 1000.0), min_size=1, max_size=4), min_size=2, max_size=6)


def _mean(values: list[list[float]], metric: str = "latency_ms") -> LogMean:
    found = log_mean(arm_sample(metric, values))
    assert isinstance(found, LogMean)
    return found


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.value, estimate.low, estimate.high


def test_the_contrast_is_scipys_welch_test_on_log_invocation_means() -> None:
    logs = [[math.log(np.mean(each)) for each in arm] for arm in (COMPILED, EAGER)]
    oracle = stats.ttest_ind(logs[0], logs[1], equal_var=False)
    interval = oracle.confidence_interval(0.95)
    value, low, high = _ends(contrast(difference(_mean(COMPILED), _mean(EAGER)), 0.95))
    assert value == pytest.approx(math.exp(np.mean(logs[0]) - np.mean(logs[1])))
    assert (low, high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    log_rho = difference(_mean(COMPILED), _mean(EAGER))
    assert isinstance(log_rho, LogMean)
    assert log_rho.df == pytest.approx(oracle.df)


def test_the_ratio_is_scipys_t_interval() -> None:
    logs = [math.log(np.mean(each)) for each in EAGER]
    interval = stats.ttest_1samp(logs, 0).confidence_interval(0.9)
    value, low, high = _ends(ratio_to_value(_mean(EAGER), "latency_ms", 20.0, 0.9))
    assert value == pytest.approx(20.0 / math.exp(np.mean(logs)))
    assert (low, high) == pytest.approx(
        (20.0 / math.exp(interval.high), 20.0 / math.exp(interval.low))
    )


def test_above_one_is_better_than_claimed_in_both_directions() -> None:
    faster = ratio_to_value(_mean(EAGER), "latency_ms", 20.0, 0.95)
    assert faster.value is not None
    assert faster.value > 1
    more = ratio_to_value(_mean(EAGER, "tokps"), "tokps", 5.0, 0.95)
    assert more.value is not None
    assert more.value > 1


def test_throughput_of_an_invocation_is_work_over_time() -> None:
    # 100 tokens at 10 tok/s and 100 tokens at 30 tok/s take 13.3 s: 15 tok/s, not 20.
    assert _mean([[10.0, 30.0], [10.0, 29.0]], "tokps").parts
    sample = arm_sample("tokps", [[10.0, 30.0]])
    assert isinstance(sample, ArmSample)
    assert math.exp(-sample.means[0]) == pytest.approx(15.0)


def test_a_throughput_and_its_latency_give_the_same_contrast() -> None:
    rates = [[1000.0 / value for value in each] for each in COMPILED]
    base = [[1000.0 / value for value in each] for each in EAGER]
    by_time = _ends(contrast(difference(_mean(COMPILED), _mean(EAGER)), 0.95))
    by_rate = _ends(contrast(difference(_mean(rates, "tokps"), _mean(base, "tokps")), 0.95))
    assert by_time == pytest.approx(by_rate)


def test_gain_and_overhead_are_the_same_number_with_two_signs() -> None:
    rho = difference(_mean(COMPILED), _mean(EAGER))
    value, low, high = _ends(gain(rho, 0.95))
    assert (-value, -high, -low) == pytest.approx(_ends(overhead(rho, 0.95)))
    ratio, ratio_low, ratio_high = _ends(contrast(rho, 0.95))
    expected = (100 * (1 - ratio), 100 * (1 - ratio_high), 100 * (1 - ratio_low))
    assert (value, low, high) == pytest.approx(expected)


def test_strata_are_averaged_with_equal_weights_and_added_variances() -> None:
    first = LogMean(0.2, (Part(0.04, 4),), 5, 5, 10)
    second = LogMean(0.4, (Part(0.01, 2), Part(0.03, 3)), 3, 7, 14)
    found = average([first, second])
    assert isinstance(found, LogMean)
    assert found.value == pytest.approx(0.3)
    assert found.variance == pytest.approx(0.02)
    assert found.df == pytest.approx(0.08**2 / (0.04**2 / 4 + 0.01**2 / 2 + 0.03**2 / 3))
    assert (found.smallest, found.invocations, found.iterations) == (3, 12, 24)


def test_pooling_strata_would_give_another_answer() -> None:
    # The effect is the same in both strata; pooled, the difference between them drowns it.
    short = difference(_mean([[0.5], [0.51], [0.49]]), _mean([[1.0], [1.01], [0.99]]))
    long = difference(_mean([[50.0], [51.0], [49.0]]), _mean([[100.0], [101.0], [99.0]]))
    sound = contrast(average([short, long]), 0.95)
    pooled = contrast(
        difference(
            _mean([[0.5], [0.51], [0.49], [50.0], [51.0], [49.0]]),
            _mean([[1.0], [1.01], [0.99], [100.0], [101.0], [99.0]]),
        ),
        0.95,
    )
    assert sound.high is not None
    assert sound.high < 0.55
    assert pooled.high is not None
    assert pooled.high > 1.0


def test_a_missing_stratum_leaves_no_combination() -> None:
    assert average([_mean(EAGER), Undefined(NO_DATA)]) == Undefined(NO_DATA)
    assert average([]) == Undefined(NO_DATA)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], NO_DATA),
        ([[], []], NO_DATA),
        ([[1.0, 2.0]], TOO_FEW),
        ([[1.0], [1.0]], ZERO_VARIANCE),
        ([[0.1 + 0.2], [0.3]], ZERO_VARIANCE),
        ([[1.0], [math.nan]], IMPOSSIBLE),
        ([[1.0], [math.inf]], IMPOSSIBLE),
        ([[1.0], [0.0]], IMPOSSIBLE),
        ([[1.0], [-1.0]], IMPOSSIBLE),
        ([[1.0], [1e-320]], None),
        ([[1e308, 1e308], [1e308, 1e307]], IMPOSSIBLE),
    ],
)
def test_degenerate_data_gives_a_reason_and_no_number(
    values: list[list[float]], reason: str | None
) -> None:
    mean = log_mean(arm_sample("latency_ms", values))
    for estimate in (
        measured_rate(mean, "latency_ms", 0.95),
        ratio_to_value(mean, "latency_ms", 1.0, 0.95),
        gain(difference(mean, mean), 0.95),
        overhead(difference(mean, mean), 0.95),
        contrast(difference(mean, mean), 0.95),
    ):
        assert (estimate.value is None) == (reason is not None)
        assert estimate.reason == reason
        assert estimate.model_validate_json(estimate.model_dump_json()) == estimate


def test_subnormal_throughputs_are_impossible_and_raise_nothing() -> None:
    assert arm_sample("tokps", [[1e-320]]) == Undefined(IMPOSSIBLE)


def test_a_claim_that_no_clock_can_show_has_no_ratio() -> None:
    assert log_ratio_to_claim(_mean(EAGER), "tokps", math.inf) == Undefined(IMPOSSIBLE)


def test_a_huge_spread_leaves_the_interval_open() -> None:
    estimate = contrast(difference(_mean([[1e-150], [1e150]]), _mean([[1.0], [1.1]])), 0.95)
    assert estimate.value is not None
    assert estimate.high is None
    assert estimate.low is not None


def test_an_unknown_metric_is_a_bug_and_not_an_estimate() -> None:
    with pytest.raises(KeyError):
        as_times("furlongs", [1.0])


@settings(max_examples=60, deadline=None)
@given(TIMES, TIMES, st.floats(0.01, 100.0))
def test_contrasts_do_not_depend_on_the_unit(
    first: list[list[float]], second: list[list[float]], factor: float
) -> None:
    scaled = [[[value * factor for value in each] for each in arm] for arm in (first, second)]
    before = difference(*(log_mean(arm_sample("latency_ms", arm)) for arm in (first, second)))
    after = difference(*(log_mean(arm_sample("latency_ms", arm)) for arm in scaled))
    if isinstance(before, Undefined) or isinstance(after, Undefined):
        return  # equal numbers may round apart when they are scaled
    assert after.value == pytest.approx(before.value, abs=1e-9)
    assert after.half_width(0.95) == pytest.approx(before.half_width(0.95), rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(TIMES, TIMES)
def test_exchanging_the_arms_gives_the_reciprocal(
    first: list[list[float]], second: list[list[float]]
) -> None:
    means = [log_mean(arm_sample("latency_ms", arm)) for arm in (first, second)]
    there, back = difference(means[0], means[1]), difference(means[1], means[0])
    if isinstance(there, Undefined) or isinstance(back, Undefined):
        assert isinstance(there, Undefined)
        assert isinstance(back, Undefined)
        return
    assert there.value == pytest.approx(-back.value)
    assert there.half_width(0.9) == pytest.approx(back.half_width(0.9))


@settings(max_examples=60, deadline=None)
@given(TIMES.flatmap(lambda times: st.tuples(st.just(times), st.permutations(times))))
def test_the_order_of_invocations_does_not_matter(
    both: tuple[list[list[float]], list[list[float]]],
) -> None:
    first, second = (log_mean(arm_sample("latency_ms", times)) for times in both)
    if isinstance(first, Undefined):
        assert first == second
        return
    assert isinstance(second, LogMean)
    assert (first.value, first.variance) == pytest.approx((second.value, second.variance))


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_more_invocations_narrow_the_interval(level: float) -> None:
    mean = _mean(EAGER)
    widths = [mean.scaled(k).half_width(level) for k in (2, 3, 5, 8, 20, 200)]
    assert widths == sorted(widths, reverse=True)
    assert mean.scaled(5).half_width(level) == pytest.approx(mean.half_width(level))
