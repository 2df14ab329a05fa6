"""The plan: which points, cells and invocations a sweep means. Pure; nothing is run here."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field

from reprokit.adapter import Setup
from reprokit.records import Arm, Record, Scalar
from reprokit.stack import StackPoint

Design = Literal["full", "one-at-a-time"]


class Cell(Record):
    """One assignment of the cell axes; `id` is "all" where no cell axis is set."""

    id: str
    axes: dict[str, Scalar]


class Excluded(Record):
    """A combination that the sweep contains and the plan leaves out."""

    axes: dict[str, Scalar]
    reason: str


class PlannedInvocation(Record):
    """One measurement of a cell by a process; `id` is `<point>__<cell>__<arm>__<index>`.

    Attributes:
        index: of the repetition, from 0, among those of the same point, cell and arm; at least two
            digits in the id.
        launch: id of the process that measures several cells one after the other; None for a
            process of its own. Invocations of one launch follow each other in the plan.
    """

    id: str
    point: str
    cell: str
    arm: Arm
    index: int
    launch: str | None = None

    def row_ids(self, samples: int) -> tuple[str, ...]:
        """Ids of the rows that this invocation must end as."""
        return tuple([self.id + ending for ending in _endings(samples)])


@lru_cache(maxsize=32)
def _endings(samples: int) -> tuple[str, ...]:
    """What the ids of an invocation's rows end with; a plan asks for it very often."""
    return tuple(f"__{iteration:03d}" for iteration in range(samples))


class Plan(Record):
    """Everything decided before anything is run; written whole into `run.json`.

    Attributes:
        axes: every swept axis with its labels, in the order of the sweep.
        base: the claim's own label on every swept axis where the claim sets one of its values.
        invocations: in the order of execution, interleaved from `seed`.
        same_failure_stops: after so many equal failures of one arm in one cell its further
            invocations are not made; 0 for never.
        baselines: cell to the cell whose baseline is its own too, for they differ only in axes that
            are the subject's; cells that are not in it have one of their own.
        host: existing interpreter that is measured on; None for locked environments.
        phase_probe: split prefill from decode in further launches, of which no row is drawn.
        altered: `--set` and other departures from the claim file, as "path=value".
    """

    claim_id: str
    claim_digest: str
    design: Design
    seed: int
    axes: dict[str, tuple[Scalar, ...]]
    base: dict[str, Scalar]
    points: tuple[StackPoint, ...]
    cells: tuple[Cell, ...]
    setup: Setup
    timeout_s: float
    invocations: tuple[PlannedInvocation, ...]
    same_failure_stops: int = 0
    baselines: dict[str, str] = Field(default_factory=dict)
    host: str | None = None
    phase_probe: bool = False
    excluded: tuple[Excluded, ...] = ()
    altered: tuple[str, ...] = ()
    notes: tuple[str, ...] = Field(default_factory=tuple)

    def row_ids(self) -> tuple[str, ...]:
        """Ids of all rows that the run must end with."""
        return tuple(
            row for planned in self.invocations for row in planned.row_ids(self.setup.samples)
        )

    def baseline_cell(self, cell_id: str) -> str:
        """Return the cell in which the baseline of a cell is measured."""
        return self.baselines.get(cell_id, cell_id)

    def point(self, point_id: str) -> StackPoint:
        """Find a stack point by id."""
        return next(point for point in self.points if point.id == point_id)

    def cell(self, cell_id: str) -> Cell:
        """Find a cell by id."""
        return next(cell for cell in self.cells if cell.id == cell_id)
