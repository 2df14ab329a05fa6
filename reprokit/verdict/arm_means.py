"""Both arms of a unit as log means, combined over its strata: what every decision rests on."""

from __future__ import annotations

from reprokit.records import Arm
from reprokit.stats.logmean import LogMean
from reprokit.stats.sample import Undefined
from reprokit.verdict.processes import combined, log_mean_of
from reprokit.verdict.units import Unit

ArmMeans = dict[Arm, LogMean | Undefined]


def stratum_means(unit: Unit, metric: str) -> list[ArmMeans]:
    """Average each arm of each stratum over its processes."""
    return [
        {arm: log_mean_of(metric, stratum.launches[arm]) for arm in Arm} for stratum in unit.strata
    ]


def arm_means(unit: Unit, metric: str, alone: list[ArmMeans]) -> ArmMeans:
    """Combine the strata of each arm with equal weights; `alone` is `stratum_means`."""
    return {
        arm: combined(
            metric,
            [stratum.launches[arm] for stratum in unit.strata],
            [found[arm] for found in alone],
        )
        for arm in Arm
    }
