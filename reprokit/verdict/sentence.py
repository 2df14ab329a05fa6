"""The one plain sentence of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from reprokit.claim.model import Claim, ExpectFlip, ExpectInvariance
from reprokit.records import Scalar
from reprokit.verdict.along import conclusion_changes
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.records import AlongAxis, AxisEffect, PointVerdict
from reprokit.verdict.wording import (
    count,
    on_axis,
    outcome_words,
    point_noun,
    position,
    series,
    slice_of,
)

Altered = Sequence[str]
"""Departures from the claim file, as a plan lists them."""

# More values than this on an axis are told by outcome, not one by one.
_MOST_CLAUSES = 4

_ALL_THE_SAME = {
    Outcome.REPRODUCED: "{claim} is reproduced",
    Outcome.FALLS_SHORT: "{claim} is not reproduced, the measurement falls short of it",
    Outcome.EXCEEDS: "{claim} is not reproduced, the measurement exceeds it",
    Outcome.NO_SURVIVORS: "{claim} is not reproduced",
    Outcome.SILENT_FALLBACK: "{claim} is not reproduced",
    Outcome.TRANSFERS: "{claim} holds here, on {hardware}",
    Outcome.TRANSFERS_SHIFTED: "{claim}'s effect is kept with another figure, on {hardware}",
    Outcome.DOES_NOT_TRANSFER: "{claim} does not hold here, on {hardware}",
    Outcome.INCONCLUSIVE: "The measurement does not decide {it}",
    Outcome.INSUFFICIENT: "There is too little data to decide {it}",
    Outcome.INVALID: "Nothing can be said about {it}",
}


def sentence_of(
    claim: Claim,
    outcome: Outcome,
    points: Sequence[PointVerdict],
    axes: Sequence[AxisEffect],
    along: Sequence[AlongAxis],
    altered: Altered = (),
) -> str:
    """Say the verdict in one sentence of plain English.

    Where `altered` says that another model was measured, it is a slice of the claim: that is told
    first, and nothing is said of the claim itself.
    """
    if not points:
        return "Nothing was planned, so nothing can be said about the claim."
    if isinstance(claim.expect, ExpectInvariance | ExpectFlip):
        told = _along(claim.expect, outcome, points, along, altered)
    elif outcome is Outcome.DEPENDS:
        told = _depends(points, axes, altered)
    elif len({point.outcome for point in points}) == 1:
        told = _same(outcome, points, axes, altered)
    else:
        told = _different(outcome, points, axes, altered)
    sliced = slice_of(altered)
    before = f"A slice of the claim ({sliced}), not the claim itself: " if sliced else ""
    return f"{before}{told}."


def _same(
    outcome: Outcome,
    points: Sequence[PointVerdict],
    axes: Sequence[AxisEffect],
    altered: Altered,
) -> str:
    told = _opening(outcome, points, altered)
    if len(points) == 1:
        return f"{told}: {points[0].clause}"
    everywhere = f"{told}, at {_all(len(points), axes)}"
    if len({point.clause for point in points}) == 1:
        return f"{everywhere}: {points[0].clause}"
    if len(points) <= _MOST_CLAUSES:
        return f"{everywhere}: {_clauses(points)}"
    return f"{everywhere}; at {position(points[0].axes)}, for one, {points[0].clause}"


def _different(
    outcome: Outcome,
    points: Sequence[PointVerdict],
    axes: Sequence[AxisEffect],
    altered: Altered,
) -> str:
    """Tell of points whose outcomes differ, and that are no dependence."""
    if not all(point.outcome.decided for point in points):
        return _open(points, altered)
    if outcome.holds:
        told = _opening(outcome, points, altered)
        return f"{told}, at {_all(len(points), axes)}: {_by_outcome(points, altered)}"
    return _fails(points, axes, altered)


def _opening(outcome: Outcome, points: Sequence[PointVerdict], altered: Altered) -> str:
    sliced = slice_of(altered) is not None
    elsewhere = any(Reason.OTHER_REGIME in point.reasons for point in points)
    kind = "other hardware than" if elsewhere else "hardware not shown to be what"
    told = _ALL_THE_SAME[outcome].format(
        claim="the slice" if sliced else "The claim",
        it="the slice" if sliced else "the claim",
        hardware=f"{kind} {'the claim' if sliced else 'it'} names",
    )
    return told[0].lower() + told[1:] if sliced else told


def _all(number: int, axes: Sequence[AxisEffect]) -> str:
    return f"{'both' if number == 2 else f'all {number}'} {point_noun(axes)}s"


def _open(points: Sequence[PointVerdict], altered: Altered) -> str:
    """Tell what is decided by outcome, and of what is not decided why."""
    decided = [point for point in points if point.outcome.decided]
    rest = [point for point in points if not point.outcome.decided]
    told = [_by_outcome(decided, altered)] if decided else []
    told.append(_clauses(rest) if len(rest) <= _MOST_CLAUSES else _by_outcome(rest, altered))
    return f"The verdict is open: {'; '.join(told)}"


def _fails(points: Sequence[PointVerdict], axes: Sequence[AxisEffect], altered: Altered) -> str:
    """Tell of a claim that holds nowhere how its failure differs from point to point."""
    noun = point_noun(axes)
    at = f"neither {noun}" if len(points) == 2 else f"none of the {len(points)} {noun}s"
    claim = "the slice" if slice_of(altered) else "The claim"
    told = f"{claim} is reproduced at {at}"
    changing = [effect for effect in axes if effect.changed]
    if not changing:
        return f"{told}, and no single axis explains how it fails: {_by_outcome(points, altered)}"
    told += f"; only how it fails depends on {series([effect.axis for effect in changing])}"
    if len(changing) == 1:
        return f"{told}: {_along_values(changing[0], points, altered)}"
    return f"{told}: {_by_outcome(points, altered)}"


def _depends(points: Sequence[PointVerdict], axes: Sequence[AxisEffect], altered: Altered) -> str:
    changing = [effect for effect in axes if effect.decides]
    if not changing:
        return (
            f"The outcome differs between {point_noun(axes)}s, and no single axis explains it: "
            f"{_by_outcome(points, altered)}"
        )
    names = series([effect.axis for effect in changing])
    told = f"The outcome depends on {names}"
    if len(changing) == 1:
        return f"{told}: {_along_values(changing[0], points, altered)}"
    mixed = [effect for effect in changing if effect.interacts_with]
    also = ""
    if mixed:
        first = mixed[0]
        also = f"; what {first.axis} does depends on {series(first.interacts_with)}"
    return f"{told}: {_by_outcome(points, altered)}{also}"


def _along_values(effect: AxisEffect, points: Sequence[PointVerdict], altered: Altered) -> str:
    """Tell one clause per value of the axis while there are few, else the values by outcome."""
    groups: dict[Scalar, list[PointVerdict]] = {}
    for point in points:
        if effect.axis in point.axes:
            groups.setdefault(point.axes[effect.axis], []).append(point)
    uniform = all(len({each.outcome for each in group}) == 1 for group in groups.values())
    if not uniform or len(groups) > _MOST_CLAUSES:
        return _by_outcome(points, altered)
    return "; ".join(
        f"at {on_axis(effect.axis, value)} {_representative(effect.axis, group)}"
        for value, group in groups.items()
    )


def _representative(axis: str, group: Sequence[PointVerdict]) -> str:
    first = group[0]
    if len(group) == 1:
        return first.clause
    rest = position({name: value for name, value in first.axes.items() if name != axis})
    others = count(len(group) - 1, "other point")
    return f"{first.clause} (this is {rest}; the same outcome at {others})"


def _clauses(points: Sequence[PointVerdict]) -> str:
    return "; ".join(f"at {position(point.axes)} {point.clause}" for point in points)


def _by_outcome(points: Sequence[PointVerdict], altered: Altered) -> str:
    groups: dict[Outcome, list[PointVerdict]] = {}
    for point in points:
        groups.setdefault(point.outcome, []).append(point)
    return "; ".join(
        f"{outcome_words(outcome, altered)} at {_some(group)}" for outcome, group in groups.items()
    )


def _some(group: Sequence[PointVerdict]) -> str:
    places = [position(point.axes) or point.point for point in group]
    if len(places) <= _MOST_CLAUSES:
        return series([f"({place})" if ", " in place else place for place in places])
    return f"{count(len(places), 'point')} ({'; '.join(places[:2])}; ...)"


def _along(
    expect: ExpectInvariance | ExpectFlip,
    outcome: Outcome,
    points: Sequence[PointVerdict],
    along: Sequence[AlongAxis],
    altered: Altered,
) -> str:
    if not any(len(line.outcomes) > 1 for line in along):
        return (
            f"The claim is about the axis {expect.axis}, and fewer than 2 of its values were run, "
            "so it is not decided"
        )
    told = {
        Outcome.DEPENDS: f"Whether the conclusion changes along {expect.axis} depends on the "
        "other axes",
    }.get(outcome)
    if told is None and not outcome.decided:
        told = f"It is open whether the conclusion changes along {expect.axis}"
    if told is None:
        changes = any(conclusion_changes(line.outcomes.values()) for line in along)
        verb = "changes" if changes else "is the same"
        says = _opening(outcome, points, altered).split(", the measurement")[0]
        told = f"{says}: the conclusion {verb} along {expect.axis}"
    if len(points) <= _MOST_CLAUSES:
        return f"{told}; {_clauses(points)}"
    return f"{told}; {_by_outcome(points, altered)}"
