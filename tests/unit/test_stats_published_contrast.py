"""TR147's own numbers: its delta columns, its d, its rounding; degenerate data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reprokit.records import Estimate
from reprokit.stats.published_contrast import (
    printed,
    published_contrast,
    published_cv,
    published_d,
    published_delta,
    published_welch_p,
    rounding_interval,
)
from reprokit.stats.sample import FloatArray

# TR147, SS6.1, SS6.2 and B.1, B.2: eager mean, compiled mean, delta %, d.
PUBLISHED = [
    ("4.190", "1.865", "-55.48", "28.210"),
    ("4.190", "0.993", "-76.31", "54.334"),
    ("530.378", "547.115", "3.16", "-0.022"),
    ("11.685", "4.485", "-61.62", "23.571"),
    ("11.685", "3.662", "-68.66", "28.433"),
    ("1450.320", "1475.299", "1.72", "-0.012"),
    ("21.183", "7.786", "-63.25", "11.633"),
    ("21.183", "4.853", "-77.09", "14.701"),
    ("2552.027", "2608.198", "2.20", "-0.015"),
    ("4.861", "2.215", "-54.44", "6.350"),
    ("4.861", "1.468", "-69.80", "7.791"),
    ("645.614", "667.941", "3.46", "-0.024"),
    ("14.265", "5.754", "-59.67", "21.392"),
    ("14.265", "2.928", "-79.48", "43.643"),
    ("1745.290", "1779.642", "1.97", "-0.014"),
    ("24.628", "10.138", "-58.83", "8.793"),
    ("24.628", "4.334", "-82.40", "12.420"),
    ("3142.945", "3193.650", "1.61", "-0.011"),
]


def _rows(mean: float, sd: float, count: int = 300) -> FloatArray:
    """Positive numbers with exactly this mean and sd: a fifth of them long, as lengths are."""
    shape = np.repeat([-1.0, 4.0], [count * 4 // 5, count // 5])
    rows: FloatArray = mean + sd * shape / shape.std(ddof=1)
    return rows


@pytest.mark.parametrize(("eager", "compiled", "delta", "d"), PUBLISHED)
def test_the_published_delta_and_d_come_back(eager: str, compiled: str, delta: str, d: str) -> None:
    sd = abs((float(eager) - float(compiled)) / float(d))
    arms = _rows(float(eager), sd), _rows(float(compiled), sd)
    found = published_delta(*arms).value
    assert found is not None
    low, high = rounding_interval(delta)
    # The printed means are rounded too: each end of what they stand for.
    slack = max(
        abs(100 * (c / e - 1) - found)
        for e in rounding_interval(eager)
        for c in rounding_interval(compiled)
    )
    assert low - slack <= found <= high + slack
    assert printed(published_d(*arms)) == d


def test_tr147s_decode_p_values_do_not_follow_from_its_d() -> None:
    # B.5 says 0.04 to 0.28; B.1 and B.2 print |d| of at most 0.024 with 300 rows per arm.
    sd = (667.941 - 645.614) / 0.024
    found = published_welch_p(_rows(645.614, sd), _rows(667.941, sd)).value
    assert found == pytest.approx(2 * stats.t.sf(0.024 * math.sqrt(150), 598), abs=1e-4)
    assert found is not None
    assert found > 0.7


def test_the_p_value_is_scipys() -> None:
    first, second = _rows(10, 1, 30), _rows(10.3, 2, 20)
    oracle = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert published_welch_p(first, second).value == pytest.approx(oracle)
    assert published_cv(first).value == pytest.approx(stats.variation(first, ddof=1))


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (55.4812, "%", "55.48"),
        (4.18951, "ms", "4.190"),
        (-0.0219, "sd", "-0.022"),
        (0.04321, "probability", "0.0432"),
        (0.8, "proportion", "0.800"),
        (0.01314, "cv", "0.0131"),
    ],
)
def test_rounding_is_tr147s(value: float, unit: str, text: str) -> None:
    assert printed(Estimate(name="x", value=value, unit=unit, method="test")) == text
    low, high = rounding_interval(text)
    assert low <= value <= high


def test_printed_figures_stand_for_intervals() -> None:
    assert rounding_interval("1,450.320") == pytest.approx((1450.3195, 1450.3205))
    assert rounding_interval("\N{MINUS SIGN}55.48%") == pytest.approx((-55.485, -55.475))
    assert rounding_interval("90") == (89.5, 90.5)


@pytest.mark.parametrize(
    "values", [[], [1.0], [2.0, 2.0], [1.0, math.nan], [1.0, math.inf], [0.0, 0.0]]
)
def test_degenerate_arms_have_reasons(values: list[float]) -> None:
    arm = np.array(values, dtype=np.float64)
    found = published_contrast("latency_ms", arm, arm)
    for each in (found.baseline_cv, found.subject_cv, found.cohens_d, found.welch_p):
        assert each.value is None
        assert each.reason
        assert printed(each) == f"n/a ({each.reason})"
    possible = bool(arm.size and np.isfinite(arm).all() and (arm > 0).all())
    assert (found.delta.value is not None) == possible


def test_all_of_them_say_that_they_decide_nothing() -> None:
    found = published_contrast("latency_ms", _rows(10, 1), _rows(9, 1))
    for each in vars(found).values():
        assert "decides nothing" in each.method
        assert each.value is not None
