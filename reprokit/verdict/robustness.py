"""Robustness of a scored run: both indices per cell, over stack points and along each stack axis.

Only axes of the stack are perturbations, the code's (`sha`) among them. Cell axes (phase, cache,
compile mode, token length, ...) say what is measured: they are held, and their values are never
compared here (docs/decisions/0013). What comes out decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from reprokit.claim.model import Claim
from reprokit.metrics import METRICS
from reprokit.plan import Plan
from reprokit.records import Arm, Row, RowStatus, Scalar
from reprokit.robustness.cells import robustness_of
from reprokit.robustness.index import cri, worst
from reprokit.robustness.records import (
    SIGN_CHANGES,
    SURVIVAL_DIFFERS,
    Bands,
    CellRobustness,
    RobustnessClass,
    too_few_points,
)
from reprokit.robustness.runs import Fate, Launch, PointRuns
from reprokit.stack import SHA_AXIS
from reprokit.verdict.figures import conclusion_of, metric_of
from reprokit.verdict.processes import process_of
from reprokit.verdict.records import EffectiveMargin
from reprokit.verdict.robustness_records import (
    AxisKind,
    AxisRobustness,
    CellIndices,
    DrivenBy,
    PublishedIndex,
    Robustness,
)
from reprokit.verdict.units import MeasuredInvocation, Unit

MIXED_DEVICES = "mixed_devices"
"""Reason: the points were measured on different hardware, and no axis of the stack says so."""
SEVERAL_GPUS = "several_gpus"

Cells = Mapping[str, Sequence[PointRuns]]


@dataclass(frozen=True)
class _Asked:
    """What the indices are computed with."""

    metric: str
    bands: Bands
    level: float
    positions: Mapping[str, Mapping[str, Scalar]]
    hardware: Mapping[str, Set[str]]


def robustness_of_run(
    claim: Claim, plan: Plan, units: Sequence[Unit], margin: EffectiveMargin | None
) -> Robustness:
    """Compute both indices from the rows of one run.

    Args:
        claim: its level is that of the intervals.
        plan: says which axes are the stack's.
        units: the rows in order.
        margin: the effective margin, that of the classes; None takes the default bands.
    """
    metric = metric_of(conclusion_of(claim)) or _first_metric(units)
    bands = Bands.with_margin(margin.value) if margin and margin.value > 1.0 else Bands()
    level = claim.protocol.level
    axes = perturbed_axes(plan)
    if not axes:
        reason = too_few_points(len(plan.points))
        return Robustness(metric=metric, bands=bands, level=level, reason=reason)
    hardware, gpus = _hardware(units)
    positions = {point.id: point.axes for point in plan.points}
    asked = _Asked(metric, bands, level, positions, hardware)
    cells = _cells(units, metric)
    every = [None] if len(set(axes) - {SHA_AXIS}) > 1 else []
    return Robustness(
        metric=metric,
        bands=bands,
        level=level,
        axes=tuple(_axis(asked, axis, cells) for axis in (*every, *axes)),
        caveats=(SEVERAL_GPUS,) if len(gpus) > 1 else (),
    )


def perturbed_axes(plan: Plan) -> tuple[str, ...]:
    """Axes of the stack, the code's among them, on which the plan has several labels."""
    labels: dict[str, set[Scalar]] = {}
    for point in plan.points:
        for name, label in point.axes.items():
            labels.setdefault(name, set()).add(label)
    ordered = dict.fromkeys([*plan.axes, *labels])
    return tuple(name for name in ordered if len(labels.get(name, ())) > 1)


def _axis(asked: _Asked, axis: str | None, cells: Cells) -> AxisRobustness:
    kind: AxisKind = "all" if axis is None else "code" if axis == SHA_AXIS else "stack"
    sets = _over_all(asked, cells) if axis is None else _along(asked, axis, cells)
    # A setting with a single planned point (one-at-a-time designs, exclusions) says nothing here.
    found = [(each, points) for each, points in sets if len(points) > 1]
    if not found:
        reason = too_few_points(1)
        invalid = RobustnessClass.INVALID
        return AxisRobustness(axis=axis, kind=kind, robustness=invalid, reason=reason)
    told = [_told(each, asked.hardware) for each, _ in found]
    level = 1.0 - (1.0 - asked.level) / len(found)
    shown = [
        _at_level_of_all(asked.metric, each, points, level) if _rests_on_figures(kept)
        else kept.robustness
        for kept, (each, points) in zip(told, found, strict=True)
    ]  # fmt: skip
    return AxisRobustness(axis=axis, kind=kind, robustness=worst(shown), cells=tuple(told))


_Sets = list[tuple[CellRobustness, list[PointRuns]]]


def _along(asked: _Asked, axis: str, cells: Cells) -> _Sets:
    found = robustness_of(
        asked.metric, cells, asked.positions, axis, bands=asked.bands, level=asked.level
    )
    return [(each, _members(cells, each)) for each in found]


def _over_all(asked: _Asked, cells: Cells) -> _Sets:
    """Compare all stack points of one version of the code: the code is an axis of its own."""
    codes = dict.fromkeys(at.get(SHA_AXIS) for at in asked.positions.values())
    sets: _Sets = []
    for code in codes:
        mine = {
            cell: [each for each in points if asked.positions[each.point].get(SHA_AXIS) == code]
            for cell, points in cells.items()
        }
        held = {} if code is None else {SHA_AXIS: code}
        found = robustness_of(
            asked.metric, mine, asked.positions, bands=asked.bands, level=asked.level
        )
        sets += [(each.model_copy(update={"held": held}), _members(mine, each)) for each in found]
    return sets


def _members(cells: Cells, found: CellRobustness) -> list[PointRuns]:
    return [each for each in cells[found.cell] if each.point in found.points]


def _told(found: CellRobustness, hardware: Mapping[str, Set[str]]) -> CellIndices:
    """Keep what decided; different hardware between the points leaves nothing to decide."""
    mixed = len({name for point in found.points for name in hardware.get(point, ())}) > 1
    driven_by, between = (None, None) if mixed else _driver(found)
    return CellIndices(
        cell=found.cell,
        held=found.held,
        points=found.points,
        robustness=RobustnessClass.INVALID if mixed else found.cri.robustness,
        reason=MIXED_DEVICES if mixed else found.cri.reason,
        at_most=None if mixed else found.cri.at_most,
        index=found.cri.index,
        driven_by=driven_by,
        between=between,
        fates={name: fate for name, fate in found.cri.fates.items() if fate != Fate.SURVIVES},
        guard=found.cri.guard.status,
        cri_d=PublishedIndex(
            robustness=found.cri_d.robustness,
            reason=found.cri_d.reason,
            index=found.cri_d.index,
            drift=found.cri_d.drift,
        ),
    )


def _driver(found: CellRobustness) -> tuple[DrivenBy | None, tuple[str, str] | None]:
    """Name what a class rests on, and the two points that show it."""
    index = found.cri
    if index.reason == SURVIVAL_DIFFERS:
        alive, dead = (
            next(name for name, fate in index.fates.items() if fate == wanted)
            for wanted in (Fate.SURVIVES, Fate.FAILS)
        )
        return "survival", (alive, dead)
    if index.reason == SIGN_CHANGES:
        ranked = sorted((each.value or 1.0, name) for name, each in index.speedups.items())
        return "speedup_sign", (ranked[0][1], ranked[-1][1])
    changed = index.robustness.decided and index.robustness is not RobustnessClass.ROBUST
    known = [each for each in index.pairs if each.estimate.value]
    if not changed or not known:
        return None, None
    return "latency", max(known, key=lambda each: _size(each.estimate.value or 1.0)).points


def _size(ratio: float) -> float:
    return max(ratio, 1.0 / ratio)


def _rests_on_figures(told: CellIndices) -> bool:
    return told.driven_by in {"latency", "speedup_sign"}


def _at_level_of_all(
    metric: str, found: CellRobustness, points: Sequence[PointRuns], level: float
) -> RobustnessClass:
    """Return a cell's class for the worst over many cells: what was shown has to stand there too.

    Robust needs no such care: that all are robust is shown by showing it of each (Berger 1982).
    """
    return cri(metric, points, bands=found.cri.bands, level=level).robustness


def _cells(units: Sequence[Unit], metric: str) -> dict[str, list[PointRuns]]:
    """Order both arms of every cell by stack point; a cell without a subject has no place."""
    cells: dict[str, list[PointRuns]] = {}
    for unit in units:
        for stratum in unit.strata:
            subject, baseline = (
                tuple(_launch(each, metric) for each in stratum.launches[arm])
                for arm in (Arm.SUBJECT, Arm.BASELINE)
            )
            if subject:
                runs = PointRuns(unit.point.id, subject, baseline)
                cells.setdefault(stratum.cell.id, []).append(runs)
    return cells


def _launch(measured: MeasuredInvocation, metric: str) -> Launch:
    """Take the rows of one invocation; an ok one without the metric counts as missing."""
    lacking = sum(row.status is RowStatus.OK and metric not in row.values for row in measured.rows)
    return Launch(process_of(measured), measured.rows, measured.missing + lacking)


def _first_metric(units: Sequence[Unit]) -> str:
    """Name the metric of a claim that has none: the first, in their order, that ok rows have."""
    seen = {name for row in _ok(units) for name in row.values}
    return next((name for name in METRICS if name in seen), next(iter(METRICS)))


def _hardware(units: Sequence[Unit]) -> tuple[dict[str, set[str]], set[str]]:
    """Name what each stack point was measured on, and all GPUs by UUID.

    It is the kind of GPU, else the type of device.
    """
    kinds: dict[str, set[str]] = {}
    gpus: set[str] = set()
    for unit in units:
        mine = kinds.setdefault(unit.point.id, set())
        for row in _ok([unit]):
            kind = row.gpu.name if row.gpu and row.gpu.name else row.evidence.device
            if kind is not None:
                mine.add(kind)
            if row.gpu is not None and row.gpu.uuid is not None:
                gpus.add(row.gpu.uuid)
    return kinds, gpus


def _ok(units: Sequence[Unit]) -> Iterator[Row]:
    return (row for unit in units for row in unit.rows() if row.status is RowStatus.OK)
