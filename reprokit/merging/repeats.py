"""Baseline stability over runs: repeats of one plan on one machine class (TR147, C.5 and C.6)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from reprokit.kept.records import KeptRun
from reprokit.merging.conditions import Key, measured_conditions
from reprokit.merging.records import Regime, Repeats
from reprokit.records import Arm, Estimate
from reprokit.robustness.guard import eager_guard
from reprokit.robustness.runs import PointRuns, pooled_values, sample_of
from reprokit.stats.logmean import log_mean
from reprokit.stats.ratio import measured_rate, unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, as_times

_METHOD = "largest pooled mean of a run over the smallest, less 1; as published (TR147, C.5)"


def repeats_of(
    runs: Sequence[KeptRun],
    regimes: Sequence[Regime],
    metric: str,
    *,
    margin: float,
    level: float,
) -> tuple[Repeats, ...]:
    """Compare the baseline of every condition over the runs of each regime that has several."""
    named = {run.name: run for run in runs}
    return tuple(
        each
        for regime in regimes
        if len(regime.runs) > 1
        for each in stability_of(
            regime.label, [named[name] for name in regime.runs], metric, margin=margin, level=level
        )
    )


def stability_of(
    regime: str, runs: Sequence[KeptRun], metric: str, *, margin: float, level: float
) -> tuple[Repeats, ...]:
    """Compare the baseline of every condition that at least two of the runs planned."""
    measured = {run.name: measured_conditions(run) for run in runs}
    keys = dict.fromkeys(
        key for mine in measured.values() for key in mine if key.arm is Arm.BASELINE
    )
    return tuple(
        _stability(regime, key, found, metric, margin=margin, level=level)
        for key in keys
        if len(found := {name: mine[key] for name, mine in measured.items() if key in mine}) > 1
    )


def _stability(
    regime: str,
    key: Key,
    runs: Mapping[str, PointRuns],
    metric: str,
    *,
    margin: float,
    level: float,
) -> Repeats:
    means = {
        name: measured_rate(log_mean(sample_of(metric, each.subject)), metric, level)
        for name, each in runs.items()
    }
    # The guard compares baselines of points; here they are those of the runs.
    as_points = [PointRuns(name, (), each.subject) for name, each in runs.items()]
    return Repeats(
        regime=regime,
        point=dict(key.point),
        cell=dict(key.cell),
        means=means,
        spread=_spread(metric, tuple(runs.values())),
        guard=eager_guard(metric, as_points, margin=margin, level=level),
    )


def _spread(metric: str, runs: Sequence[PointRuns]) -> Estimate:
    name, unit = "baseline_spread", "%"
    times = [as_times(metric, pooled_values(metric, each.subject)) for each in runs]
    if any(each.size == 0 for each in times):
        return unknown(name, unit, _METHOD, NO_DATA)
    means = [float(each.mean()) for each in times]
    if not all(math.isfinite(mean) and mean > 0 for mean in means):
        return unknown(name, unit, _METHOD, IMPOSSIBLE)
    n = {"runs": len(means), "iterations": sum(each.size for each in times)}
    value = 100.0 * (max(means) / min(means) - 1.0)
    return Estimate(name=name, value=value, unit=unit, method=_METHOD, n=n)
