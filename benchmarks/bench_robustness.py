"""How often `cri_d` and `cri` see an effect of the stack where there is none (fixed seed).

A/A: three stack points, both arms, all drawn alike: 1 % noise between processes, and with AR(1)
0.5 between the 20 iterations of one 0.5 %, or what --iteration-noise says: the quieter a process
is within itself, the worse `cri_d` calls the same noise between processes. `cri_d` gets one process
per point, as it was published, then all processes pooled, both without its eager guard. `cri` gets
3, 5 or 8 processes, without and with its eager guard.

Run: python benchmarks/bench_robustness.py [--repeats N] [--iteration-noise SD]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from reprokit.records import Arm, Row, RowStatus
from reprokit.robustness.index import cri
from reprokit.robustness.published import band, cri_d
from reprokit.robustness.records import RobustnessClass
from reprokit.robustness.runs import Launch, PointRuns

SEED = 147
POINTS = ("a", "b", "c")
ITERATIONS = 20
CHANGED = (RobustnessClass.FRAGILE, RobustnessClass.CATASTROPHIC)

Times = npt.NDArray[np.float64]


def _arm(generator: np.random.Generator, processes: int, noise_within: float) -> Times:
    """Latencies in ms, one row per process."""
    fresh = noise_within * math.sqrt(1 - 0.5**2)
    noise = generator.normal(0, fresh, (processes, ITERATIONS))
    noise[:, 0] /= math.sqrt(1 - 0.5**2)
    for step in range(1, ITERATIONS):
        noise[:, step] += 0.5 * noise[:, step - 1]
    times: Times = np.exp(math.log(10.0) + generator.normal(0, 0.01, (processes, 1)) + noise)
    return times


def _launches(point: str, arm: Arm, times: Times) -> Iterator[Launch]:
    for index, process in enumerate(times):
        name = f"{point}__c__{arm}__{index:03d}"
        rows = tuple(
            Row(
                id=f"{name}__{iteration:03d}", point=point, cell="c", arm=arm, invocation=index,
                iteration=iteration, status=RowStatus.OK, values={"latency_ms": float(value)},
            )
            for iteration, value in enumerate(process)
        )  # fmt: skip
        yield Launch(name, rows)


def _once(
    generator: np.random.Generator, processes: int, noise_within: float
) -> dict[str, RobustnessClass]:
    arms = {
        point: {arm: _arm(generator, processes, noise_within) for arm in Arm} for point in POINTS
    }
    found = {}
    for label, taken in (("one process", 1), ("pooled", processes)):
        index = cri_d({p: each[Arm.SUBJECT][:taken].ravel() for p, each in arms.items()}, {}).index
        assert index.value is not None
        found[f"cri_d {label}"] = band(index.value)
    points = [
        PointRuns(
            point,
            tuple(_launches(point, Arm.SUBJECT, each[Arm.SUBJECT])),
            tuple(_launches(point, Arm.BASELINE, each[Arm.BASELINE])),
        )
        for point, each in arms.items()
    ]
    alone = [PointRuns(each.point, each.subject) for each in points]
    found["cri"] = cri("latency_ms", alone).robustness
    found["cri guarded"] = cri("latency_ms", points).robustness
    return found


def simulate(processes: int, repeats: int, noise_within: float) -> dict[str, dict[str, float]]:
    """Return the share of every class per index."""
    generator = np.random.default_rng([SEED, processes])
    counts: dict[str, Counter[RobustnessClass]] = {}
    for _ in range(repeats):
        for index, robustness in _once(generator, processes, noise_within).items():
            counts.setdefault(index, Counter())[robustness] += 1
    return {
        index: {str(name): round(count / repeats, 3) for name, count in sorted(seen.items())}
        for index, seen in counts.items()
    }


def main() -> int:
    """Simulate, print, and end with 1 when `cri` ever calls noise fragile or worse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--iteration-noise", type=float, default=0.005)
    asked = parser.parse_args()
    result = {each: simulate(each, asked.repeats, asked.iteration_noise) for each in (3, 5, 8)}
    print(json.dumps(result, indent=2))
    kept = not any(
        shares.get(name, 0.0)
        for table in result.values()
        for index, shares in table.items()
        if index.startswith("cri ") or index == "cri"
        for name in CHANGED
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
