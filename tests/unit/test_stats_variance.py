"""Shares of the variance of log ratios: oracles, properties, gaps, degenerate points, coverage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprokit.records import Estimate
from reprokit.stats.factorial import Grid, PointValue, Term
from reprokit.stats.noncentral import _variances, probability_under, true_squares
from reprokit.stats.point_noise import NoiseSample, PointNoise
from reprokit.stats.quantile import quantiles
from reprokit.stats.variance import VarianceShares, variance_shares

AXES = {"sha": ("p", "h"), "triton": ("3.3", "3.4", "3.6"), "mode": ("d", "r")}
VALUES = (0.10, 0.22, 0.31, -0.05, 0.02, 0.44, 0.12, 0.20, 0.55, -0.02, 0.11, 0.40)
DEVIATIONS = (0.0010, -0.0012, 0.0004, -0.0009, 0.0007)

# statsmodels 0.15.0: d is a data frame of AXES and VALUES in this order, its row 4 dropped for
# GAPS; m = ols("y ~ (C(sha, Sum) + C(triton, Sum) + C(mode, Sum))**2", d).fit();
# anova_lm(m, typ=2)["sum_sq"]
WHOLE = (0.0085333333, 0.01365, 0.0000333333, 0.0103166667, 0.0120333333, 0.3522166667)
GAPS = (0.00529, 0.045834722222, 0.01936, 0.0097875, 0.0078125, 0.255020833333)


def _points(
    values: Sequence[float] = VALUES,
    deviations: Sequence[float] = DEVIATIONS,
    drop: Sequence[int] = (),
) -> list[PointValue]:
    return [
        PointValue(
            dict(zip(AXES, labels, strict=True)),
            value,
            (
                NoiseSample(
                    tuple(f"{'-'.join(labels)}-{i}" for i in range(len(deviations))),
                    tuple(deviations),
                ),
            ),
        )
        for place, (labels, value) in enumerate(zip(product(*AXES.values()), values, strict=True))
        if place not in drop
    ]


def _shares(points: Sequence[PointValue], axes: Sequence[str] = tuple(AXES)) -> VarianceShares:
    return variance_shares(points, axes)


def _known(estimate: Estimate | None) -> tuple[float, float, float]:
    assert estimate is not None
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.value, estimate.low, estimate.high


def _others(grid: Grid, term: Term) -> list[Term]:
    return [each for each in grid.terms if not set(term) <= set(each)]


def test_a_whole_grid_is_statsmodels_anova() -> None:
    grid = Grid(_points(), tuple(AXES))
    assert grid.complete
    found = [grid.balanced(term).squares for term in grid.terms]
    assert found == pytest.approx(WHOLE, abs=5e-11)
    spanned = [grid.spanned(term, _others(grid, term)).squares for term in grid.terms]
    assert spanned == pytest.approx(found)


def test_a_grid_with_a_gap_is_statsmodels_type_ii() -> None:
    grid = Grid(_points(drop=[4]), tuple(AXES))
    assert not grid.complete
    found = [grid.spanned(term, _others(grid, term)).squares for term in grid.terms]
    assert found == pytest.approx(GAPS, abs=5e-12)


def test_the_noise_of_a_term_is_its_share_of_the_degrees_of_freedom() -> None:
    grid = Grid(_points(), tuple(AXES))
    variance = sum(each**2 for each in DEVIATIONS)
    for term in grid.terms:
        expected = grid.degrees(term) * variance
        assert float(grid.balanced(term).noise.sum()) == pytest.approx(expected)
        spanned = grid.spanned(term, _others(grid, term))
        assert float(spanned.noise.sum()) == pytest.approx(expected)
    assert float(grid.total().noise.sum()) == pytest.approx(11 * variance)
    # 12 samples of 5 processes each
    assert grid.degrees_of_noise(grid.total().noise) == pytest.approx(48.0)


def test_shares_add_up_once_noise_is_taken_off() -> None:
    found = _shares(_points())
    total = sum(_known(term.share)[0] for term in found.terms) + _known(found.rest)[0]
    assert total == pytest.approx(1.0, abs=1e-6)
    assert found.noise.value == pytest.approx(
        11 * sum(each**2 for each in DEVIATIONS) / float(np.var(VALUES) * 12), abs=1e-9
    )
    largest = next(term for term in found.terms if term.axes == ("triton", "mode"))
    assert largest.shown
    assert _known(largest.share)[0] == pytest.approx(0.88, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(
    st.permutations(range(12)),
    st.floats(-3.0, 3.0),
    st.sampled_from([0.25, 3.0, 40.0]),
)
def test_order_place_and_scale_do_not_matter(order: list[int], shift: float, factor: float) -> None:
    points = _points()
    moved = _points(
        [factor * value + shift for value in VALUES], [factor * each for each in DEVIATIONS]
    )
    again = _shares([moved[index] for index in order])
    for one, other in zip(_shares(points).terms, again.terms, strict=True):
        assert _known(other.share) == pytest.approx(_known(one.share), abs=1e-6)


def test_noise_that_all_points_share_is_no_noise_between_them() -> None:
    names = ("a", "b", "c")
    shared = (0.05, -0.02, -0.03)
    sample = (NoiseSample(names, shared),)
    points = [PointValue(each.at, each.value, sample) for each in _points()]
    assert _shares(points).noise.value == pytest.approx(0.0, abs=1e-9)
    apart = [
        PointValue(each.at, each.value, (NoiseSample(tuple(f"{i}{n}" for n in names), shared),))
        for i, each in enumerate(_points())
    ]
    assert (_shares(apart).noise.value or 0.0) > 0.09


def test_a_shared_baseline_adds_its_covariance() -> None:
    # y = subject - baseline, one baseline for both points: only the subjects' noise is between them
    own = [NoiseSample((f"s{i}", f"t{i}"), (0.01, -0.01)) for i in range(2)]
    baseline = NoiseSample(("b1", "b2"), (-0.5, 0.5))
    noise = PointNoise([[own[0], baseline], [own[1], baseline]])
    block = np.eye(2) - 0.5
    found = noise.through(np.diag(block).copy(), lambda at: block[np.ix_(at, at)])
    assert float(found.sum()) == pytest.approx(2e-4)
    assert noise.along(np.array([1.0, -1.0])) == pytest.approx(4e-4)
    assert noise.along(np.array([1.0, 1.0])) == pytest.approx(2.0 + 4e-4)


def test_a_missing_corner_leaves_the_interaction_untold() -> None:
    points = [each for each in _points() if each.at["triton"] != "3.6" and each.at["mode"] == "d"][
        :3
    ]
    found = _shares(points)
    told = {term.axes: term for term in found.terms}
    assert not found.complete
    assert told[("sha", "triton")].share.reason == "not_estimable_from_this_design"
    assert told[("sha", "triton")].beyond is None
    for axis in ("sha", "triton"):
        term = told[(axis,)]
        assert (term.share.value, term.share.reason) == (None, "confounded_by_missing_points")
        assert term.beyond is not None
    assert told[("mode",)].share.reason == "only_one_value_has_a_log_ratio"


def test_a_gap_that_leaves_a_term_orthogonal_leaves_its_share() -> None:
    # Triton 3.6 was run in one mode only, for both commits alike.
    points = [
        each for each in _points() if not (each.at["triton"] == "3.6" and each.at["mode"] == "r")
    ]
    told = {term.axes: term for term in _shares(points).terms}
    assert told[("sha",)].share.value is not None
    assert told[("mode",)].share.reason == "confounded_by_missing_points"
    assert told[("triton", "mode")].share.reason == "not_estimable_from_this_design"


def test_too_many_combinations_are_left_to_the_rest() -> None:
    axes = ("a", "b", "c")
    places = [(i, j, (i + j) % 13) for i in range(13) for j in range(13)][:-1]
    points = [
        PointValue(dict(zip(axes, place, strict=True)), 0.1 * place[0], _points()[0].noise)
        for place in places
    ]
    told = {term.axes: term for term in variance_shares(points, axes).terms}
    assert told[("a", "b")].share.reason == "too_many_combinations_for_an_incomplete_design"
    assert told[("a",)].beyond is not None


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "fewer_than_2_points_with_a_log_ratio"),
        (_points()[:1], "fewer_than_2_points_with_a_log_ratio"),
        ([*_points()[:3], PointValue({"sha": "p"}, math.nan, ())], "impossible_value"),
        ([*_points()[:3], PointValue({"sha": "p"}, math.inf, ())], "impossible_value"),
    ],
)
def test_degenerate_points_have_reasons(points: list[PointValue], reason: str) -> None:
    found = _shares(points)
    assert (found.spread.value, found.spread.reason) == (None, reason)
    assert [term.share.reason for term in found.terms] == [reason] * 3


def test_one_axis_has_no_share_and_a_spread() -> None:
    found = _shares(_points()[::2][:3], ("sha", "triton", "mode"))
    told = {term.axes: term.share.reason for term in found.terms}
    assert told[("triton",)] == "only_axis_that_varies"
    assert _known(found.spread)[0] > 1.0


@pytest.mark.parametrize("values", [[0.3] * 12, [0.3 + 1e-5 * (i % 5) for i in range(12)]])
def test_points_alike_within_noise_have_no_shares(values: list[float]) -> None:
    found = _shares(_points(values))
    assert {term.share.reason for term in found.terms} == {"no_variance_beyond_noise"}
    value, low, high = _known(found.spread)
    assert (value, low) == (1.0, 1.0)
    assert high > 1.0005  # noise of this size allows some variance


@pytest.mark.parametrize("noise_df", [2.0, 4.0, 9.0, 48.0])
@pytest.mark.parametrize("squares", [0.5, 3.0, 20.0, 90.0])
def test_without_a_true_part_it_is_the_f_test(squares: float, noise_df: float) -> None:
    found = probability_under(squares, 2.0, 1.5 * _variances(noise_df), 0.0)
    assert found == pytest.approx(stats.f.cdf(squares / 2.0 / 1.5, 2, noise_df), abs=2e-4)


@pytest.mark.parametrize("true", [0.0, 4.0, 500.0, 1_900.0, 2_100.0, 90_000.0])
def test_with_the_variance_known_it_is_the_noncentral_chi_squared(true: float) -> None:
    squares = true + 3.0 + 1.1 * math.sqrt(2 * (3 + 2 * true))
    found = probability_under(squares, 3.0, _variances(1e9), true)
    oracle = stats.ncx2.cdf(squares, 3, true) if true else stats.chi2.cdf(squares, 3)
    assert found == pytest.approx(oracle, abs=2e-4)


def test_less_than_noise_is_no_proof_of_nothing() -> None:
    low, high = true_squares(0.0, 1.0, 3.0, 20.0, 0.95)
    assert low == 0.0
    assert high == pytest.approx(true_squares(3.0, 1.0, 3.0, 20.0, 0.95)[1])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.0, 1.0))
def test_quantiles_are_numpys(values: list[float], share: float) -> None:
    found = quantiles(np.array(values), [share])[0]
    assert found == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-9)


def _interval_holds(
    effect: Callable[[str, str, str], float],
    spread: Callable[[int], float],
    generator: np.random.Generator,
) -> tuple[int, int]:
    """Simulate one run of 5 processes a point; return (intervals that hold, intervals)."""
    places = list(product(*AXES.values()))
    truth = [effect(*place) for place in places]
    exact = Grid(_points(truth), tuple(AXES))
    total = exact.total().squares
    points = []
    for index, (place, value) in enumerate(zip(places, truth, strict=True)):
        means = value + generator.normal(0.0, spread(index), 5)
        deviations = (means - means.mean()) / math.sqrt(20)
        names = tuple(f"{index}-{each}" for each in range(5))
        sample = NoiseSample(names, tuple(deviations.tolist()))
        points.append(
            PointValue(dict(zip(AXES, place, strict=True)), float(means.mean()), (sample,))
        )
    held = known = 0
    for term in _shares(points).terms:
        if term.share.value is not None:
            _, low, high = _known(term.share)
            share = exact.balanced(term.axes).squares / total
            known += 1
            held += low - 1e-9 <= share <= high + 1e-9
    return held, known


@pytest.mark.parametrize("noisier", [1.0, 5.0])
def test_intervals_hold_the_true_share(noisier: float) -> None:
    generator = np.random.default_rng(147)

    def effect(sha: str, triton: str, mode: str) -> float:
        return 0.05 * (sha == "h") * (triton == "3.4") + 0.02 * (mode == "r")

    def spread(index: int) -> float:
        return 0.005 * (noisier if index == 0 else 1.0)

    runs = [_interval_holds(effect, spread, generator) for _ in range(60)]
    held, known = (sum(each) for each in zip(*runs, strict=True))
    assert known > 250
    assert held / known >= 0.95
