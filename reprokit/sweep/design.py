"""The plan of a sweep: points, cells and invocations, in the order in which they will run.

Pure: equal arguments give equal plans, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import get_args

from reprokit.adapter import Adapter, ChecksPlans, HasSubjectAxes, Setup, SharesProcesses
from reprokit.claim.axes import AxisKind, axis_kind, same_axis, same_value
from reprokit.claim.load import LoadedClaim
from reprokit.claim.model import (
    Claim,
    Exclusion,
    ExpectFlip,
    ExpectInvariance,
    ExpectStability,
    Regime,
)
from reprokit.errors import PlanError
from reprokit.plan import Cell, Design, Excluded, Plan
from reprokit.records import Arm, Scalar
from reprokit.stack import StackPoint
from reprokit.sweep.axes import SweptAxis, base_label, claim_values, own_value, resolve_axes
from reprokit.sweep.order import Block, interleaved
from reprokit.sweep.point import Assignment, cell, names_package, stack_point

MOST_ROWS = 100_000
_ABOUT_AN_AXIS = (ExpectInvariance, ExpectFlip)
_ARMS = (Arm.BASELINE, Arm.SUBJECT)
_DEVICES: tuple[str, ...] = get_args(Regime.model_fields["device"].annotation)


def make_plan(
    loaded: LoadedClaim,
    *,
    sweeps: tuple[str, ...],
    design: Design = "full",
    seed: int | None = None,
    device: str | None = None,
) -> Plan:
    """Decide everything before anything is run.

    Args:
        loaded: the claim.
        sweeps: texts as given to --sweep; none means one point, the claim's own stack.
        design: all combinations, or the base and every single departure from it.
        seed: of the order of execution; the claim's protocol.seed if None.
        device: "cpu" or "cuda", in place of the one in the claim's regime.

    Raises:
        PlanError: the sweep cannot be planned from this claim, is too large, leaves nothing, or
            has a cell that no stack can measure.
    """
    claim, protocol = loaded.claim, loaded.claim.protocol
    axes = resolve_axes(sweeps, loaded)
    _refuse_size(axes, design, claim)
    kept, excluded = _split(_pairs(axes, design, claim), axes, loaded)
    if not kept:
        reasons = "; ".join(dict.fromkeys(each.reason for each in excluded))
        raise PlanError(
            f"claim {claim.id}: every combination of this sweep is excluded",
            hint=f"The claim's reasons: {reasons}. Sweep other values.",
        )
    seed = claim.protocol.seed if seed is None else seed
    setup, altered = _setup(loaded, device)
    cells = tuple({pair.cell.id: pair.cell for pair in kept}.values())
    _refuse_cells(cells, setup, loaded)
    # With every cell at every point, whoever owns a baseline is there wherever it is needed.
    everywhere = design == "full" and not excluded
    baselines = _baselines(cells, axes, loaded.adapter) if everywhere else {}
    blocks = _blocks(kept, baselines, loaded, setup)
    return Plan(
        claim_id=claim.id,
        claim_digest=claim.digest(),
        design=design,
        seed=seed,
        axes={axis.name: tuple(axis.values) for axis in axes},
        base={axis.name: axis.own for axis in axes if axis.own is not None},
        points=tuple({pair.point.id: pair.point for pair in kept}.values()),
        cells=cells,
        baselines=baselines,
        setup=setup,
        timeout_s=protocol.timeout_s,
        invocations=tuple(interleaved(blocks, protocol.invocations, seed)),
        same_failure_stops=_same_failure_stops(claim),
        excluded=excluded,
        altered=(*loaded.altered, *altered),
        notes=tuple(_notes(axes, claim)),
    )


@dataclass(frozen=True)
class _Pair:
    """A stack point and a cell inside it; `labels` are those of all axes."""

    labels: Assignment
    point: StackPoint
    cell: Cell


def _pairs(axes: tuple[SweptAxis, ...], design: Design, claim: Claim) -> Iterator[_Pair]:
    """Combine the swept axes by the design, and each with all cells that the claim always has."""
    swept = {axis.name: axis for axis in axes}
    always = {name: values for name, values in claim.cells.items() if name not in swept}
    order = [*claim.cells, *(axis.name for axis in axes if axis.name not in claim.cells)]
    cell_axes = [name for name in order if name in always or swept[name].kind is AxisKind.CELL]
    for assignment in _assignments(axes, design):
        point = stack_point(assignment, axes, claim)
        for values in product(*always.values()):
            labels = {**assignment, **dict(zip(always, values, strict=True))}
            yield _Pair(labels, point, cell({name: labels[name] for name in cell_axes}))


def _assignments(axes: tuple[SweptAxis, ...], design: Design) -> Iterator[dict[str, Scalar]]:
    names = [axis.name for axis in axes]
    if design == "full":
        for labels in product(*(axis.values for axis in axes)):
            yield dict(zip(names, labels, strict=True))
        return
    base = {axis.name: axis.base for axis in axes}
    yield base
    for axis in axes:
        for label in axis.values:
            if label != axis.base:
                yield {**base, axis.name: label}


def _split(
    pairs: Iterator[_Pair], axes: tuple[SweptAxis, ...], loaded: LoadedClaim
) -> tuple[list[_Pair], tuple[Excluded, ...]]:
    """Set aside what the claim excludes; a combination is listed once, not once for every cell."""
    kept: list[_Pair] = []
    excluded: dict[tuple[object, ...], Excluded] = {}
    for pair in pairs:
        exclusion = next(
            (each for each in loaded.claim.exclude if _applies(each, pair, axes, loaded)), None
        )
        if exclusion is None:
            kept.append(pair)
            continue
        told = {*exclusion.when, *(axis.name for axis in axes if axis.kind is not AxisKind.CELL)}
        labels = {name: label for name, label in pair.labels.items() if name in told}
        found = Excluded(axes=labels, reason=exclusion.reason)
        excluded.setdefault((*labels.items(), exclusion.reason), found)
    return kept, tuple(excluded.values())


def _applies(
    exclusion: Exclusion, pair: _Pair, axes: tuple[SweptAxis, ...], loaded: LoadedClaim
) -> bool:
    return all(
        _has_value(name, wanted, pair, axes, loaded) for name, wanted in exclusion.when.items()
    )


def _has_value(
    name: str, wanted: Scalar, pair: _Pair, axes: tuple[SweptAxis, ...], loaded: LoadedClaim
) -> bool:
    """Tell whether an axis has a value here, named by label or value, swept or the claim's own."""
    claim, kind = loaded.claim, axis_kind(name, loaded.adapter)
    swept = next((axis for axis in axes if same_axis(axis.name, name)), None)
    if swept is not None:
        label: Scalar | None = pair.labels[swept.name]
        value: Scalar | None = swept.values[pair.labels[swept.name]]
    elif name in pair.labels:
        label = value = pair.labels[name]
    else:
        label = base_label(name, kind, claim_values(name, claim, loaded.adapter), claim)
        value = own_value(name, kind, claim)
    own = [each for each in (label, value) if each is not None]
    return any(same_value(kind, wanted, each) for each in own)


def _baselines(
    cells: tuple[Cell, ...], axes: tuple[SweptAxis, ...], adapter: Adapter
) -> dict[str, str]:
    """Map the cells that need no baseline of their own to the one that has theirs.

    Only axes that are swept count: their values are decided apart, so that no decision counts one
    baseline twice.
    """
    if not isinstance(adapter, HasSubjectAxes):
        return {}
    ignored = adapter.subject_axes() & {axis.name for axis in axes}
    owners: dict[tuple[tuple[str, Scalar], ...], str] = {}
    found: dict[str, str] = {}
    for each in cells:
        key = tuple((name, value) for name, value in each.axes.items() if name not in ignored)
        owner = owners.setdefault(key, each.id)
        if owner != each.id:
            found[each.id] = owner
    return found


def _blocks(
    pairs: list[_Pair], baselines: dict[str, str], loaded: LoadedClaim, setup: Setup
) -> list[Block]:
    """Put together what one process measures: one cell, or those that share a process."""
    found: dict[tuple[str, Arm, str], list[str]] = {}
    for pair in pairs:
        for arm in _ARMS:
            if arm is Arm.BASELINE and pair.cell.id in baselines:
                continue
            key = _process_key(pair.cell, arm, loaded, setup)
            found.setdefault((pair.point.id, arm, key), []).append(pair.cell.id)
    return [Block(point, arm, key, cells) for (point, arm, key), cells in found.items()]


def _process_key(cell_: Cell, arm: Arm, loaded: LoadedClaim, setup: Setup) -> str:
    adapter = loaded.adapter
    if loaded.claim.protocol.share_process and isinstance(adapter, SharesProcesses):
        return adapter.process_key(setup, arm, cell_.axes)
    return cell_.id


def _same_failure_stops(claim: Claim) -> int:
    """Never stop early where the rate of failures itself is the claim: stopping would raise it."""
    expect = claim.expect.of if isinstance(claim.expect, _ABOUT_AN_AXIS) else claim.expect
    return 0 if isinstance(expect, ExpectStability) else claim.protocol.same_failure_stops


def _setup(loaded: LoadedClaim, device: str | None) -> tuple[Setup, tuple[str, ...]]:
    claim = loaded.claim
    claimed = claim.regime.device if claim.regime else "cpu"
    device = device or claimed
    if device not in _DEVICES:
        raise PlanError(f"there is no device {device!r}", hint=f"One of: {', '.join(_DEVICES)}.")
    setup = Setup(
        model=claim.model,
        arms={Arm.BASELINE: claim.adapter.baseline, Arm.SUBJECT: claim.adapter.subject},
        options=loaded.adapter.check_options(claim.adapter.options),
        device=device,
        samples=claim.protocol.samples,
        warmup=claim.protocol.warmup,
        seed=claim.protocol.seed,
    )
    return setup, () if device == claimed else (f"device={device}",)


def _refuse_size(axes: tuple[SweptAxis, ...], design: Design, claim: Claim) -> None:
    """Refuse a sweep that nobody can have meant, before it is written out."""
    sizes = [len(axis.values) for axis in axes]
    swept = prod(sizes) if design == "full" else 1 + sum(size - 1 for size in sizes)
    names = {axis.name for axis in axes}
    always = prod(len(values) for name, values in claim.cells.items() if name not in names)
    combinations, protocol = swept * always, claim.protocol
    rows = combinations * len(_ARMS) * protocol.invocations * protocol.samples
    if rows > MOST_ROWS:
        raise PlanError(
            f"claim {claim.id}: this sweep means {rows:,} rows ({combinations:,} combinations x "
            f"{len(_ARMS)} arms x {protocol.invocations} invocations x {protocol.samples} "
            f"samples), more than {MOST_ROWS:,}",
            hint="Sweep fewer values, or sweep in parts.",
        )


def _refuse_cells(cells: tuple[Cell, ...], setup: Setup, loaded: LoadedClaim) -> None:
    """Refuse what would only be refused by the benchmark itself, after hours or on a GPU."""
    adapter = loaded.adapter
    if not isinstance(adapter, ChecksPlans):
        return
    for each in cells:
        complaint = adapter.never_measurable(setup, each.axes)
        if complaint is not None:
            where = f" (cell {each.id})" if each.axes else ""
            raise PlanError(
                f"claim {loaded.claim.id}: this can never be measured{where}: {complaint}",
                hint="Change the claim, or what --set and --sweep put into it.",
            )


def _notes(axes: tuple[SweptAxis, ...], claim: Claim) -> Iterator[str]:
    for axis in axes:
        asked_elsewhere = axis.name in claim.sweep or axis.kind is not AxisKind.PACKAGE
        if not asked_elsewhere and not names_package(claim.stack.requirements, axis.name):
            yield f"{axis.name} is not among the claim's requirements; the sweep adds it"
    asked, used = claim.protocol.same_failure_stops, _same_failure_stops(claim)
    if "same_failure_stops" in claim.protocol.model_fields_set and asked != used:
        yield (
            f"protocol.same_failure_stops: {asked} does not apply: a rate of failures is measured "
            "in full"
        )
