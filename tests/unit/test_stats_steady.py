"""Segmentation and labels: known shapes, false alarms, an exhaustive oracle, degenerate data."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from reprokit.stats.steady import Segments, Steadiness, _pelt, cell_steadiness, segments


def _noise(seed: int, *levels: tuple[float, int], sd: float = 0.003) -> np.ndarray:
    generator = np.random.default_rng(seed)
    shape = np.concatenate([np.full(count, level) for level, count in levels])
    return shape * np.exp(generator.normal(0, sd, shape.size))


def _label(values: np.ndarray) -> Steadiness:
    found = segments(values)
    assert isinstance(found, Segments)
    return found.label


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("levels", "label"),
    [
        ([(10.0, 40)], Steadiness.FLAT),
        ([(20.0, 1), (10.0, 39)], Steadiness.WARMUP),
        ([(12.0, 8), (10.0, 32)], Steadiness.WARMUP),
        ([(10.0, 8), (12.0, 32)], Steadiness.SLOWDOWN),
        ([(10.0, 30), (12.0, 10)], Steadiness.NO_STEADY_STATE),
    ],
)
def test_known_shapes_get_their_label(
    seed: int, levels: list[tuple[float, int]], label: Steadiness
) -> None:
    values = _noise(seed, *levels)
    assert _label(values) is label
    assert _label(values * 1e-3) is label


def test_a_drift_is_no_steady_state() -> None:
    assert _label(np.linspace(10, 15, 60) * _noise(1, (1.0, 60))) is Steadiness.NO_STEADY_STATE


def test_single_spikes_are_flagged_and_are_no_level() -> None:
    values = _noise(2, (10.0, 40))
    values[[17, 30, 31]] *= 3
    found = segments(values)
    assert isinstance(found, Segments)
    assert (found.label, found.outliers, found.n) == (Steadiness.FLAT, (17, 30, 31), 40)


@pytest.mark.parametrize("size", [12, 60, 300])
def test_plain_noise_is_flat(size: int) -> None:
    labels = [_label(_noise(seed, (10.0, size), sd=0.01)) for seed in range(100)]
    assert labels.count(Steadiness.FLAT) >= 95


@pytest.mark.parametrize("seed", range(6))
def test_pelt_finds_the_cheapest_of_all_segmentations(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(0, 1, 11) + np.where(np.arange(11) >= 4, 12.0, 0.0)
    values[8:] -= 12.0 * (seed % 2)
    penalty = 15 * math.log(values.size)

    def cost(cuts: tuple[int, ...]) -> float:
        parts = np.split(values, list(cuts))
        return sum(float(((part - part.mean()) ** 2).sum()) for part in parts) + penalty * len(cuts)

    every = [cuts for count in range(5) for cuts in combinations(range(1, 11), count)]
    assert _pelt(values) == [0, *min(every, key=cost)]


def test_a_cell_is_what_all_its_processes_are() -> None:
    flat, warm = _noise(1, (10.0, 20)), _noise(2, (20.0, 3), (10.0, 17))
    late = _noise(3, (10.0, 15), (12.0, 5))
    assert cell_steadiness([flat, flat]).label is Steadiness.FLAT
    mixed = cell_steadiness([flat, warm])
    assert (mixed.label, mixed.steady) == (Steadiness.INCONSISTENT, True)
    assert mixed.share.value == 17 / 20
    assert mixed.share.n == {"invocations": 2, "iterations": 40}
    moved = cell_steadiness([flat, late])
    assert (moved.steady, moved.reason) == (False, "no_steady_state")
    busy = cell_steadiness([flat], compiled_while_timed=True)
    assert (busy.label, busy.steady, busy.reason) == (
        Steadiness.FLAT, False, "compiled_while_timed",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "no_data"),
        ([1.0], "too_few_iterations"),
        ([1.0] * 20, "zero_variance"),
        ([1.0] * 19 + [math.nan], "impossible_value"),
        ([1.0] * 19 + [math.inf], "impossible_value"),
        ([1.0] * 19 + [0.0], "impossible_value"),
    ],
)
def test_degenerate_processes_are_not_called_steady(values: list[float], reason: str) -> None:
    for cell in ([np.array(values)], [_noise(1, (10.0, 20)), np.array(values)]):
        found = cell_steadiness(cell)
        assert (found.label, found.steady, found.reason) == (None, None, reason)
        assert (found.share.value, found.share.reason) == (None, reason)
    assert cell_steadiness([]).reason == "no_data"
