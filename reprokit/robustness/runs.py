"""What one stack point measured in one cell, ordered by process, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from reprokit.records import STOPPED_EARLY, Arm, CompileDecision, Row, RowStatus
from reprokit.stats.sample import ArmSample, Undefined, arm_sample

# What the subject itself did wrong; the other statuses say that it was not, or badly, measured.
_FAILED = frozenset(
    {
        RowStatus.CRASH,
        RowStatus.OOM,
        RowStatus.TIMEOUT,
        RowStatus.KILLED,
        RowStatus.SILENT_FALLBACK,
        RowStatus.FALL_THROUGH,
        RowStatus.WRONG_OUTPUT,
    }
)
# One process launch says nothing about the next.
FEWEST_PROCESSES = 2


class Fate(StrEnum):
    """What became of one arm at one point; `unknown` is neither survival nor failure."""

    SURVIVES = "survives"
    PARTIAL = "partial"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Launch:
    """Rows of one planned invocation; `missing` planned rows are not there.

    Attributes:
        process: name of the process that measured it; cells and arms may share one.
    """

    process: str
    rows: tuple[Row, ...]
    missing: int = 0

    @cached_property
    def told(self) -> tuple[Row, ...]:
        """Rows but those that were not made because equal failures before them were enough."""
        return tuple(row for row in self.rows if not _stopped_early(row))

    @cached_property
    def statuses(self) -> frozenset[RowStatus]:
        """What became of its rows."""
        return frozenset(row.status for row in self.told)

    @cached_property
    def unproven(self) -> bool:
        """True where a row may have survived, and only the proof that it compiled is missing."""
        return RowStatus.SILENT_FALLBACK in self.statuses and any(map(_unproven, self.told))

    @cached_property
    def _values(self) -> dict[str, list[float]]:
        return {}

    def values(self, metric: str) -> list[float]:
        """Return the values that count."""
        if metric not in self._values:
            self._values[metric] = [
                row.values[metric]
                for row in self.rows
                if row.status is RowStatus.OK and not row.cold and metric in row.values
            ]
        return self._values[metric]


@dataclass(frozen=True)
class PointRuns:
    """Both arms of one cell at one stack point (or code version), never pooled with another cell.

    An empty baseline means that none was planned.
    """

    point: str
    subject: tuple[Launch, ...]
    baseline: tuple[Launch, ...] = ()


def point_runs(
    rows: Iterable[Row],
    *,
    cell: str,
    baseline_cell: str | None = None,
    processes: Mapping[str, str] | None = None,
    iterations: int | None = None,
) -> tuple[PointRuns, ...]:
    """Order the rows of one cell by stack point, arm and invocation, in the order of the points.

    Args:
        rows: rows of a run, in any order; those of other cells do not count.
        cell: the subject's cell.
        baseline_cell: where the baseline was measured, when cells share it.
        processes: invocation id to the process that measured it, where cells share processes.
        iterations: planned rows per invocation; fewer count as missing.
    """
    wanted = {Arm.SUBJECT: cell, Arm.BASELINE: baseline_cell or cell}
    found: dict[str, dict[Arm, dict[str, list[Row]]]] = {}
    for row in sorted(rows, key=lambda each: each.id):
        if row.cell == wanted[row.arm]:
            invocation = row.id.rpartition("__")[0]
            arms = found.setdefault(row.point, {arm: {} for arm in Arm})
            arms[row.arm].setdefault(invocation, []).append(row)
    named = processes or {}

    def launches(invocations: Mapping[str, list[Row]]) -> tuple[Launch, ...]:
        return tuple(
            Launch(named.get(name, name), tuple(mine), max(0, (iterations or 0) - len(mine)))
            for name, mine in invocations.items()
        )

    return tuple(
        PointRuns(point, launches(arms[Arm.SUBJECT]), launches(arms[Arm.BASELINE]))
        for point, arms in found.items()
        if arms[Arm.SUBJECT]
    )


def fate_of(launches: Sequence[Launch]) -> Fate:
    """Tell survival from failure; anything unmeasured or disturbed makes it unknown.

    Invocations that were not made because equal failures were enough say nothing more.
    """
    if any(launch.missing or launch.unproven for launch in launches):
        return Fate.UNKNOWN
    statuses = frozenset[RowStatus]().union(*(launch.statuses for launch in launches))
    if not statuses or statuses - _FAILED - {RowStatus.OK}:
        return Fate.UNKNOWN
    if RowStatus.OK not in statuses:
        return Fate.FAILS
    return Fate.PARTIAL if statuses & _FAILED else Fate.SURVIVES


def failures(launches: Sequence[Launch]) -> tuple[int, int]:
    """Count (failed, attempted) rows, statuses of failure only."""
    told = [row for launch in launches for row in launch.told]
    failed = sum(row.status in _FAILED for row in told)
    return failed, failed + sum(row.status is RowStatus.OK for row in told)


def process_count(launches: Sequence[Launch]) -> int:
    """Count the processes that were really started."""
    return len({launch.process for launch in launches if launch.told})


def processes_of(launches: Sequence[Launch]) -> frozenset[str]:
    """Name the processes of an arm."""
    return frozenset(launch.process for launch in launches)


def sample_of(metric: str, launches: Sequence[Launch]) -> ArmSample | Undefined:
    """Reduce an arm to one log mean time per process."""
    by_process: dict[str, list[float]] = {}
    for launch in launches:
        by_process.setdefault(launch.process, []).extend(launch.values(metric))
    return arm_sample(metric, list(by_process.values()))


def pooled_values(metric: str, launches: Sequence[Launch]) -> list[float]:
    """Return all usable iterations, as published indices pool them."""
    return [value for launch in launches for value in launch.values(metric)]


def _stopped_early(row: Row) -> bool:
    if row.status is not RowStatus.NOT_RUN:
        return False
    return (row.reason or "").partition(":")[0] == STOPPED_EARLY


def _unproven(row: Row) -> bool:
    if row.status is not RowStatus.SILENT_FALLBACK:
        return False
    seen = row.evidence.compile
    return seen is None or seen.decision not in {CompileDecision.FELL_BACK, CompileDecision.PARTLY}
