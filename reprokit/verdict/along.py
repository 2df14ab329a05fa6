"""Claims about an axis: `invariance` (one conclusion along it) and `flip` (it changes)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from reprokit.verdict.attribution import Line, lines_along
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import AlongAxis, PointVerdict

_ELSEWHERE = {
    Outcome.REPRODUCED: Outcome.TRANSFERS,
    Outcome.FALLS_SHORT: Outcome.DOES_NOT_TRANSFER,
}


def decide_along(
    kind: Literal["invariance", "flip"], axis: str, points: Sequence[PointVerdict]
) -> tuple[AlongAxis, ...]:
    """Decide the claim at every setting of the other axes.

    Only decided outcomes are compared. One change of the conclusion refutes an invariance and shows
    a flip, whatever is still open; the opposite takes every value decided.
    """
    elsewhere = any(part.status != "match" for point in points for part in point.regime)
    found = []
    for held, line in lines_along(axis, points, on_figures=True).items():
        outcome = _decide(kind, line)
        found.append(
            AlongAxis(
                held=dict(held),
                outcomes={str(value): each for value, each in line.items()},
                outcome=_ELSEWHERE.get(outcome, outcome) if elsewhere else outcome,
            )
        )
    return tuple(found)


def _decide(kind: Literal["invariance", "flip"], line: Line) -> Outcome:
    if len(line) < 2:
        return Outcome.INSUFFICIENT
    same = Outcome.REPRODUCED if kind == "invariance" else Outcome.FALLS_SHORT
    changes = Outcome.FALLS_SHORT if kind == "invariance" else Outcome.REPRODUCED
    if conclusion_changes(line.values()):
        return changes
    if all(outcome.decided for outcome in line.values()):
        return same
    return Outcome.INCONCLUSIVE


def conclusion_changes(outcomes: Iterable[Outcome]) -> bool:
    """Tell whether the decided outcomes are different conclusions: one holds, another does not.

    Ways of failing are one conclusion, "it does not hold", but for figures that miss the claim on
    opposite sides.
    """
    decided = {outcome for outcome in outcomes if outcome.decided}
    opposite = {Outcome.FALLS_SHORT, Outcome.EXCEEDS} <= decided
    return opposite or len({outcome.holds for outcome in decided}) > 1
