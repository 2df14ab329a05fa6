"""Units of decision: a plan's rows put in order by stack point, stratum, arm and invocation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from reprokit.claim.model import Claim, ExpectFlip, ExpectInvariance
from reprokit.errors import DamagedRunError
from reprokit.plan import Cell, Plan, PlannedInvocation
from reprokit.records import STOPPED_EARLY, Arm, Row, RowStatus, Scalar
from reprokit.stack import COMPILE_MODE_AXIS, StackPoint
from reprokit.verdict.wording import count

# No number may mix prefill and decode, so phases are always decided apart.
_NEVER_COMBINED = ("phase",)


@dataclass(frozen=True)
class MeasuredInvocation:
    """One planned invocation with the rows it has, in time order; `missing` rows it lacks."""

    planned: PlannedInvocation
    rows: tuple[Row, ...]
    missing: int

    @cached_property
    def ok(self) -> tuple[Row, ...]:
        """Rows that may be used: ok and not cold."""
        return tuple(row for row in self.rows if row.status is RowStatus.OK and not row.cold)

    @cached_property
    def _values(self) -> dict[str, list[float]]:
        return {}

    def values(self, metric: str) -> list[float]:
        """Return the usable values, in time order; not to be changed."""
        if metric not in self._values:
            self._values[metric] = [row.values[metric] for row in self.ok if metric in row.values]
        return self._values[metric]

    @property
    def stopped_early(self) -> bool:
        """True when it was not made because equal failures before it were enough."""
        return not self.missing and bool(self.rows) and all(map(is_stopped_early, self.rows))

    @cached_property
    def complete(self) -> bool:
        """True when every planned iteration is there and ok."""
        return not self.missing and all(row.status is RowStatus.OK for row in self.rows)


@dataclass(frozen=True)
class Stratum:
    """One cell of a stack point: never pooled with another."""

    cell: Cell
    launches: Mapping[Arm, tuple[MeasuredInvocation, ...]]


@dataclass(frozen=True)
class Unit:
    """What one point verdict is about: a stack point, and one setting of the split cell axes."""

    point: StackPoint
    axes: dict[str, Scalar]
    strata: tuple[Stratum, ...]

    def launches(self, arm: Arm) -> tuple[MeasuredInvocation, ...]:
        """All launches of an arm, stratum after stratum."""
        return tuple(launch for stratum in self.strata for launch in stratum.launches[arm])

    @property
    def pooled(self) -> tuple[str, ...]:
        """Cell axes that vary between its strata."""
        names = dict.fromkeys(name for each in self.strata for name in each.cell.axes)
        return tuple(
            name for name in names if len({each.cell.axes.get(name) for each in self.strata}) > 1
        )

    def rows(self, *arms: Arm) -> Iterator[Row]:
        """All rows of the arms named, of both without a name."""
        for arm in arms or tuple(Arm):
            yield from self._rows[arm]

    @cached_property
    def _rows(self) -> dict[Arm, tuple[Row, ...]]:
        return {
            arm: tuple(row for launch in self.launches(arm) for row in launch.rows) for arm in Arm
        }


def is_stopped_early(row: Row) -> bool:
    """Tell a row that was not made on purpose from one that is missing."""
    if row.status is not RowStatus.NOT_RUN:
        return False
    return (row.reason or "").partition(":")[0] == STOPPED_EARLY


def make_units(claim: Claim, plan: Plan, rows: Sequence[Row]) -> tuple[Unit, ...]:
    """Order rows by the plan; the order they come in does not matter.

    Raises:
        DamagedRunError: a row is not in the plan, is there twice, or contradicts its own id.
    """
    launches = _launches(plan, rows)
    split = _split_axes(claim, plan)
    units: dict[tuple[str, tuple[tuple[str, Scalar], ...]], list[Stratum]] = {}
    for point in plan.points:
        for cell in plan.cells:
            measured_in = {Arm.BASELINE: plan.baseline_cell(cell.id), Arm.SUBJECT: cell.id}
            arms = {arm: launches.get((point.id, measured_in[arm], arm), ()) for arm in Arm}
            if not arms[Arm.SUBJECT] and (cell.id in plan.baselines or not arms[Arm.BASELINE]):
                continue
            axes = tuple(_axes(claim, plan, point, cell, split).items())
            units.setdefault((point.id, axes), []).append(Stratum(cell, arms))
    return tuple(
        Unit(plan.point(point_id), dict(axes), tuple(strata))
        for (point_id, axes), strata in units.items()
    )


def arms_of(plan: Plan, cells: Iterable[Cell]) -> dict[Arm, str]:
    """Name the arms in some cells: an axis of compile modes says what the subject is there."""
    named = {cell.axes.get(COMPILE_MODE_AXIS) for cell in cells}
    if not named or None in named:
        return plan.setup.arms
    subject = str(named.pop()) if len(named) == 1 else "compiled"
    return {**plan.setup.arms, Arm.SUBJECT: subject}


def decided_axes(claim: Claim, plan: Plan) -> dict[str, tuple[Scalar, ...]]:
    """Axes along which units differ: the swept ones, and cell axes that are decided apart."""
    axes = dict(plan.axes)
    for name in _split_axes(claim, plan):
        if name not in axes:
            values = dict.fromkeys(cell.axes[name] for cell in plan.cells if name in cell.axes)
            axes[name] = tuple(values)
    return axes


def stack_axes(plan: Plan) -> frozenset[str]:
    """Axes along which the stack itself varies."""
    return frozenset(name for point in plan.points for name in point.axes)


def _split_axes(claim: Claim, plan: Plan) -> tuple[str, ...]:
    """Cell axes whose values are decided apart; all other cell axes are strata of one decision."""
    wanted = [*plan.axes, *_NEVER_COMBINED]
    if isinstance(claim.expect, ExpectInvariance | ExpectFlip):
        wanted.append(claim.expect.axis)
    values = {
        name: {cell.axes[name] for cell in plan.cells if name in cell.axes}
        for name in dict.fromkeys(wanted)
    }
    return tuple(
        name for name, seen in values.items() if len(seen) > 1 or (seen and name in plan.axes)
    )


def _axes(
    claim: Claim, plan: Plan, point: StackPoint, cell: Cell, split: tuple[str, ...]
) -> dict[str, Scalar]:
    """Label of the unit on every decided axis, in the order of the sweep."""
    found = {name: label for name, label in point.axes.items() if name in plan.axes}
    for name in split:
        if name in cell.axes:
            found[name] = _label(claim, plan, name, cell.axes[name])
    order = [*plan.axes, *split]
    return {name: found[name] for name in dict.fromkeys(order) if name in found}


def _label(claim: Claim, plan: Plan, axis: str, value: Scalar) -> Scalar:
    """Name a cell axis's value as the sweep names it."""
    labels = plan.axes.get(axis, (value,))
    if value in labels:
        return value
    named = claim.sweep.get(axis, {})
    return next((label for label, known in named.items() if known == value), value)


def _launches(
    plan: Plan, rows: Sequence[Row]
) -> dict[tuple[str, str, Arm], tuple[MeasuredInvocation, ...]]:
    by_id = _by_id(rows)
    found: dict[tuple[str, str, Arm], list[MeasuredInvocation]] = {}
    for planned in sorted(plan.invocations, key=lambda each: each.index):
        ids = planned.row_ids(plan.setup.samples)
        mine = []
        for iteration, row_id in enumerate(ids):
            row = by_id.pop(row_id, None)
            if row is not None:
                _check(row, planned, iteration)
                mine.append(row)
        launch = MeasuredInvocation(planned, tuple(mine), len(ids) - len(mine))
        found.setdefault((planned.point, planned.cell, planned.arm), []).append(launch)
    if by_id:
        raise DamagedRunError(
            f"{count(len(by_id), 'row')} not in the plan, the first is {min(by_id)!r}",
            hint="rows.jsonl belongs to another run, or was edited. Score the run again from its "
            "invocations.",
        )
    return {key: tuple(launches) for key, launches in found.items()}


def _by_id(rows: Sequence[Row]) -> dict[str, Row]:
    by_id: dict[str, Row] = {}
    for row in rows:
        if row.id in by_id:
            raise DamagedRunError(
                f"the row {row.id!r} is there twice",
                hint="rows.jsonl was edited. Score the run again from its invocations.",
            )
        by_id[row.id] = row
    return by_id


def _check(row: Row, planned: PlannedInvocation, iteration: int) -> None:
    said = (row.point, row.cell, row.arm, row.invocation, row.iteration)
    meant = (planned.point, planned.cell, planned.arm, planned.index, iteration)
    if said != meant:
        raise DamagedRunError(
            f"the row {row.id!r} says that it is {said}, and the plan says {meant}",
            hint="rows.jsonl was edited. Score the run again from its invocations.",
        )
