"""Figures of one unit: samples per stratum and arm, their combination, the estimates beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reprokit.claim.model import Claim, Conclusion, ExpectFlip, ExpectInvariance, ExpectValue
from reprokit.records import Arm, Estimate
from reprokit.stats.logmean import LogMean, difference
from reprokit.stats.published import pooled_mean_bootstrap, pooled_statistic
from reprokit.stats.ratio import contrast, gain, measured_rate, overhead, ratio_to_value
from reprokit.stats.sample import NO_DATA, Undefined, arm_sample, in_metric
from reprokit.verdict.arm_means import arm_means, stratum_means
from reprokit.verdict.beside import beside, published_beside
from reprokit.verdict.processes import values_of
from reprokit.verdict.records import InvocationSummary, StratumVerdict
from reprokit.verdict.units import MeasuredInvocation, Stratum, Unit


@dataclass(frozen=True)
class Figures:
    """Log means of a unit's arms and their contrast, combined over its strata.

    Attributes:
        log_rho: subject against baseline time.
    """

    arms: dict[Arm, LogMean | Undefined]
    log_rho: LogMean | Undefined
    estimates: tuple[Estimate, ...]
    strata: tuple[StratumVerdict, ...]


def conclusion_of(claim: Claim) -> Conclusion:
    """Return what is decided at every point: the claim itself, or what it says along an axis."""
    expect = claim.expect
    return expect.of if isinstance(expect, ExpectInvariance | ExpectFlip) else expect


def metric_of(expect: Conclusion) -> str | None:
    """Name the metric of a conclusion; a crash rate has none."""
    return None if expect.kind == "stability" else expect.metric


def figures_of(unit: Unit, expect: Conclusion, arms: dict[Arm, str], level: float) -> Figures:
    """Estimate everything that the rows of a unit can say about the metric."""
    metric = metric_of(expect)
    if metric is None:
        nothing = Undefined(NO_DATA)
        return Figures(dict.fromkeys(Arm, nothing), nothing, (), ())
    per_stratum = stratum_means(unit, metric)
    means = arm_means(unit, metric, per_stratum)
    log_rho = difference(means[Arm.SUBJECT], means[Arm.BASELINE])
    return Figures(
        arms=means,
        log_rho=log_rho,
        estimates=_estimates(expect, metric, arms, means, level),
        strata=tuple(
            StratumVerdict(
                cell=stratum.cell.id,
                axes=stratum.cell.axes,
                estimates=_estimates(expect, metric, arms, found, level),
                published=_published(expect, metric, arms, stratum),
                beside=beside(
                    metric, {arm: _values(metric, stratum.launches[arm]) for arm in arms}, level
                ),
            )
            for stratum, found in zip(unit.strata, per_stratum, strict=True)
        ),
    )


def invocation_summaries(unit: Unit, metric: str | None) -> tuple[InvocationSummary, ...]:
    """Summarise every invocation in the metric's unit."""
    return tuple(
        InvocationSummary(
            cell=launch.planned.cell,
            arm=arm,
            invocation=launch.planned.index,
            n=len(launch.ok),
            cold=sum(row.cold for row in launch.rows),
            mean=mean,
        )
        for stratum in unit.strata
        for arm in Arm
        for launch, mean in _means(metric, stratum.launches[arm])
    )


def _means(
    metric: str | None, launches: Sequence[MeasuredInvocation]
) -> Iterator[tuple[MeasuredInvocation, float | None]]:
    """Mean of each invocation; None where it has no usable value, or an impossible one."""
    values = [values_of(metric, launch) if metric else [] for launch in launches]
    sample = arm_sample(metric, values) if metric else Undefined(NO_DATA)
    if isinstance(sample, Undefined):  # of an arm with one impossible value the others still count
        yield from (
            (each, _mean(metric, mine)) for each, mine in zip(launches, values, strict=True)
        )
        return
    means = iter(sample.means)
    for launch, mine in zip(launches, values, strict=True):
        yield launch, in_metric(metric or "", next(means)) if mine else None


def _estimates(
    expect: Conclusion,
    metric: str,
    arms: dict[Arm, str],
    means: dict[Arm, LogMean | Undefined],
    level: float,
) -> tuple[Estimate, ...]:
    rho = difference(means[Arm.SUBJECT], means[Arm.BASELINE])
    subject, baseline = (means[arm] for arm in (Arm.SUBJECT, Arm.BASELINE))
    found = [_named(measured_rate(subject, metric, level), f"{Arm.SUBJECT}_{metric}")]
    if Arm.BASELINE in arms:
        found += [
            _named(measured_rate(baseline, metric, level), f"{Arm.BASELINE}_{metric}"),
            contrast(rho, level),
            gain(rho, level),
            overhead(rho, level),
        ]
    if isinstance(expect, ExpectValue):
        found.append(ratio_to_value(subject, metric, expect.value, level))
    return tuple(found)


def _published(
    expect: Conclusion, metric: str, arms: dict[Arm, str], stratum: Stratum
) -> tuple[Estimate, ...]:
    """Return the pooled numbers that a reader of the publication knows; they decide nothing."""
    statistic: Literal["median", "mean"] = (
        expect.statistic if isinstance(expect, ExpectValue) else "mean"
    )
    found: list[Estimate] = []
    pooled = {
        arm: np.array(
            [value for values in _values(metric, stratum.launches[arm]) for value in values],
            dtype=np.float64,
        )
        for arm in arms
    }
    for arm, sample in pooled.items():
        pair = (
            pooled_statistic(metric, sample, statistic),
            pooled_mean_bootstrap(metric, sample),
        )
        found += [_named(estimate, f"{arm}_{estimate.name}") for estimate in pair]
    return (*found, *published_beside(pooled))


def _values(metric: str, launches: Sequence[MeasuredInvocation]) -> list[list[float]]:
    """Usable values of every invocation that has some."""
    return [values for launch in launches if (values := values_of(metric, launch))]


def _mean(metric: str | None, values: list[float]) -> float | None:
    sample = arm_sample(metric, [values]) if metric else Undefined(NO_DATA)
    return None if isinstance(sample, Undefined) else in_metric(metric or "", sample.means[0])


def _named(estimate: Estimate, name: str) -> Estimate:
    return estimate.model_copy(update={"name": name})
