"""Steady state of a cell: change points of log latency, and labels for what they show.

PELT (Killick et al. 2012) with the L2 cost and a penalty of 15 ln n noise variances; labels as in
Barrett et al., OOPSLA 2017. A label is all that follows: nothing is trimmed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from reprokit.records import Estimate
from reprokit.stats.effect import TOO_FEW_ITERATIONS
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, ZERO_VARIANCE, FloatArray, Undefined

COMPILED_WHILE_TIMED: Final = "compiled_while_timed"
_METHOD = "PELT, L2 on log latency, penalty 15 ln n (Killick et al. 2012; Barrett et al. 2017)"

_LEAST: Final = 5
_PENALTY: Final = 15.0
# Means that differ by less than 0.5 %, or by less than two noise sd, are one level.
_SAME_LEVEL: Final = math.log(1.005)
# Noise under 0.1 % is not told apart: a step smaller than `_SAME_LEVEL` is no step.
_LEAST_NOISE: Final = 0.001
# Up to two values in a row this many noise sd from their neighbours are outliers, not a level.
_OUTLIER: Final = 5.0


class Steadiness(StrEnum):
    """What the iterations of a process, or of all processes of a cell, show over time."""

    FLAT = "flat"
    WARMUP = "warmup"
    SLOWDOWN = "slowdown"
    NO_STEADY_STATE = "no_steady_state"
    INCONSISTENT = "inconsistent"


@dataclass(frozen=True)
class Segments:
    """The levels of one process.

    Attributes:
        label: never `inconsistent`, which takes several processes.
        starts: index of the first iteration of each segment; the first is 0.
        levels: mean log latency of each segment, without outliers.
        outliers: iterations that were set aside while segmenting, and nowhere else.
        n: iterations.
    """

    label: Steadiness
    starts: tuple[int, ...]
    levels: tuple[float, ...]
    outliers: tuple[int, ...]
    n: int

    @property
    def last_share(self) -> float:
        """Share of the iterations that lie in the last segment."""
        return (self.n - self.starts[-1]) / self.n


@dataclass(frozen=True)
class CellSteadiness:
    """What all processes of a cell show together.

    Attributes:
        label: that of every process, `inconsistent` where they differ, None where any has none.
        share: smallest share of iterations in the last segment of a process; or the reason.
        steady: at least half in every last segment and nothing compiled while timing; None where
            that cannot be told.
        reason: why it is not, or not known to be, steady.
    """

    label: Steadiness | None
    share: Estimate
    steady: bool | None
    reason: str | None
    invocations: tuple[Segments | Undefined, ...]


def cell_steadiness(
    invocations: Sequence[FloatArray], *, compiled_while_timed: bool = False
) -> CellSteadiness:
    """Label a cell from the latencies of each of its processes, in time order."""
    found = tuple(segments(np.asarray(values, dtype=np.float64)) for values in invocations)
    known = [each for each in found if isinstance(each, Segments)]
    reasons = [each.reason for each in found if isinstance(each, Undefined)]
    if not known or reasons:
        reason = reasons[0] if reasons else NO_DATA
        share = unknown("last_segment_share", "proportion", _METHOD, reason)
        steady = False if compiled_while_timed else None
        refused = COMPILED_WHILE_TIMED if compiled_while_timed else reason
        return CellSteadiness(None, share, steady, refused, found)
    labels = {each.label for each in known}
    label = labels.pop() if len(labels) == 1 else Steadiness.INCONSISTENT
    unsettled = any(each.label is Steadiness.NO_STEADY_STATE for each in known)
    why = COMPILED_WHILE_TIMED if compiled_while_timed else None
    why = Steadiness.NO_STEADY_STATE.value if unsettled else why
    share = Estimate(
        name="last_segment_share",
        value=min(each.last_share for each in known),
        unit="proportion",
        method=_METHOD,
        n={"invocations": len(known), "iterations": sum(each.n for each in known)},
    )
    return CellSteadiness(label, share, why is None, why, found)


def segments(latencies: FloatArray) -> Segments | Undefined:
    """Segment the latencies of one process, in time order."""
    if latencies.size == 0:
        return Undefined(NO_DATA)
    if not bool((np.isfinite(latencies) & (latencies > 0)).all()):
        return Undefined(IMPOSSIBLE)
    if latencies.size < _LEAST:
        return Undefined(TOO_FEW_ITERATIONS)
    logs = np.log(latencies)
    if float(np.ptp(logs)) <= 1e-12:
        return Undefined(ZERO_VARIANCE)
    noise = max(_LEAST_NOISE, 1.4826 * float(np.median(np.abs(np.diff(logs)))) / math.sqrt(2.0))
    clean, outliers = _without_outliers(logs, noise)
    starts = _merged(clean, _pelt(clean / noise), max(_SAME_LEVEL, 2.0 * noise))
    levels = tuple(float(part.mean()) for part in np.split(clean, starts[1:]))
    size = int(latencies.size)
    return Segments(_label(starts, levels, size), tuple(starts), levels, outliers, size)


def _label(starts: list[int], levels: tuple[float, ...], size: int) -> Steadiness:
    if len(starts) == 1:
        return Steadiness.FLAT
    if 2 * (size - starts[-1]) < size:
        return Steadiness.NO_STEADY_STATE
    return Steadiness.WARMUP if levels[-1] <= min(levels) else Steadiness.SLOWDOWN


def _without_outliers(logs: FloatArray, noise: float) -> tuple[FloatArray, tuple[int, ...]]:
    """Replace short excursions by their local median; at an end they may be a level, and stay."""
    size = logs.size
    begins = np.clip(np.arange(size) - 2, 0, size - 5)
    medians = np.median(logs[begins[:, None] + np.arange(5)], axis=1)
    flagged = np.abs(logs - medians) > max(_SAME_LEVEL, _OUTLIER * noise)
    if flagged.all():
        return logs, ()
    inner = np.flatnonzero(~flagged)
    flagged[: inner[0]] = flagged[inner[-1] + 1 :] = False
    return np.where(flagged, medians, logs), tuple(int(each) for each in np.flatnonzero(flagged))


def _pelt(values: FloatArray) -> list[int]:
    """Starts of the segments with the least L2 cost plus penalty; `values` in noise sd."""
    size = values.size
    penalty = _PENALTY * math.log(size)
    centred = values - values.mean()
    if float((centred**2).sum()) <= penalty:
        return [0]  # no number of changes can save what one of them costs
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    squares = np.concatenate(([0.0], np.cumsum(centred**2)))
    best = np.full(size + 1, -penalty)
    previous = np.zeros(size + 1, dtype=np.intp)
    starts = np.array([0], dtype=np.intp)
    for end in range(1, size + 1):
        cost = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / (end - starts)
        totals = best[starts] + cost
        choice = int(np.argmin(totals))
        best[end] = totals[choice] + penalty
        previous[end] = starts[choice]
        starts = np.append(starts[totals <= best[end]], end)
    found, end = [], size
    while end > 0:
        end = int(previous[end])
        found.append(end)
    return found[::-1]


def _merged(values: FloatArray, starts: list[int], same: float) -> list[int]:
    """Join neighbours whose means are one level, the most alike first."""
    starts = list(starts)
    while len(starts) > 1:
        means = np.array([float(part.mean()) for part in np.split(values, starts[1:])])
        steps = np.abs(np.diff(means))
        nearest = int(np.argmin(steps))
        if steps[nearest] > same:
            break
        del starts[nearest + 1]
    return starts
