"""What a verdict keeps of robustness: both indices of every cell, and what drove them."""

from __future__ import annotations

from typing import Literal

from reprokit.records import Estimate, Record, Scalar
from reprokit.robustness.records import Bands, RobustnessClass

AxisKind = Literal["stack", "code", "all"]
DrivenBy = Literal["latency", "survival", "speedup_sign"]


class PublishedIndex(Record):
    """`cri_d` of one cell, as published: band, its reason where invalid, index and eager drift."""

    robustness: RobustnessClass
    reason: str | None
    index: Estimate
    drift: Estimate


class CellIndices(Record):
    """Both indices of one cell over points that differ in one axis alone (or over all points).

    All pairs can be computed from the rows again; kept is what decided.

    Attributes:
        held: setting of the other stack axes.
        points: stack points that were compared, in the order of the plan.
        robustness: class by `cri`; `at_most` is the most that its interval allows.
        index: `cri`, the largest pairwise ratio of latencies.
        driven_by: what the class rests on: `latency` names the pair of points with the largest
            ratio, `survival` one that survives and one that does not, `speedup_sign` one where the
            subject is faster and one where it is slower; None where nothing was shown.
        between: those two points.
        fates: of the points at which the subject did not plainly survive.
        guard: whether the baseline stays the same over the points.
    """

    cell: str
    held: dict[str, Scalar]
    points: tuple[str, ...]
    robustness: RobustnessClass
    reason: str | None
    at_most: RobustnessClass | None
    index: Estimate
    driven_by: DrivenBy | None
    between: tuple[str, str] | None
    fates: dict[str, str]
    guard: str
    cri_d: PublishedIndex


class AxisRobustness(Record):
    """Robustness along one axis with the others held, or over all stack points of one code.

    Attributes:
        axis: None for all stack points together, the code's axis held.
        kind: `code` for the axis of commits, `stack` for the others.
        robustness: the worst class that is shown of any cell at the level of all cells together
            (Bonferroni); robust only where every cell is.
        reason: why there is nothing to compare; None where there is.
    """

    axis: str | None
    kind: AxisKind
    robustness: RobustnessClass
    reason: str | None = None
    cells: tuple[CellIndices, ...] = ()


class Robustness(Record):
    """Robustness of one run; it decides nothing.

    Attributes:
        metric: of the indices.
        level: of the simultaneous interval of each set of points.
        reason: why there are no indices at all; None where there are.
        caveats: codes of what a reader must know: `several_gpus`.
    """

    metric: str
    bands: Bands
    level: float
    reason: str | None = None
    axes: tuple[AxisRobustness, ...] = ()
    caveats: tuple[str, ...] = ()
