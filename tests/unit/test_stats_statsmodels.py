"""Oracle numbers of statsmodels 0.15.0, computed once and kept here; each test names the call.

The samples are ARMS as log times (`x = numpy.log(...)`), one iteration per invocation, so that an
invocation's mean is the value itself. Points are POINTS as a data frame d with columns a, b, c, y.
"""

from __future__ import annotations

import math

import pytest
from robustness_rows import points_of

from reprokit.records import Estimate
from reprokit.robustness.index import cri
from reprokit.stats.equivalence import tost
from reprokit.stats.factorial import PointValue
from reprokit.stats.family import difference_p, holm
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.point_noise import NoiseSample
from reprokit.stats.power import minimum_detectable_effect
from reprokit.stats.rates import clopper_pearson
from reprokit.stats.sample import arm_sample
from reprokit.stats.variance import TermShare, VarianceShares, variance_shares

ARMS = {
    "eager": [10.0, 10.2, 9.9, 10.1, 10.05],
    "compiled": [10.11, 10.0, 10.21, 10.05, 10.14],
    "slow": [10.4, 10.31, 10.52, 10.25],
}
POINTS = {
    (a, b, c): value
    for (a, b, c), value in zip(
        [(a, b, c) for a in "xyz" for b in "pq" for c in "uv"],
        [0.0, 0.1, -0.05, 0.2, 0.3, 0.25, 0.1, 0.4, 0.05, 0.15, 0.2, 0.6],
        strict=True,
    )
}


def _mean(arm: str) -> LogMean:
    found = log_mean(arm_sample("latency_ms", [[value] for value in ARMS[arm]]))
    assert isinstance(found, LogMean)
    return found


def _rho(subject: str) -> LogMean:
    found = difference(_mean(subject), _mean("eager"))
    assert isinstance(found, LogMean)
    return found


def test_the_interval_of_one_arm() -> None:
    # DescrStatsW(x).tconfint_mean()
    assert _mean("eager").interval(0.95) == pytest.approx((2.293708851843737, 2.3213373996671085))


@pytest.mark.parametrize(
    ("subject", "low", "high", "p", "df"),
    [
        ("compiled", -0.00921015851561819, 0.019579263353221528, 0.42492309423630686,
         7.274325515489089),
        ("slow", 0.013262694301372453, 0.04942906272287089, 0.004955846858133278,
         6.514677763679457),
    ],
)  # fmt: skip
def test_the_contrast(subject: str, low: float, high: float, p: float, df: float) -> None:
    # CompareMeans(...).tconfint_diff(usevar="unequal"); ttest_ind(..., usevar="unequal")
    rho = _rho(subject)
    assert rho.interval(0.95) == pytest.approx((low, high))
    assert rho.df == pytest.approx(df)
    assert difference_p(rho).value == pytest.approx(p)


@pytest.mark.parametrize(
    ("subject", "lower", "upper"),
    [
        ("compiled", 0.0003331064236646358, 0.002482928191914855),
        ("slow", 6.254410756664738e-05, 0.5901292058270806),
    ],
)
def test_two_one_sided_tests(subject: str, lower: float, upper: float) -> None:
    # ttost_ind(x, y, -log(1.03), log(1.03), usevar="unequal")
    found = tost(_rho(subject), 1.03)
    assert found.p_lower.value == pytest.approx(lower)
    assert found.p_upper.value == pytest.approx(upper)
    assert found.equivalent is (max(lower, upper) <= 0.05)


def test_holm() -> None:
    # multipletests([...], method="holm")
    given = dict(zip("abcde", (0.01, 0.04, 0.03, 0.005, 0.2), strict=True))
    family = {
        name: Estimate(name=name, value=p, unit="probability", method="given")
        for name, p in given.items()
    }
    found = holm(family)
    adjusted = [found[name].p.value for name in given]
    assert adjusted == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])
    assert [found[name].rejected for name in given] == [True, False, False, True, False]


@pytest.mark.parametrize(
    ("first", "second", "effect"),
    [
        (300, 300, 0.22911637115731864), (60, 60, 0.5157064989555202), (12, 12, 1.1968120979222705),
        (5, 5, 2.024440145655355), (3, 3, 3.070892269599019), (5, 12, 1.5957322416040673),
    ],
)  # fmt: skip
def test_minimum_detectable_effects(first: int, second: int, effect: float) -> None:
    # TTestIndPower().solve_power(nobs1=first, ratio=second / first, alpha=0.05, power=0.8)
    found = minimum_detectable_effect(first, second)
    assert found.value == pytest.approx(effect, rel=1e-5)


@pytest.mark.parametrize(
    ("failed", "tried", "low", "high"),
    [
        (0, 5, 0.0, 0.5218237501049815),
        (1, 5, 0.0050507633794680575, 0.7164179361180896),
        (3, 12, 0.05486064452799272, 0.5718584618781892),
        (5, 5, 0.4781762498950185, 1.0),
    ],
)
def test_rates(failed: int, tried: int, low: float, high: float) -> None:
    # proportion_confint(failed, tried, method="beta")
    assert clopper_pearson(failed, tried, 0.95) == pytest.approx((low, high))


def test_simultaneous_intervals_over_points() -> None:
    # pairwise_tukeyhsd(x, groups, use_var="unequal").confint: Games and Howell
    oracle = {
        ("eager", "compiled"): (-0.02308514, 0.01271603),
        ("compiled", "slow"): (0.00475252, 0.04757013),
        ("eager", "slow"): (0.00875547, 0.05393628),
    }
    signs = {("eager", "compiled"): 1.0}  # there the second comes first in the alphabet
    found = cri("latency_ms", points_of(ARMS))
    assert {pair.points for pair in found.pairs} == set(oracle)
    for pair in found.pairs:
        low, high = oracle[pair.points]
        sign = signs.get(pair.points, -1.0)
        expected = sorted((math.exp(sign * low), math.exp(sign * high)))
        assert (pair.estimate.low, pair.estimate.high) == pytest.approx(expected, rel=1e-4)


def _shares(points: dict[tuple[str, str, str], float]) -> VarianceShares:
    """Decompose values whose noise is next to nothing, so that shares are of sums of squares."""
    return variance_shares(
        [
            PointValue(
                dict(zip("abc", at, strict=True)),
                value,
                (NoiseSample((f"{at}1", f"{at}2"), (1e-9, -1e-9)),),
            )
            for at, value in points.items()
        ],
        "abc",
    )


def _value(term: TermShare) -> float | None:
    return term.share.value if term.beyond is None else term.beyond.value


def test_shares_of_a_whole_grid() -> None:
    # anova_lm(ols("y ~ C(a)*C(b) + C(a)*C(c) + C(b)*C(c)", d).fit(), typ=1)["sum_sq"] / total
    found = _shares(POINTS)
    assert found.complete
    assert {term.axes: term.share.value for term in found.terms} == pytest.approx(
        {
            ("a",): 0.27958236658932717, ("b",): 0.08352668213457083, ("c",): 0.28074245939675163,
            ("a", "b"): 0.17053364269141535, ("a", "c"): 0.022041763341067225,
            ("b", "c"): 0.14849187935034816,
        }
    )  # fmt: skip
    assert found.rest is not None
    assert found.rest.value == pytest.approx(0.015081206496519723)


def test_shares_beyond_the_others_where_a_point_is_missing() -> None:
    # the same with d.drop(index=3), typ=2: every term beyond those that do not contain it
    gap = {at: value for at, value in POINTS.items() if at != ("x", "q", "v")}
    found = _shares(gap)
    assert not found.complete
    assert [term.share.value for term in found.terms] == [None] * 6
    assert {term.axes: _value(term) for term in found.terms} == pytest.approx(
        {
            ("a",): 0.1404975386779183, ("b",): 0.0696202531645567, ("c",): 0.2012025316455695,
            ("a", "b"): 0.14765295358649785, ("a", "c"): 0.026977848101265838,
            ("b", "c"): 0.1470727848101265,
        }
    )  # fmt: skip
    assert found.rest is not None
    assert found.rest.value == pytest.approx(0.0008702531645569579)
