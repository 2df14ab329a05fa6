"""Sensitivity of bootstrap intervals to their seed (TR147, C.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from reprokit.claim.model import Claim, Conclusion, ExpectEquivalence, ExpectGain, ExpectValue
from reprokit.records import Arm, Estimate
from reprokit.sensitivity.measured import MeasuredArm, measured_arms, process_values
from reprokit.sensitivity.records import SeedRow, Side
from reprokit.stats.bootstrap import DECIDES_FROM, bootstrap_contrast, bootstrap_rate
from reprokit.stats.published import pooled_mean_bootstrap
from reprokit.verdict.figures import conclusion_of
from reprokit.verdict.margin import effective_margin
from reprokit.verdict.units import Unit

SEEDS = (1, 42, 100, 2024)
"""Those of TR147."""

Bounds = tuple[float, float]


def seed_rows(
    claim: Claim, units: Sequence[Unit], metric: str, seeds: Sequence[int] = SEEDS
) -> tuple[SeedRow, ...]:
    """Draw every interval anew with every seed: of each arm, and of the contrast of both."""
    expect, level = conclusion_of(claim), claim.protocol.level
    margin = effective_margin(claim)
    on_rate = _rate_bounds(expect, margin.value if margin else 1.0)
    on_contrast = _contrast_bounds(expect)
    arms = [
        row
        for arm in measured_arms(units)
        for row in _of_arm(arm, metric, level, seeds, on_rate if arm.arm is Arm.SUBJECT else None)
    ]
    return (*arms, *_contrasts(units, metric, level, seeds, on_contrast))


def _of_arm(
    arm: MeasuredArm, metric: str, level: float, seeds: Sequence[int], bounds: Bounds | None
) -> Iterator[SeedRow]:
    processes = arm.by_process(metric)
    pooled = np.array([value for values in processes for value in values], dtype=np.float64)
    where = (arm.point, arm.cell, arm.arm)
    published = {seed: pooled_mean_bootstrap(metric, pooled, level, seed) for seed in seeds}
    yield _row(where, "as published: pooled mean", published, None, decides=False)
    sound = {seed: bootstrap_rate(metric, processes, level, seed=seed) for seed in seeds}
    decides = len(processes) >= DECIDES_FROM
    yield _row(where, "hierarchical: mean", sound, bounds, decides=decides)


def _contrasts(
    units: Sequence[Unit],
    metric: str,
    level: float,
    seeds: Sequence[int],
    bounds: Bounds | None,
) -> Iterator[SeedRow]:
    for unit in units:
        for stratum in unit.strata:
            if not all(stratum.launches[arm] for arm in Arm):
                continue
            subject, baseline = (
                process_values(metric, stratum.launches[arm]) for arm in (Arm.SUBJECT, Arm.BASELINE)
            )
            found = {
                seed: bootstrap_contrast(metric, subject, baseline, level, seed=seed)
                for seed in seeds
            }
            where = (unit.point.id, stratum.cell.id, None)
            decides = min(len(subject), len(baseline)) >= DECIDES_FROM
            yield _row(where, "hierarchical: contrast", found, bounds, decides=decides)


def _row(
    where: tuple[str, str, Arm | None],
    interval: str,
    found: Mapping[int, Estimate],
    bounds: Bounds | None,
    *,
    decides: bool,
) -> SeedRow:
    first = next(iter(found.values()))
    unknown = next((each for each in found.values() if each.low is None or each.high is None), None)
    if first.value is None or unknown is not None:
        reason = (unknown or first).reason or "no interval"
        return SeedRow(
            point=where[0], cell=where[1], arm=where[2], interval=interval, value=first.value,
            unit=first.unit, change=None, reason=reason, decides=decides,
        )  # fmt: skip
    sides = {seed: side_of(each, bounds) for seed, each in found.items()} if bounds else {}
    return SeedRow(
        point=where[0], cell=where[1], arm=where[2], interval=interval, value=first.value,
        unit=first.unit, change=_largest_move(list(found.values())), sides=sides,
        changes=len(set(sides.values())) > 1 if sides else None, decides=decides,
    )  # fmt: skip


def _largest_move(found: Sequence[Estimate]) -> float | None:
    """Return the largest move of either bound between two seeds, in per cent of the value."""
    moves = [
        abs(one - other) / abs(first.value)
        for first, second in combinations(found, 2)
        for one, other in ((first.low, second.low), (first.high, second.high))
        if first.value and one is not None and other is not None
    ]
    return 100.0 * max(moves) if moves else None


def side_of(estimate: Estimate, bounds: Bounds) -> Side:
    """Say where an interval lies among two bounds."""
    assert estimate.low is not None
    assert estimate.high is not None
    if estimate.high < bounds[0]:
        return "under"
    if estimate.low > bounds[1]:
        return "over"
    return "inside" if bounds[0] <= estimate.low and estimate.high <= bounds[1] else "open"


def _rate_bounds(expect: Conclusion, margin: float) -> Bounds | None:
    if not isinstance(expect, ExpectValue):
        return None
    return expect.value / margin, expect.value * margin


def _contrast_bounds(expect: Conclusion) -> Bounds | None:
    """What the claim says of subject time over baseline time; None where it says nothing."""
    if isinstance(expect, ExpectEquivalence):
        return 1.0 / expect.margin, expect.margin
    if not isinstance(expect, ExpectGain):
        return None
    low = 0.0 if expect.at_most is None else 1.0 - expect.at_most / 100.0
    high = math.inf if expect.at_least is None else 1.0 - expect.at_least / 100.0
    return low, high
