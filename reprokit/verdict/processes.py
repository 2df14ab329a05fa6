"""Processes of a unit: the unit of replication, also where one process measures several cells.

Invocation 3 of every cell lies in process 3 then (docs/decisions/0008), and so does the baseline
that several cells share. What the process does to one of its cells it does to all, so cells are
averaged inside every process first, and only processes count as replications.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice

from reprokit.stats.logmean import LogMean, average, log_mean
from reprokit.stats.sample import ArmSample, Undefined, arm_sample
from reprokit.verdict.units import MeasuredInvocation


def process_of(launch: MeasuredInvocation) -> str:
    """Name the process that measured an invocation."""
    return launch.planned.launch or launch.planned.id


def by_process(launches: Iterable[MeasuredInvocation]) -> list[list[MeasuredInvocation]]:
    """Put the invocations of each process together."""
    found: dict[str, list[MeasuredInvocation]] = {}
    for launch in launches:
        found.setdefault(process_of(launch), []).append(launch)
    return list(found.values())


def values_of(metric: str, launch: MeasuredInvocation) -> list[float]:
    """Return the usable values of one invocation; not to be changed."""
    return launch.values(metric)


def log_mean_of(metric: str, launches: Sequence[MeasuredInvocation]) -> LogMean | Undefined:
    """Average one arm in one cell over its processes."""
    return log_mean(arm_sample(metric, [values_of(metric, launch) for launch in launches]))


def combined(
    metric: str,
    strata: Sequence[Sequence[MeasuredInvocation]],
    alone: Sequence[LogMean | Undefined],
) -> LogMean | Undefined:
    """Average one arm over several cells with equal weights; `alone` is `log_mean_of` each cell.

    Cells measured by the same processes are averaged process by process, over the processes that
    have a usable value for each of them; those averages are the sample. Cells of other processes
    are independent of them, and variances add.
    """
    missing = next((each for each in alone if isinstance(each, Undefined)), None)
    if missing is not None:
        return missing
    groups = _groups(strata)
    means = [
        alone[places[0]]
        if len(places) == 1
        else log_mean(_per_process(metric, [strata[place] for place in places]))
        for places in groups.values()
    ]
    return average(means, weights=[len(places) for places in groups.values()])


def deviations_of(
    metric: str, strata: Sequence[Sequence[MeasuredInvocation]]
) -> list[dict[str, float]] | None:
    """Return what each process adds to the error of `combined`, one dict per independent sample.

    The squares of a sample add up to the variance that it contributes. None where `combined` has
    no estimate.
    """
    found: list[dict[str, float]] = []
    for names, places in _groups(strata).items():
        sample = _by_name(metric, names, [strata[place] for place in places])
        k = len(sample)
        if k < 2:
            return None
        mean = math.fsum(sample.values()) / k
        weight = len(places) / len(strata) / math.sqrt(k * (k - 1))
        found.append({name: weight * (value - mean) for name, value in sample.items()})
    return found


def _groups(strata: Sequence[Sequence[MeasuredInvocation]]) -> dict[tuple[str, ...], list[int]]:
    """Put the cells together that the same processes measured."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, launches in enumerate(strata):
        groups.setdefault(tuple(map(process_of, launches)), []).append(place)
    return groups


def _by_name(
    metric: str, names: Sequence[str], strata: Sequence[Sequence[MeasuredInvocation]]
) -> dict[str, float]:
    """Return each process's log mean over some cells; empty where a value is impossible."""
    measured = {
        name: values
        for name, launches in zip(names, zip(*strata, strict=True), strict=True)
        if all(values := [values_of(metric, launch) for launch in launches])
    }
    every = arm_sample(metric, [each for values in measured.values() for each in values])
    if isinstance(every, Undefined):
        return {}
    means = iter(every.means)
    return {
        name: math.fsum(islice(means, len(values))) / len(values)
        for name, values in measured.items()
    }


def _per_process(
    metric: str, strata: Sequence[Sequence[MeasuredInvocation]]
) -> ArmSample | Undefined:
    """Average the log means of some cells inside every process."""
    means: list[float] = []
    iterations = 0
    for launches in zip(*strata, strict=True):
        measured = [values_of(metric, launch) for launch in launches]
        if not all(measured):
            continue
        cells = arm_sample(metric, measured)
        if isinstance(cells, Undefined):
            return cells
        means.append(math.fsum(cells.means) / cells.k)
        iterations += cells.iterations
    return ArmSample(tuple(means), iterations)
