"""Robustness in the report: one table per axis of the stack, and one line for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reprokit.records import Estimate, Scalar
from reprokit.report.markup import code, details, table, text
from reprokit.report.wording import estimate_words
from reprokit.robustness.records import STRADDLES, RobustnessClass
from reprokit.verdict.records import Verdict
from reprokit.verdict.robustness_records import AxisRobustness, CellIndices, Robustness
from reprokit.verdict.wording import count, position

_HEADER = ["cell", "class", "largest ratio", "driven by", "cri_d, as published"]
_MOST_CELLS = 12
_SEVERITY = (
    RobustnessClass.CATASTROPHIC,
    RobustnessClass.FRAGILE,
    RobustnessClass.SENSITIVE,
    RobustnessClass.UNRESOLVED,
    RobustnessClass.INVALID,
    RobustnessClass.ROBUST,
)
_REASONS = {
    "eager_drift": "the baseline moves too",
    "eager_does_not_survive": "the baseline does not survive everywhere",
    "eager_guard_open": "whether the baseline stays the same is open",
    "no_survivors": "nothing survives anywhere",
    "partial_survival": "some runs failed",
    "points_missing": "points were not measured",
    "interval_straddles_the_margin": "the interval reaches over the margin",
    "points_share_processes": "one process measured several points",
    "mixed_devices": "the points were measured on different hardware",
}
_CAVEATS = {
    "several_gpus": "The points were measured on several GPUs of one kind, whose differences lie "
    "between the points.",
}
_Labels = Mapping[str, Mapping[str, Scalar]]


def robustness_section(verdict: Verdict) -> list[str]:
    """Write both indices of every cell along every axis of the stack, the worst first."""
    found = verdict.robustness
    if found is None:
        return []
    lines = ["## Robustness over the stack", ""]
    if found.reason is not None:
        return [*lines, f"Not told: {text(found.reason)}."]
    lines += [_explained(found), *(_CAVEATS.get(each, text(each)) for each in found.caveats)]
    labels = _labels(verdict)
    for axis in found.axes:
        lines += ["", f"{_name(axis)}: {_summary(axis)}", *_cells(axis, labels)]
    return lines


def robustness_line(verdict: Verdict) -> str | None:
    """Say it in one line; None where there is nothing to say."""
    found = verdict.robustness
    if found is None or found.reason is not None or not found.axes:
        return None
    told = [
        f"{'all stack axes' if each.axis is None else each.axis} {each.robustness}{_of(each)}"
        for each in found.axes
    ]
    return f"Robustness ({found.metric}): {'; '.join(told)}"


def _explained(found: Robustness) -> str:
    bands = found.bands
    robust, sensitive, fragile = (
        f"{100.0 * (limit - 1.0):.3g} %" for limit in (bands.robust, bands.sensitive, bands.fragile)
    )
    return (
        f"How far {code(found.metric)} of one cell moves when nothing but the stack changes: "
        f"robust up to {robust}, sensitive to {sensitive}, fragile to {fragile} or where a "
        "speed-up changes its sign, catastrophic beyond or where one point survives and another "
        f"does not. Intervals are simultaneous over the points of a cell, at the "
        f"{100 * found.level:.0f} % level; the class of an axis also holds over all its cells. "
        "Neither index takes part in the verdict."
    )


def _name(axis: AxisRobustness) -> str:
    if axis.axis is None:
        return "**All stack axes together**"
    return f"**{code(axis.axis)}**" + (" (the code)" if axis.kind == "code" else "")


def _summary(axis: AxisRobustness) -> str:
    if axis.reason is not None:
        return f"{axis.robustness}: {text(axis.reason)}"
    return f"{axis.robustness}{_of(axis)}"


def _of(axis: AxisRobustness) -> str:
    """Count the cells by class."""
    classes = Counter(each.robustness for each in axis.cells)
    if len(axis.cells) < 2:
        return ""
    counted = ", ".join(f"{classes[each]} {each}" for each in _SEVERITY if classes[each])
    return f" ({count(len(axis.cells), 'comparison')}: {counted})"


def _cells(axis: AxisRobustness, labels: _Labels) -> list[str]:
    if not axis.cells:
        return []
    ordered = sorted(axis.cells, key=lambda each: _SEVERITY.index(each.robustness))
    rows = [_row(axis, each, labels) for each in ordered]
    lines = ["", *table(_HEADER, rows[:_MOST_CELLS])]
    if len(rows) > _MOST_CELLS:
        rest = table(_HEADER, rows[_MOST_CELLS:])
        lines += ["", *details(f"{count(len(rows) - _MOST_CELLS, 'more cell')}", rest)]
    return lines


def _row(axis: AxisRobustness, cell: CellIndices, labels: _Labels) -> list[str]:
    held = f" at {text(position(cell.held))}" if cell.held else ""
    published = f"{cell.cri_d.robustness}"
    if cell.cri_d.index.value is not None:
        published = f"{_number(cell.cri_d.index)}, {published}"
    if cell.cri_d.reason is not None:
        published += f" ({text(_published_reason(cell))})"
    return [
        f"{code(cell.cell)}{held}",
        _class(cell),
        text(estimate_words(cell.index)) if cell.index.value is not None else "",
        _driver(axis, cell, labels),
        published,
    ]


def _published_reason(cell: CellIndices) -> str:
    """Write the published index's own reason, with the drift where that is it."""
    drift = cell.cri_d.drift
    told = f" {_number(drift)}" if cell.cri_d.reason == "eager_drift" and drift.value else ""
    return f"{cell.cri_d.reason}{told}"


def _class(cell: CellIndices) -> str:
    told = f"**{cell.robustness}**"
    if not cell.robustness.decided:
        told = f"{cell.robustness}"
        told += f": {_reason(cell.reason)}" if cell.reason else ""
        if cell.reason == STRADDLES:
            told += f" (at most {cell.at_most})"
    return told


def _reason(reason: str) -> str:
    return text(_REASONS.get(reason, reason.replace("_", " ")))


def _driver(axis: AxisRobustness, cell: CellIndices, labels: _Labels) -> str:
    """Say what shows the class, and between which two points."""
    if cell.between is None:
        return _fates(axis, cell, labels)
    first, second = (_label(axis, point, labels) for point in cell.between)
    if cell.driven_by == "survival":
        return f"survives at {first}, fails at {second}"
    if cell.driven_by == "speedup_sign":
        return f"faster than the baseline at {first}, slower at {second}"
    return f"{first} against {second}"


def _fates(axis: AxisRobustness, cell: CellIndices, labels: _Labels) -> str:
    told = {"fails": "fails", "partial": "fails in part", "unknown": "not known"}
    groups: dict[str, list[str]] = {}
    for point, fate in cell.fates.items():
        groups.setdefault(told.get(fate, fate), []).append(_label(axis, point, labels))
    return "; ".join(f"{fate} at {_some(points)}" for fate, points in groups.items())


def _some(points: Sequence[str]) -> str:
    shown = ", ".join(points[:4])
    return shown if len(points) <= 4 else f"{shown} and {len(points) - 4} more"


def _label(axis: AxisRobustness, point: str, labels: _Labels) -> str:
    """Name a point by its value on the axis; by all that it is where several axes differ."""
    at = labels.get(point, {})
    if axis.axis is not None and axis.axis in at:
        return code(str(at[axis.axis]))
    return code(point)


def _labels(verdict: Verdict) -> dict[str, dict[str, Scalar]]:
    return {point.point: point.axes for point in verdict.points}


def _number(estimate: Estimate) -> str:
    return "" if estimate.value is None else f"{estimate.value:.2f}"
