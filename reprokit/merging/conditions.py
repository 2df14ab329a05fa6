"""Conditions of a run: one arm of one cell at one stack point, named alike in every run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reprokit.kept.records import KeptRun
from reprokit.plan import Cell
from reprokit.records import Arm, Row, Scalar
from reprokit.robustness.runs import Launch, PointRuns, point_runs
from reprokit.stack import COMPILE_MODE_AXIS

Setting = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Key:
    """What makes conditions of several runs the same one; ids need not be equal for that."""

    point: Setting
    cell: Setting
    arm: Arm


def name_of(key: Key) -> str:
    """Write a condition in one line."""
    told = ", ".join(f"{name} {value}" for name, value in (*key.point, *key.cell))
    return f"{told}, {key.arm}" if told else str(key.arm)


def measured_conditions(run: KeptRun) -> dict[Key, PointRuns]:
    """Return what was measured of every planned condition; processes carry the run's name.

    A baseline that cells share is one condition, in the cell that it was measured in. Of a subject
    the baseline is beside it; a baseline stands for itself, in the place of the subject.
    """
    by_cell: dict[str, list[Row]] = {}
    for row in run.rows:
        by_cell.setdefault(row.cell, []).append(row)
    processes = {each.id: each.launch for each in run.plan.invocations if each.launch is not None}
    points = {point.id: _setting(point.axes) for point in run.plan.points}
    found: dict[Key, PointRuns] = {}
    for cell in run.plan.cells:
        owner = run.plan.baseline_cell(cell.id)
        rows = by_cell.get(cell.id, []) + (by_cell.get(owner, []) if owner != cell.id else [])
        measured = point_runs(
            rows,
            cell=cell.id,
            baseline_cell=owner,
            processes=processes,
            iterations=run.plan.setup.samples,
        )
        for each in measured:
            named = _named(run.name, each)
            found[Key(points[each.point], _setting(cell.axes), Arm.SUBJECT)] = named
            if owner == cell.id and named.baseline:
                alone = PointRuns(each.point, named.baseline)
                found[Key(points[each.point], _baseline_setting(cell), Arm.BASELINE)] = alone
    return found


def put_together(runs: Mapping[str, PointRuns | None]) -> PointRuns | None:
    """Put the repeats of one regime together; None where none of them has the condition."""
    known = [each for each in runs.values() if each is not None]
    if not known:
        return None
    return PointRuns(
        known[0].point,
        tuple(launch for each in known for launch in each.subject),
        tuple(launch for each in known for launch in each.baseline),
    )


def _named(run: str, runs: PointRuns) -> PointRuns:
    return PointRuns(runs.point, _all_named(run, runs.subject), _all_named(run, runs.baseline))


def _all_named(run: str, launches: Iterable[Launch]) -> tuple[Launch, ...]:
    return tuple(replace(each, process=f"{run}/{each.process}") for each in launches)


def _baseline_setting(cell: Cell) -> Setting:
    """What a compile mode says is about the subject; the baseline is the same without it."""
    return _setting({name: at for name, at in cell.axes.items() if name != COMPILE_MODE_AXIS})


def _setting(axes: Mapping[str, Scalar]) -> Setting:
    return tuple(sorted(axes.items()))
