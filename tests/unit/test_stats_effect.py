"""Effect sizes, detectable effects, families of tests: oracles, properties, degenerate data."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprokit.records import Estimate
from reprokit.stats.effect import (
    cliffs_delta,
    cohens_d,
    hedges_g,
    noncentrality,
    small_sample_factor,
)
from reprokit.stats.family import difference_p, holm
from reprokit.stats.logmean import difference, log_mean
from reprokit.stats.power import minimum_detectable_effect, power_of
from reprokit.stats.sample import Undefined, arm_sample

EFFECTS = (cohens_d, hedges_g, cliffs_delta)
A = np.array([10.0, 10.4, 9.8, 10.1, 10.2])
B = np.array([9.9, 9.5, 9.7, 10.15])
NUMBERS = st.lists(st.floats(0.5, 50.0).map(lambda value: round(value, 3)), min_size=2, max_size=8)


def _p(value: float | None, reason: str | None = None) -> Estimate:
    return Estimate(name="p", value=value, unit="probability", method="test", reason=reason)


def test_d_is_scipys_pooled_t_statistic_rescaled() -> None:
    t = stats.ttest_ind(A, B).statistic
    found = cohens_d(A, B)
    assert found.value == pytest.approx(t * math.sqrt(1 / 5 + 1 / 4))
    assert found.n == {"baseline_invocations": 5, "subject_invocations": 4, "invocations": 9}
    assert found.low is not None
    assert found.high is not None
    root = math.sqrt(20 / 9)
    assert stats.nct.cdf(t, 7, found.low * root) == pytest.approx(0.975, abs=1e-5)
    assert stats.nct.cdf(t, 7, found.high * root) == pytest.approx(0.025, abs=1e-5)


def test_hedges_factor_is_the_published_table() -> None:
    # Hedges 1981, table 1: c(2) = 0.5642, c(10) = 0.9228; close to 1 - 3 / (4 df - 1).
    assert small_sample_factor(2) == pytest.approx(0.5642, abs=5e-5)
    assert small_sample_factor(10) == pytest.approx(0.9228, abs=5e-4)
    d, g = cohens_d(A, B).value, hedges_g(A, B).value
    assert d is not None
    assert g == pytest.approx(d * small_sample_factor(7))


def test_cliffs_delta_is_the_count_of_pairs_and_scipys_u() -> None:
    plain = np.sign(A[:, None] - B[None, :]).mean()
    u = stats.mannwhitneyu(A, B).statistic
    assert cliffs_delta(A, B).value == pytest.approx(plain) == pytest.approx(2 * u / 20 - 1)


def test_complete_separation_is_not_certainty() -> None:
    found = cliffs_delta(A, B - 5)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert found.low < 0.5


def test_iterations_get_no_interval() -> None:
    for effect in EFFECTS:
        found = effect(A, B, counted="iterations")
        assert (found.low, found.high, found.level) == (None, None, None)


def test_the_interval_of_an_enormous_effect_is_finite_and_joins_up() -> None:
    below, above = noncentrality(4_999.0, 8, 0.95), noncentrality(5_001.0, 8, 0.95)
    assert above == pytest.approx(below, rel=2e-3)
    assert all(math.isfinite(end) for end in noncentrality(1e9, 8, 0.95))
    negative = noncentrality(-30.0, 8, 0.95)
    assert negative == pytest.approx([-end for end in noncentrality(30.0, 8, 0.95)[::-1]], rel=1e-4)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [1.0, 2.0], "no_data"),
        ([1.0, 2.0], [], "no_data"),
        ([1.0], [1.0, 2.0], "too_few_invocations"),
        ([1.0, 1.0], [2.0, 2.0], "zero_variance"),
        ([0.0, 0.0], [0.0, 0.0], "zero_variance"),
        ([0.1 + 0.2, 0.3], [0.3, 0.3], "zero_variance"),
        ([1.0, math.nan], [1.0, 2.0], "impossible_value"),
        ([1.0, 2.0], [math.inf, 2.0], "impossible_value"),
    ],
)
def test_degenerate_arms_have_no_effect_size(
    effect: type, first: list[float], second: list[float], reason: str
) -> None:
    found = effect(np.array(first), np.array(second))
    assert (found.value, found.low, found.high, found.reason) == (None, None, None, reason)


def test_numbers_near_the_end_of_the_range_do_not_overflow() -> None:
    assert cohens_d(A * 1e307, B * 1e307).value == pytest.approx(cohens_d(A, B).value)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, NUMBERS, st.floats(0.01, 100.0), st.randoms())
def test_effects_are_antisymmetric_and_know_neither_unit_nor_order(
    first: list[float], second: list[float], factor: float, random: object
) -> None:
    one, two = np.array(first), np.array(second)
    for effect in EFFECTS:
        found, back = effect(one, two), effect(two, one)
        moved = effect(one[::-1] * factor, np.roll(two, 1) * factor)
        assert found.reason == back.reason == moved.reason
        if found.value is None or back.value is None or back.low is None or back.high is None:
            continue
        assert found.value == pytest.approx(-back.value, abs=1e-9)
        assert (found.low, found.high) == pytest.approx((-back.high, -back.low), rel=1e-3, abs=1e-3)
        assert moved.value == pytest.approx(found.value, rel=1e-6, abs=1e-6)
        assert found.low is not None
        assert found.high is not None
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_detectable_effects_are_the_published_ones() -> None:
    # TR147, B.7.
    for n, effect in [(300, 0.23), (60, 0.52)]:
        found = minimum_detectable_effect(n, counted="iterations")
        assert found.value is not None
        assert round(found.value, 2) == effect


@pytest.mark.parametrize(
    ("effect", "power", "n"), [(0.2, 0.8, 394), (0.5, 0.8, 64), (0.8, 0.8, 26), (1.0, 0.9, 23)]
)
def test_published_sample_sizes_are_the_smallest_that_suffice(
    effect: float, power: float, n: int
) -> None:
    # Cohen 1988, section 2.4, exact: 393.4, 63.8, 25.5; R's power.t.test: 22.02 for 1 sd at 0.9.
    enough = minimum_detectable_effect(n, power=power).value
    short = minimum_detectable_effect(n - 1, power=power).value
    assert enough is not None
    assert short is not None
    assert enough <= effect < short


def test_power_is_scipys_noncentral_t() -> None:
    for effect, first, second in [(0.5, 10, 14), (2.0, 3, 3), (0.0, 5, 5), (8.0, 2, 2)]:
        df, shift = first + second - 2, effect * math.sqrt(first * second / (first + second))
        critical = stats.t.ppf(0.975, df)
        oracle = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
        assert power_of(effect, first, second) == pytest.approx(oracle, abs=1e-8)


def test_more_samples_detect_smaller_effects() -> None:
    values = [minimum_detectable_effect(n).value or 0.0 for n in (2, 3, 5, 12, 60, 300, 100_000)]
    assert all(larger > smaller > 0 for larger, smaller in pairwise(values))


@pytest.mark.parametrize(
    ("first", "alpha", "power", "reason"),
    [
        (0, 0.05, 0.8, "no_data"),
        (1, 0.05, 0.8, "too_few_invocations"),
        (5, 0.0, 0.8, "impossible_value"),
        (5, 0.05, 1.0, "impossible_value"),
        (5, math.nan, 0.8, "impossible_value"),
    ],
)
def test_no_detectable_effect_without_a_test(
    first: int, alpha: float, power: float, reason: str
) -> None:
    found = minimum_detectable_effect(first, alpha=alpha, power=power)
    assert (found.value, found.reason) == (None, reason)


def test_holm_is_the_worked_example() -> None:
    # Holm 1979 with p = 0.01, 0.04, 0.03, 0.005: 0.03, 0.06, 0.06, 0.02.
    family = {name: _p(p) for name, p in zip("abcd", (0.01, 0.04, 0.03, 0.005), strict=True)}
    found = holm(family)
    assert list(found) == list("abcd")
    assert [each.p.value for each in found.values()] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.rejected for each in found.values()] == [True, False, False, True]


def test_a_member_without_a_test_makes_nothing_easier() -> None:
    family = {"a": _p(0.02), "gone": _p(None, "zero_variance"), "nan": _p(math.nan)}
    found = holm(family)
    assert found["a"].p.value == pytest.approx(0.06)
    assert found["a"].rejected is False
    assert (found["gone"].p.reason, found["gone"].rejected) == ("zero_variance", None)
    assert (found["nan"].p.reason, found["nan"].rejected) == ("impossible_value", None)
    assert holm({}) == {}


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_holm_lies_between_plain_and_bonferroni_and_keeps_the_order(values: list[float]) -> None:
    found = holm({str(index): _p(value) for index, value in enumerate(values)})
    adjusted = [each.p.value for each in found.values()]
    for value, after in zip(values, adjusted, strict=True):
        assert after is not None
        assert value <= after <= min(1.0, len(values) * value) + 1e-12
    assert sorted(zip(values, adjusted, strict=True)) == sorted(
        zip(sorted(values), sorted(after or 0.0 for after in adjusted), strict=True)
    )


def test_the_p_value_is_scipys_welch_test() -> None:
    means = [log_mean(arm_sample("latency_ms", [[each] for each in arm])) for arm in (A, B)]
    oracle = stats.ttest_ind(np.log(A), np.log(B), equal_var=False).pvalue
    assert difference_p(difference(means[0], means[1])).value == pytest.approx(oracle)
    assert difference_p(Undefined("zero_variance")).reason == "zero_variance"
