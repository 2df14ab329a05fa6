"""The arms of a run, each once: cells may share a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reprokit.records import Arm
from reprokit.verdict.processes import by_process, values_of
from reprokit.verdict.units import MeasuredInvocation, Unit

DEFAULT_METRIC = "latency_ms"
DEFAULT_MARGIN = 1.03


@dataclass(frozen=True)
class MeasuredArm:
    """One arm in one cell at one point."""

    point: str
    cell: str
    arm: Arm
    launches: tuple[MeasuredInvocation, ...]

    def by_process(self, metric: str, dropped: int = 0) -> list[list[float]]:
        """Usable values of every process, in time order, without the first `dropped` of each."""
        return process_values(metric, self.launches, dropped)


def measured_arms(units: Sequence[Unit]) -> Iterator[MeasuredArm]:
    """Yield every arm that was planned, in the order of the units."""
    seen = set()
    for unit in units:
        for stratum in unit.strata:
            for arm in Arm:
                launches = stratum.launches[arm]
                key = (unit.point.id, launches[0].planned.cell if launches else "", arm)
                if launches and key not in seen:
                    seen.add(key)
                    yield MeasuredArm(*key, launches)


def process_values(
    metric: str, launches: Sequence[MeasuredInvocation], dropped: int = 0
) -> list[list[float]]:
    """Return the usable values of every process, without the first iterations of each cell."""
    kept = [
        [value for launch in mine for value in _after(metric, launch, dropped)]
        for mine in by_process(launches)
    ]
    return [values for values in kept if values]


def _after(metric: str, launch: MeasuredInvocation, dropped: int) -> list[float]:
    if not dropped:
        return values_of(metric, launch)
    return [
        row.values[metric] for row in launch.ok if metric in row.values and row.iteration >= dropped
    ]
