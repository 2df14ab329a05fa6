"""Axis attribution: holding the others, does the outcome change along an axis?

Works for any number of axes, any design and with points missing: only pairs of points that differ
in one axis alone are compared, an undecided point is neither equal nor different, and where nothing
can be compared the answer is `cannot_tell`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, product

from reprokit.records import Scalar
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import AxisEffect, OutcomePair, PointVerdict

Setting = tuple[tuple[str, Scalar], ...]
Line = dict[Scalar, Outcome]
"""Outcomes along one axis at one setting of all the others."""
_Told = frozenset[tuple[frozenset[Scalar], bool]]
"""Pairs of values, and whether their outcomes differ."""


def attribute(
    points: Sequence[PointVerdict],
    axes: Mapping[str, tuple[Scalar, ...]],
    stack_axes: Collection[str],
) -> tuple[AxisEffect, ...]:
    """Attribute changes of the outcome to axes.

    Args:
        points: verdicts with their position on the axes.
        axes: every axis with its values, in the order of the sweep.
        stack_axes: those of them that are axes of the stack; the others vary inside a stack point.
    """
    return tuple(
        _effect(axis, values, points).model_copy(
            update={"kind": "stack" if axis in stack_axes else "cell"}
        )
        for axis, values in axes.items()
    )


def lines_along(
    axis: str, points: Sequence[PointVerdict], *, on_figures: bool = False
) -> dict[Setting, Line]:
    """Group points into lines: same setting of all other axes, one outcome per value of `axis`.

    Args:
        axis: the axis that varies.
        points: verdicts with their position on the axes.
        on_figures: take the outcome of the figures alone, whatever the hardware.
    """
    lines: dict[Setting, Line] = {}
    for point in points:
        if axis in point.axes:
            held = tuple((name, value) for name, value in point.axes.items() if name != axis)
            lines.setdefault(held, {})[point.axes[axis]] = (
                point.on_figures if on_figures else _compared(point)
            )
    return lines


def _compared(point: PointVerdict) -> Outcome:
    """What is compared along an axis: of a claim that does not transfer, why it does not.

    On other hardware a crash and a ratio that is not kept end with the same outcome; an axis that
    turns the one into the other decides what happens there.
    """
    told = point.outcome is Outcome.DOES_NOT_TRANSFER and point.on_figures.decided
    return point.on_figures if told else point.outcome


def _effect(axis: str, values: tuple[Scalar, ...], points: Sequence[PointVerdict]) -> AxisEffect:
    # A setting with a single planned value (one-at-a-time designs, exclusions) says nothing here.
    lines = {held: line for held, line in lines_along(axis, points).items() if len(line) > 1}
    changed = tuple(pair for held, line in lines.items() for pair in _changes(held, line))
    pairs = [pair.outcomes for pair in changed]
    decided = [all(outcome.decided for outcome in line.values()) for line in lines.values()]
    return AxisEffect(
        axis=axis,
        effect="changes" if changed else "no_change" if lines and all(decided) else "cannot_tell",
        values=values,
        changed=changed,
        settings=len(lines),
        settings_decided=sum(decided),
        decides=any(first.holds is not second.holds for first, second in pairs),
        interacts_with=_interactions(lines),
        missing=_missing(axis, lines),
    )


def _changes(held: Setting, line: Line) -> list[OutcomePair]:
    return [
        OutcomePair(held=dict(held), values=pair, outcomes=(line[pair[0]], line[pair[1]]))
        for pair in combinations(line, 2)
        if _differs(line, pair)
    ]


def _differs(line: Line, pair: tuple[Scalar, Scalar]) -> bool | None:
    """Tell whether two values have different outcomes; None where one is undecided or missing."""
    first, second = (line.get(value) for value in pair)
    if first is None or second is None or not (first.decided and second.decided):
        return None
    return first is not second


def _interactions(lines: Mapping[Setting, Line]) -> tuple[str, ...]:
    """Name the axes on which it depends whether this one changes the outcome.

    Two settings disagree when the same pair of values differs at one and is equal at the other.
    Of the disagreeing settings those nearest to each other are the evidence.
    """
    alike: dict[_Told, list[Setting]] = {}
    for held, line in lines.items():
        alike.setdefault(_told(line), []).append(held)
    disagreeing = [
        [name for (name, value) in one if dict(other).get(name) != value]
        for first, second in combinations(alike, 2)
        if _disagree(first, second)
        for one, other in product(alike[first], alike[second])
    ]
    if not disagreeing:
        return ()
    nearest = min(len(names) for names in disagreeing)
    # In the order of the axes, whatever the order of the settings.
    found = {name for names in disagreeing if len(names) == nearest for name in names}
    return tuple(dict.fromkeys(name for held in lines for name, _ in held if name in found))


def _told(line: Line) -> _Told:
    """Say of each pair of values whether it differs, as far as that is decided."""
    pairs = ((frozenset(pair), _differs(line, pair)) for pair in combinations(line, 2))
    return frozenset((pair, differs) for pair, differs in pairs if differs is not None)


def _disagree(one: _Told, other: _Told) -> bool:
    return any((pair, not differs) in other for pair, differs in one)


def _missing(axis: str, lines: Mapping[Setting, Line]) -> tuple[str, ...]:
    return tuple(
        ", ".join([f"{axis} {value}", *(f"{name} {label}" for name, label in held)])
        for held, line in lines.items()
        for value, outcome in line.items()
        if not outcome.decided
    )
