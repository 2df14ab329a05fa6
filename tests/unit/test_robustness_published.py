"""`cri_d` as published: TR147's table from rows with its means and deviations, bands, reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.robustness.published import band, cohen_d, cri_d

TRITON = ("3.3.1", "3.4.0", "3.6.0")
DECODE_SD = 3648.0  # ms; half width of TR147's bootstrap interval x sqrt(300) / 1.96


def _rows(mean: float, sd: float, n: int = 300) -> npt.NDArray[np.float64]:
    """n rows with exactly this mean and sample standard deviation."""
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    return mean + sd * math.sqrt((n - 1) / n) * signs


def _arm(
    means: Sequence[float], sds: Sequence[float], ns: Sequence[int] = (300, 300, 300)
) -> dict[str, npt.NDArray[np.float64]]:
    cells = zip(TRITON, means, sds, ns, strict=True)
    return {point: _rows(mean, sd, n) for point, mean, sd, n in cells}


def _deviations(means: Sequence[float], first: float, d: Sequence[float]) -> list[float]:
    """Deviations at 3.4.0 and 3.6.0 that give TR147's d against 3.3.1 (SS8.4, B.4)."""
    later = zip(means[1:], d, strict=True)
    return [first, *(math.sqrt(2 * ((means[0] - m) / each) ** 2 - first**2) for m, each in later)]


EAGER_DYNAMIC = _arm(
    (21.218, 21.009, 21.420), _deviations((21.218, 21.009, 21.420), 1.7, (0.121, -0.101))
)
# d of 1.444 and 0.161 against 3.3.1 and of 1.68 between the others have one solution.
EAGER_STATIC = _arm((20.458, 21.982, 20.372), (0.69337, 1.32177, 0.29963))
EAGER_DECODE = _arm((2585.781, 2588.260, 2611.631), [DECODE_SD] * 3)
STATIC_DEFAULT = (20.458 * 0.3826, 21.982 * 1.0854, 20.372 * 1.0214)
STATIC_RO = (20.458 * 0.2380, 21.982 * 0.9569, 20.372 * 1.0864)
CRASHED = _arm((4.904, 2620.872, 2625.575), (0.05, 3730.0, 3761.0), (60, 300, 300))


@pytest.mark.parametrize(
    ("means", "first", "d", "eager", "index", "robustness", "reason"),
    [
        (
            (7.888, 21.186, 21.262), 0.41, (-19.699, -14.415), EAGER_DYNAMIC,
            19.70, "catastrophic", None,
        ),
        (
            (4.829, 21.122, 21.077), 0.035, (-32.837, -22.050), EAGER_DYNAMIC,
            32.84, "catastrophic", None,
        ),
        (STATIC_DEFAULT, 0.41, (-0.763, -25.521), EAGER_STATIC, 25.52, "invalid", "eager_drift"),
        (STATIC_RO, 0.035, (-48.928, -21.368), EAGER_STATIC, 48.93, "invalid", "eager_drift"),
        (
            (2625.979, 2658.930, 2602.942), DECODE_SD, (-0.0086, 0.0058), EAGER_DECODE,
            0.01, "robust", None,
        ),
        (
            (2608.198, 2666.57, 2648.33), DECODE_SD, (-0.016, -0.011), EAGER_DECODE,
            0.02, "robust", None,
        ),
    ],
)  # fmt: skip
def test_the_published_table(
    means: tuple[float, ...],
    first: float,
    d: tuple[float, float],
    eager: dict[str, npt.NDArray[np.float64]],
    index: float,
    robustness: str,
    reason: str | None,
) -> None:
    found = cri_d(_arm(means, _deviations(means, first, d)), eager)
    assert found.index.value is not None
    assert round(found.index.value, 2) == index
    assert (found.robustness, found.reason) == (robustness, reason)
    assert found.drift.value is not None
    if reason:
        assert round(found.drift.value, 2) == 1.68


def test_survivors_alone_make_a_crash_sensitive() -> None:
    found = cri_d(CRASHED, EAGER_DECODE)
    assert found.index.value == pytest.approx(0.768, abs=0.003)
    assert found.robustness == "sensitive"


def test_gpt_fast_has_no_stack_point() -> None:
    found = cri_d({version: [] for version in TRITON}, {})
    assert (found.robustness, found.reason) == ("invalid", "need >= 2 stack points, got 0")
    assert found.index.value is None


def test_one_point_is_not_two() -> None:
    found = cri_d({"a": [1.0, 2.0], "b": [1.0]}, {})
    assert found.reason == "need >= 2 stack points, got 1"


@pytest.mark.parametrize(
    ("d", "name"),
    [
        (0.0, "robust"), (0.4999, "robust"), (0.5, "sensitive"), (1.9999, "sensitive"),
        (2.0, "fragile"), (9.9999, "fragile"), (10.0, "catastrophic"), (-10.0, "catastrophic"),
    ],
)  # fmt: skip
def test_the_bands(d: float, name: str) -> None:
    assert band(d) == name


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([5.0, 5.0], "zero_variance"),
        ([5.0, math.nan], "impossible_value"),
        ([5.0, math.inf], "impossible_value"),
        ([1e308, -1e308], "impossible_value"),
    ],
)
def test_degenerate_rows_give_a_reason(values: list[float], reason: str) -> None:
    found = cri_d({"a": values, "b": values}, {})
    assert (found.robustness, found.reason) == ("invalid", reason)
    assert found.index.value is None


samples = st.lists(st.floats(1.0, 100.0), min_size=2, max_size=8)


@given(samples, samples, st.floats(0.01, 1000.0))
def test_d_is_antisymmetric_and_free_of_scale(
    one: list[float], other: list[float], by: float
) -> None:
    first, second = np.array(one), np.array(other)
    d = cohen_d(first, second)
    mirrored = cohen_d(second, first)
    scaled = cohen_d(by * first, by * second)
    if d.value is None or mirrored.value is None or scaled.value is None:
        assert "zero_variance" in {d.reason, mirrored.reason, scaled.reason}
        return
    assert mirrored.value == pytest.approx(-d.value)
    assert scaled.value == pytest.approx(d.value, rel=1e-6, abs=1e-6)


@given(samples, samples, samples)
def test_a_further_point_never_lowers_the_index(
    one: list[float], two: list[float], three: list[float]
) -> None:
    fewer = cri_d({"a": one, "b": two}, {}).index.value
    more = cri_d({"a": one, "b": two, "c": three}, {}).index.value
    shuffled = cri_d({"c": three[::-1], "b": two, "a": one}, {}).index.value
    if fewer is not None and more is not None:
        assert more >= fewer
        assert shuffled == pytest.approx(more)
