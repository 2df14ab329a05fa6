"""What one check of a gate found, and the gate that several findings make."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from reprokit.verdict.gate import GateName, GateVerdict
from reprokit.verdict.records import PointVerdict
from reprokit.verdict.wording import position

State = Literal["fail", "open", "pass"]

_WORST_FIRST: Final[tuple[State, ...]] = ("fail", "open", "pass")
_WORD: Final = re.compile(r"[a-z]+ ")
_MOST_PLACES = 3
_MOST_SENTENCES = 12


@dataclass(frozen=True)
class Finding:
    """One sentence, without a full stop, and what it means for the gate; `where` is a place."""

    state: State
    says: str
    where: str = ""


def place_of(point: PointVerdict) -> str:
    """Name a point by its axes, or by the stack point's id."""
    return position(point.axes) or point.point


def gate_of(gate: GateName, findings: Iterable[Finding]) -> GateVerdict:
    """Draw a gate from its findings: the worst of them counts, and none at all is `open`."""
    found = list(findings)
    states = {each.state for each in found}
    verdict: State = next((state for state in _WORST_FIRST if state in states), "open")
    told = [line for state in _WORST_FIRST for line in _sentences(found, state)]
    if len(told) > _MOST_SENTENCES:
        told = [*told[:_MOST_SENTENCES], f"And {len(told) - _MOST_SENTENCES} more."]
    return GateVerdict(
        gate=gate, verdict=verdict, evidence=tuple(told) or ("There is nothing to judge it by.",)
    )


def _sentences(found: Sequence[Finding], state: State) -> list[str]:
    """Write each sentence once, with the places it is about unless it is about all of them."""
    every = {each.where for each in found if each.where}
    places: dict[str, dict[str, None]] = {}
    for each in found:
        if each.state == state:
            places.setdefault(each.says, {}).update({each.where: None} if each.where else {})
    return [_sentence(says, list(where), len(every)) for says, where in places.items()]


def _sentence(says: str, places: Sequence[str], every: int) -> str:
    # Names of files and paths keep their first letter.
    told = says[0].upper() + says[1:] if _WORD.match(says) else says
    if len(places) in {0, every}:
        return f"{told}."
    more = f"; and {len(places) - _MOST_PLACES} more" if len(places) > _MOST_PLACES else ""
    return f"{told} (at {'; '.join(places[:_MOST_PLACES])}{more})."
