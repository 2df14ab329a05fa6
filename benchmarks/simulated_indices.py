"""Both robustness indices over three simulated stack points, without and with an effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from simulated_noise import ITERATIONS, NOISES, Noise

from reprokit.records import Arm, Row, RowStatus
from reprokit.robustness.index import cri
from reprokit.robustness.published import cri_d_of
from reprokit.robustness.records import RobustnessClass
from reprokit.robustness.runs import Launch, PointRuns
from reprokit.stats.sample import FloatArray

POINTS = ("a", "b", "c")
SLOWER = 1.20
INDICES = ("cri", "cri_d", "cri_d alone")
_METRIC = "latency_ms"
_FRAGILE = (RobustnessClass.FRAGILE, RobustnessClass.CATASTROPHIC)


@dataclass(frozen=True)
class Calls:
    """What an index calls three points, as shares of simulated sets of points.

    Attributes:
        same_robust: `robust` where nothing differs; `same_fragile` fragile or worse.
        slower_robust: `robust` where one point is 20 % slower; `slower_fragile` fragile or worse.
    """

    same_robust: float
    same_fragile: float
    slower_robust: float
    slower_fragile: float


def simulate(noise: Noise, processes: int, repeats: int, seed: int) -> dict[str, Calls]:
    """Ask `cri` and `cri_d` with their guards, and `cri_d` alone of one process without one."""
    generator = np.random.default_rng([seed, 7, NOISES.index(noise), processes])
    drawn = {
        (point, arm): noise.draw(generator, repeats, processes) for point in POINTS for arm in Arm
    }
    rows = {key: _launches(*key, processes) for key in drawn}
    counts = {index: Counter[str]() for index in INDICES}
    for repeat in range(repeats):
        for effect, factor in (("same", 1.0), ("slower", SLOWER)):
            _fill(rows, {key: times[repeat] for key, times in drawn.items()}, factor)
            for index, found in _ask(_points(rows)).items():
                counts[index][f"{effect}_robust"] += found is RobustnessClass.ROBUST
                counts[index][f"{effect}_fragile"] += found in _FRAGILE
    return {
        index: Calls(**{name: count[name] / repeats for name in Calls.__dataclass_fields__})
        for index, count in counts.items()
    }


def _points(rows: Mapping[tuple[str, Arm], tuple[Launch, ...]]) -> list[PointRuns]:
    """Put the rows in order anew: what a launch has told of them once it does not look up again."""
    fresh = {
        key: tuple(Launch(launch.process, launch.rows) for launch in launches)
        for key, launches in rows.items()
    }
    return [
        PointRuns(point, fresh[point, Arm.SUBJECT], fresh[point, Arm.BASELINE]) for point in POINTS
    ]


def _ask(points: list[PointRuns]) -> dict[str, RobustnessClass]:
    first = [PointRuns(each.point, each.subject[:1]) for each in points]
    return {
        "cri": cri(_METRIC, points).robustness,
        "cri_d": cri_d_of(_METRIC, points).robustness,
        "cri_d alone": cri_d_of(_METRIC, first).robustness,
    }


def _launches(point: str, arm: Arm, processes: int) -> tuple[Launch, ...]:
    """Make the rows once; only their times differ between repeats."""
    names = [f"{point}__c__{arm}__{index:03d}" for index in range(processes)]
    return tuple(
        Launch(
            name,
            tuple(
                Row(
                    id=f"{name}__{iteration:03d}", point=point, cell="c", arm=arm, invocation=index,
                    iteration=iteration, status=RowStatus.OK, values={_METRIC: 1.0},
                )
                for iteration in range(ITERATIONS)
            ),
        )
        for index, name in enumerate(names)
    )  # fmt: skip


def _fill(
    rows: Mapping[tuple[str, Arm], tuple[Launch, ...]],
    times: Mapping[tuple[str, Arm], FloatArray],
    factor: float,
) -> None:
    """Set the times; the subject of the last point is slower by the factor."""
    for (point, arm), launches in rows.items():
        slower = factor if point == POINTS[-1] and arm is Arm.SUBJECT else 1.0
        for launch, values in zip(launches, times[point, arm] * slower, strict=True):
            for row, value in zip(launch.rows, values.tolist(), strict=True):
                row.values[_METRIC] = value
