"""Sensitivity to warm-up (TR147, C.2): the first iterations dropped, and the run scored anew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reprokit.kept.records import KeptRun
from reprokit.metrics import METRICS
from reprokit.sensitivity.measured import MeasuredArm, measured_arms
from reprokit.sensitivity.records import WarmupOutcome, WarmupRow
from reprokit.stats.sample import as_times
from reprokit.stats.steady import cell_steadiness
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.score import score
from reprokit.verdict.units import Unit


def most_dropped(run: KeptRun, asked: int | None) -> int:
    """Return how many iterations to drop at most: as asked, or a second warm-up; one is left."""
    wanted = max(1, run.plan.setup.warmup) if asked is None else asked
    return max(0, min(wanted, run.plan.setup.samples - 1))


def warmup_rows(units: Sequence[Unit], metric: str, most: int) -> tuple[WarmupRow, ...]:
    """Take the mean of every arm without its first 0 to `most` iterations per invocation."""
    return tuple(_row(arm, metric, most) for arm in measured_arms(units))


def warmup_outcomes(run: KeptRun, most: int) -> tuple[WarmupOutcome, ...]:
    """Score the run without its first 0 to `most` iterations per invocation.

    Dropped rows stay, as cold ones do: kept and never used.
    """
    found: dict[tuple[str, tuple[str, ...]], WarmupOutcome] = {}
    for dropped in range(most + 1):
        rows = [
            row if row.iteration >= dropped else row.model_copy(update={"cold": True})
            for row in run.rows
        ]
        for point in score(run.claim, run.plan, run.ready, rows).points:
            key = (point.point, point.cells)
            before = found[key].outcomes if key in found else {}
            outcomes = {**before, dropped: run.outcome_of(point)}
            found[key] = WarmupOutcome(
                point=point.point, axes=point.axes, outcomes=outcomes,
                changes=outcomes_change(list(outcomes.values())),
            )  # fmt: skip
    return tuple(found.values())


def outcomes_change(outcomes: Sequence[Outcome]) -> bool | None:
    """Tell whether decided outcomes differ; None where nothing, or not everything, is decided."""
    decided = {outcome for outcome in outcomes if outcome.decided}
    if len(decided) > 1:
        return True
    return False if all(outcome.decided for outcome in outcomes) else None


def _row(arm: MeasuredArm, metric: str, most: int) -> WarmupRow:
    means = {dropped: _mean(metric, arm, dropped) for dropped in range(most + 1)}
    changes = {
        dropped: 100.0 * abs(mean / means[0] - 1.0)
        for dropped, mean in means.items()
        if dropped and mean is not None and means[0]
    }
    steady = cell_steadiness(
        [np.asarray(as_times(metric, values)) for values in arm.by_process(metric)]
    )
    at = max(changes, key=lambda dropped: changes[dropped]) if changes else None
    return WarmupRow(
        point=arm.point, cell=arm.cell, arm=arm.arm, unit=METRICS[metric].unit, means=means,
        change=None if at is None else changes[at], at=at, label=steady.label, share=steady.share,
        steady=steady.steady, reason=steady.reason,
    )  # fmt: skip


def _mean(metric: str, arm: MeasuredArm, dropped: int) -> float | None:
    values = [value for process in arm.by_process(metric, dropped) for value in process]
    mean = float(np.mean(values)) if values else math.nan
    return mean if math.isfinite(mean) and mean > 0 else None
