"""`cri`: how far compiled latency moves over stack points, or over versions of the code.

The largest pairwise |log ratio| of invocation means with a simultaneous interval. It is a ratio, so
quiet machines do not inflate it; its unit of replication is the process; and whoever crashes or
falls back at one point and survives at another is catastrophic, whatever the times of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from reprokit.records import Arm
from reprokit.robustness.guard import eager_guard
from reprokit.robustness.pairs import Pair, all_pairs, largest, no_ratio
from reprokit.robustness.records import (
    EAGER_OPEN,
    NO_SURVIVORS,
    PARTIAL,
    POINTS_MISSING,
    SHARED,
    SIGN_CHANGES,
    STRADDLES,
    SURVIVAL_DIFFERS,
    Bands,
    Cri,
    Guard,
    RobustnessClass,
    too_few_points,
)
from reprokit.robustness.runs import (
    FEWEST_PROCESSES,
    Fate,
    PointRuns,
    fate_of,
    process_count,
    processes_of,
    sample_of,
)
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.ratio import contrast
from reprokit.stats.sample import TOO_FEW, Undefined

Decision = tuple[RobustnessClass, str | None]


@dataclass(frozen=True)
class _Seen:
    """All that the decision needs; `pairs` is the reason where there is no interval."""

    points: Sequence[PointRuns]
    fates: Mapping[str, Fate]
    guard: Guard
    pairs: tuple[Pair, ...] | str
    sign_changes: bool
    bands: Bands

    def at(self, *fates: Fate) -> list[PointRuns]:
        """Points with one of these fates."""
        return [point for point in self.points if self.fates[point.point] in fates]


def cri(
    metric: str, points: Sequence[PointRuns], *, bands: Bands | None = None, level: float = 0.95
) -> Cri:
    """Compute the index of one cell over points that differ in the stack or the code alone.

    Args:
        metric: of the rows; throughput enters as time per work.
        points: the cell at each point, other things equal.
        bands: classes by ratio; the first is the margin, also of the eager guard.
        level: of the simultaneous interval.

    Raises:
        ValueError: two points have the same name.
    """
    used = bands or Bands()
    fates = {point.point: fate_of(point.subject) for point in points}
    if len(fates) < len(points):
        msg = "points must have different names"
        raise ValueError(msg)
    measured = [point for point in points if fates[point.point] is not Fate.UNKNOWN]
    speedups = _speedups(metric, measured, fates)
    adjusted = 1.0 - (1.0 - level) / max(1, len(speedups))
    pairs = _pairs(metric, measured, fates, level)
    seen = _Seen(
        points,
        fates,
        eager_guard(metric, measured, margin=used.robust, level=level),
        pairs,
        _sign_changes(speedups, adjusted),
        used,
    )
    robustness, reason = _decide(seen)
    return Cri(
        robustness=robustness,
        reason=reason,
        index=no_ratio("cri", pairs) if isinstance(pairs, str) else largest("cri", pairs, level),
        at_most=None if isinstance(pairs, str) else used.of(max(each.most for each in pairs)),
        pairs=() if isinstance(pairs, str) else tuple(each.record(level) for each in pairs),
        guard=seen.guard,
        speedups={point: contrast(log, adjusted) for point, log in speedups.items()},
        fates={point: str(fate) for point, fate in fates.items()},
        bands=used,
    )


def _decide(seen: _Seen) -> Decision:
    """Survival first: no ratio may hide a crash, and no drift of the baseline explains one."""
    measured = len(seen.points) - len(seen.at(Fate.UNKNOWN))
    if measured < 2:
        return RobustnessClass.INVALID, too_few_points(measured)
    if not seen.at(Fate.SURVIVES, Fate.PARTIAL):
        return RobustnessClass.INVALID, NO_SURVIVORS
    if (differs := _survival_differs(seen)) is not None:
        return differs
    if seen.guard.status in {"fails", "drift"}:
        return RobustnessClass.INVALID, seen.guard.reason
    if isinstance(seen.pairs, str) or seen.guard.status == "open" or seen.at(Fate.FAILS):
        return RobustnessClass.UNRESOLVED, _why_open(seen)
    return _by_latency(seen, seen.pairs)


def _survival_differs(seen: _Seen) -> Decision | None:
    """Show that the subject survives at one point and fails at another, the baseline nowhere."""
    sides = (seen.at(Fate.SURVIVES), seen.at(Fate.FAILS))
    if all(any(_counts(point) for point in side) for side in sides):
        return RobustnessClass.CATASTROPHIC, SURVIVAL_DIFFERS
    return None


def _counts(point: PointRuns) -> bool:
    """Tell whether a point's survival is more than one launch's, and the subject's own."""
    own = not point.baseline or fate_of(point.baseline) is Fate.SURVIVES
    return own and process_count(point.subject) >= FEWEST_PROCESSES


def _why_open(seen: _Seen) -> str:
    """Say why neither survival nor latency decides."""
    if not seen.at(Fate.FAILS):
        return seen.pairs if isinstance(seen.pairs, str) else EAGER_OPEN
    if not seen.at(Fate.SURVIVES):
        return PARTIAL
    few = any(
        process_count(point.subject) < FEWEST_PROCESSES
        for point in seen.at(Fate.SURVIVES, Fate.FAILS)
    )
    return TOO_FEW if few else EAGER_OPEN


def _by_latency(seen: _Seen, pairs: Sequence[Pair]) -> Decision:
    unresolved = RobustnessClass.UNRESOLVED
    least = seen.bands.of(max(pair.least for pair in pairs))
    if least is not RobustnessClass.ROBUST:
        if seen.sign_changes and least is RobustnessClass.SENSITIVE:
            return RobustnessClass.FRAGILE, SIGN_CHANGES
        return least, None
    if seen.at(Fate.PARTIAL):
        return unresolved, PARTIAL
    if seen.at(Fate.UNKNOWN):
        return unresolved, POINTS_MISSING
    if seen.bands.of(max(pair.most for pair in pairs)) is RobustnessClass.ROBUST:
        return RobustnessClass.ROBUST, None
    return unresolved, STRADDLES


def _pairs(
    metric: str, points: Sequence[PointRuns], fates: Mapping[str, Fate], level: float
) -> tuple[Pair, ...] | str:
    """Compare the points with survivors, or say why that cannot be done."""
    timed = [point for point in points if fates[point.point] is not Fate.FAILS]
    if len(timed) < 2:
        return too_few_points(len(timed))
    if _share_processes(timed):
        return SHARED
    means: dict[str, LogMean] = {}
    for point in timed:
        mean = log_mean(sample_of(metric, point.subject))
        if isinstance(mean, Undefined):
            return mean.reason
        means[point.point] = mean
    return all_pairs(means, level)


def _share_processes(points: Sequence[PointRuns]) -> bool:
    """Tell whether one process measured two points: they are not independent then."""
    for arm in Arm:
        used = [
            processes_of(point.subject if arm is Arm.SUBJECT else point.baseline)
            for point in points
        ]
        if any(one & other for one, other in combinations(used, 2)):
            return True
    return False


def _speedups(
    metric: str, points: Sequence[PointRuns], fates: Mapping[str, Fate]
) -> dict[str, LogMean]:
    """Log of subject over baseline time where both survive and are measured apart."""
    found: dict[str, LogMean] = {}
    for point in points:
        alive = fates[point.point] is not Fate.FAILS and fate_of(point.baseline) is Fate.SURVIVES
        if not alive or processes_of(point.subject) & processes_of(point.baseline):
            continue
        log = difference(
            log_mean(sample_of(metric, point.subject)), log_mean(sample_of(metric, point.baseline))
        )
        if isinstance(log, LogMean):
            found[point.point] = log
    return found


def _sign_changes(speedups: Mapping[str, LogMean], level: float) -> bool:
    """Tell whether the subject is shown to be faster at one point and slower at another."""
    intervals = [log.interval(level) for log in speedups.values()]
    faster = any(high < 0.0 for _, high in intervals)
    return faster and any(low > 0.0 for low, _ in intervals)


def worst(classes: Sequence[RobustnessClass]) -> RobustnessClass:
    """Combine the classes of several cells: the worst that was shown; robust only if all are."""
    order = (
        RobustnessClass.CATASTROPHIC,
        RobustnessClass.FRAGILE,
        RobustnessClass.SENSITIVE,
        RobustnessClass.UNRESOLVED,
        RobustnessClass.INVALID,
        RobustnessClass.ROBUST,
    )
    return next((each for each in order if each in classes), RobustnessClass.INVALID)
