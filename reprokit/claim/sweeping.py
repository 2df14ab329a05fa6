"""Checks of what a claim varies: cells, sweep, exclusions, and the axis of a conclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reprokit.adapter import Adapter
from reprokit.claim.axes import (
    AxisKind,
    axis_complaint,
    axis_kind,
    same_axis,
    same_value,
    value_complaint,
)
from reprokit.claim.draft import Draft
from reprokit.claim.model import BuiltinSource, Exclusion, ExpectFlip, ExpectInvariance
from reprokit.claim.problems import Problem, suggestion
from reprokit.claim.requirement import required_names
from reprokit.records import Scalar


def sweeping_problems(draft: Draft, adapter: Adapter) -> Iterator[Problem]:
    """Complain about axes and values that cannot be, are given twice, or do not fit together."""
    packages = required_names(draft.stack.requirements) if draft.stack else tuple(draft.sweep or ())
    yield from _cell_problems(draft.cells or {}, adapter, packages)
    yield from _sweep_problems(draft.sweep or {}, adapter, packages)
    if isinstance(draft.source, BuiltinSource) and "sha" in (draft.sweep or {}):
        message = "a built-in benchmark has no commits to sweep"
        yield Problem(("sweep", "sha"), message, "Remove the axis sha.", key=True)
    if draft.cells is None or draft.sweep is None:
        return
    for index, exclusion in enumerate(draft.exclude or ()):
        yield from _exclusion_problems(exclusion, index, draft, adapter)
    yield from _conclusion_problems(draft)


def _cell_problems(
    cells: dict[str, tuple[Scalar, ...]], adapter: Adapter, packages: tuple[str, ...]
) -> Iterator[Problem]:
    for axis, values in cells.items():
        if complaint := axis_complaint(axis, adapter, packages):
            yield complaint.at("cells", axis, key=True)
            continue
        if axis_kind(axis, adapter) is not AxisKind.CELL:
            known = tuple(adapter.cell_axes())
            yield Problem(
                ("cells", axis),
                f"{axis!r} varies the environment, not the cells inside it",
                suggestion(axis, known, label="Cell axes here") if known else "Put it into sweep.",
                key=True,
            )
            continue
        for index, value in enumerate(values):
            if complaint := value_complaint(axis, value, adapter):
                yield complaint.at("cells", axis, index)
            elif any(same_value(AxisKind.CELL, value, other) for other in values[:index]):
                yield Problem(("cells", axis, index), f"{axis}: {value!r} is given twice")


def _sweep_problems(
    sweep: dict[str, dict[str, Scalar]], adapter: Adapter, packages: tuple[str, ...]
) -> Iterator[Problem]:
    names = list(sweep)
    for position, (axis, values) in enumerate(sweep.items()):
        here = ("sweep", axis)
        twins = [other for other in names[:position] if same_axis(axis, other)]
        if twins:
            yield Problem(here, f"{axis!r} and {twins[0]!r} are the same axis", key=True)
        if complaint := axis_complaint(axis, adapter, packages):
            yield complaint.at(*here, key=True)
            continue
        if not values:
            yield Problem(here, f"the axis {axis!r} has no values", "Give at least one.")
        yield from _labelled_value_problems(axis, values, adapter)


def _labelled_value_problems(
    axis: str, values: dict[str, Scalar], adapter: Adapter
) -> Iterator[Problem]:
    kind = axis_kind(axis, adapter)
    seen: list[tuple[str, Scalar]] = []
    for label, value in values.items():
        here = ("sweep", axis, label)
        if not label.strip() or any(mark in label for mark in ",=\n"):
            message = (
                f"{axis}: {label!r} cannot be a label: it could not be named on a command line"
            )
            yield Problem(here, message, key=True)
        if complaint := value_complaint(axis, value, adapter):
            yield complaint.at(*here)
            continue
        if kind is AxisKind.CELL and label != str(value):
            message = f"{axis}: values of a cell axis name themselves; they have no labels"
            yield Problem(here, message, f"Write a list: {axis}: [{value}, ...].", key=True)
        for other, known in seen:
            if same_value(kind, value, known):
                yield Problem(here, f"{axis}: {label!r} means the same as {other!r}")
            elif label.casefold() == other.casefold():
                yield Problem(here, f"{axis}: {label!r} and {other!r} differ only in case")
        seen.append((label, value))


def _exclusion_problems(
    exclusion: Exclusion, index: int, draft: Draft, adapter: Adapter
) -> Iterator[Problem]:
    axes = axis_values(draft)
    for axis, value in exclusion.when.items():
        here = ("exclude", index, "when", axis)
        if axis not in axes:
            hint = suggestion(axis, axes, label="Axes of this claim")
            yield Problem(here, f"{axis!r} is not an axis of this claim", hint, key=True)
        elif not isinstance(value, str) and axis_kind(axis, adapter) is not AxisKind.CELL:
            yield Problem(here, f"{axis}: expected text, as in the sweep", quote=True)
        elif not any(same_value(axis_kind(axis, adapter), value, known) for known in axes[axis]):
            hint = suggestion(str(value), [str(known) for known in axes[axis]])
            yield Problem(
                here, f"{value!r} is not a value of the axis {axis!r} in this claim", hint
            )


def _conclusion_problems(draft: Draft) -> Iterator[Problem]:
    expect = draft.expect
    if not isinstance(expect, ExpectInvariance | ExpectFlip):
        return
    axes = axis_values(draft)
    here = ("expect", "axis")
    if expect.axis not in axes:
        hint = suggestion(expect.axis, axes, label="Axes of this claim")
        yield Problem(here, f"{expect.axis!r} is not an axis of this claim", hint)
    elif max(_count(draft.cells, expect.axis), _count(draft.sweep, expect.axis)) < 2:
        message = f"nothing can change along {expect.axis!r}, which has one value"
        yield Problem(here, message, "Give the axis a second value.")


def _count(
    axes: dict[str, dict[str, Scalar]] | dict[str, tuple[Scalar, ...]] | None, axis: str
) -> int:
    return len((axes or {}).get(axis, ()))


def axis_values(draft: Draft) -> dict[str, list[Scalar]]:
    """Map every axis of the claim to all its values and labels."""
    axes: dict[str, list[Scalar]] = {}
    for axis, values in (draft.cells or {}).items():
        axes[axis] = [*values]
    for axis, labelled in (draft.sweep or {}).items():
        both: Iterable[Scalar] = (*labelled, *labelled.values())
        axes.setdefault(axis, []).extend(both)
    return axes
