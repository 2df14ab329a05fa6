"""What rows must prove together: the subject computed what the baseline computed, and each anew.

Pure functions over rows. Greedy tokens are compared, not logits: compiled code may round in
another order. A difference counts as rounding only where the evidence of one side says that the
other's token was as good as its own (a tie); the label `output_tied` then stands beside the row.

Tokens can stay the same where the model is another one, its weights off by some per cent. So where
both sides gave some of their logits and the tolerance, those are compared too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from reprokit.records import Arm, Evidence, Row, RowStatus

OUTPUT_UNCHECKED = "output_unchecked"
OUTPUT_TIED = "output_tied"

_Place = tuple[str, str]
_MOST_NAMED = 4
_MISSING = "output_missing: no output tokens, where the baseline gave its own"
_NONE: Mapping[str, str] = MappingProxyType({})


def with_outputs_checked(
    rows: Sequence[Row], baseline_of: Mapping[str, str] = _NONE
) -> tuple[Row, ...]:
    """Lower rows whose output is a repeated one, then subjects that disagree with the baseline.

    `baseline_of` maps cells without a baseline of their own to the cell that has it
    (`Plan.baselines`).
    """
    fresh = _without_repeats(rows)
    baselines: dict[_Place, list[Row]] = defaultdict(list)
    for row in fresh:
        if row.arm is Arm.BASELINE and row.status is RowStatus.OK:
            baselines[row.point, row.cell].append(row)
    return tuple(
        _checked(row, baselines[row.point, baseline_of.get(row.cell, row.cell)])
        if row.arm is Arm.SUBJECT and row.status is RowStatus.OK
        else row
        for row in fresh
    )


def _without_repeats(rows: Sequence[Row]) -> list[Row]:
    """Lower every ok row whose output, to the bit, another input of its process gave as well."""
    groups: dict[tuple[str, str, Arm, int, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row.evidence.output_digest is not None and row.evidence.input_digest is not None:
            place = (row.point, row.cell, row.arm, row.invocation, row.evidence.output_digest)
            groups[place].append(row)
    reasons = {
        row.id: _repeated(group)
        for group in groups.values()
        if len({row.evidence.input_digest for row in group}) > 1
        for row in group
    }
    return [
        _lowered(row, reasons[row.id]) if row.id in reasons and row.status is RowStatus.OK else row
        for row in rows
    ]


def _repeated(group: Sequence[Row]) -> str:
    named = [str(row.iteration) for row in group[:_MOST_NAMED]]
    more = f" and {len(group) - _MOST_NAMED} more" if len(group) > _MOST_NAMED else ""
    told = ", ".join(named) + more if more else f"{', '.join(named[:-1])} and {named[-1]}"
    return (
        f"repeated_output: iterations {told} gave the same logits to the bit for different inputs"
    )


def _checked(row: Row, baseline: Sequence[Row]) -> Row:
    """Compare a subject's row with the ok rows of its baseline."""
    known = [each for each in baseline if each.evidence.output_tokens is not None]
    if not known:
        return _labelled(row, OUTPUT_UNCHECKED)
    if row.evidence.output_tokens is None:
        # Whoever keeps its output to itself is not believed where the other arm showed its own.
        return _lowered(row, _MISSING, RowStatus.FALL_THROUGH)
    comparable = [each for each in known if _same_input(row.evidence, each.evidence)]
    return _agreeing(row, comparable) if comparable else _without_counterpart(row, known)


def _agreeing(row: Row, comparable: Sequence[Row]) -> Row:
    """Keep a row that agrees with one of the baseline's rows of the same input."""
    found = [_compared(row.evidence, each.evidence) for each in comparable]
    # A baseline may disagree with itself from one process to the next; that is no error of the
    # subject, so one output that it agrees with is enough.
    if any(each.position is None and each.apart is None and not each.tied for each in found):
        return row
    if any(each.position is None and each.apart is None for each in found):
        return _labelled(row, OUTPUT_TIED)
    apart = [each.apart for each in found if each.position is None and each.apart is not None]
    if apart:
        return _lowered(row, _far_apart(min(apart)))
    outputs = {each.evidence.output_tokens for each in comparable}
    among = (
        "the baseline's" if len(outputs) == 1 else f"each of {len(outputs)} outputs of the baseline"
    )
    position = max(each.position or 0 for each in found)
    return _lowered(row, f"output_differs: from {among} at token {position}")


def _without_counterpart(row: Row, known: Iterable[Row]) -> Row:
    """Tell an input that the baseline did not come to from one that it was never given.

    Every iteration has the same input in both arms. Where the baseline's own is known and another
    one, the arms did different work.
    """
    mine = (row.invocation, row.iteration)
    if any((each.invocation, each.iteration) == mine for each in known):
        return _lowered(row, "input_differs: the baseline's iteration had another input")
    return _labelled(row, OUTPUT_UNCHECKED)


def _same_input(one: Evidence, other: Evidence) -> bool:
    """Compare digests where both have one; without, a cell has one input."""
    digests = {one.input_digest, other.input_digest}
    return None in digests or len(digests) == 1


class _Distance(NamedTuple):
    """Difference of logits relative to their size, and the most that rounding explains."""

    relative: float
    allowed: float


@dataclass(frozen=True)
class _Comparison:
    """How two outputs differ.

    Attributes:
        position: of the first token that differs beyond rounding; None for nowhere.
        tied: tokens that differ were accepted as ties.
        apart: how far the logits are apart where that is beyond rounding; else None.
    """

    position: int | None
    tied: bool = False
    apart: _Distance | None = None


def _compared(subject: Evidence, baseline: Evidence) -> _Comparison:
    """Compare two outputs token by token.

    After an accepted tie the rest of its sequence follows from other tokens and is not compared.
    """
    mine, theirs = subject.output_tokens or (), baseline.output_tokens or ()
    steps = max(1, subject.output_steps or 1)
    if subject.output_steps != baseline.output_steps:
        steps = 1
    diverged: set[int] = set()
    for at, (left, right) in enumerate(zip(mine, theirs, strict=False)):
        if left == right or at // steps in diverged:
            continue
        if not (_names(subject, at, right) or _names(baseline, at, left)):
            return _Comparison(at)
        diverged.add(at // steps)
    if len(mine) != len(theirs):
        return _Comparison(min(len(mine), len(theirs)))
    left_out = diverged if steps > 1 else set()
    return _Comparison(None, tied=bool(diverged), apart=_apart(subject, baseline, left_out))


def _apart(subject: Evidence, baseline: Evidence, left_out: set[int]) -> _Distance | None:
    """Return how far the logits are apart, the worst sequence; None within the tolerance.

    Sequences that went on from another token have other logits and are left out. Where one side
    gave none, nothing is compared.
    """
    mine, theirs = subject.output_logits, baseline.output_logits
    tolerances = [t for t in (subject.logit_tolerance, baseline.logit_tolerance) if t is not None]
    if mine is None or theirs is None or not tolerances:
        return None
    if [len(each) for each in mine] != [len(each) for each in theirs]:
        return _Distance(math.inf, min(tolerances))
    found = [
        _relative(one, other)
        for place, (one, other) in enumerate(zip(mine, theirs, strict=True))
        if place not in left_out
    ]
    worst = _Distance(max(found, default=0.0), min(tolerances))
    return None if worst.relative <= worst.allowed else worst


def _relative(one: Sequence[float], other: Sequence[float]) -> float:
    difference = math.dist(one, other)
    size = math.hypot(*other)
    if not math.isfinite(difference):
        return math.inf
    if size == 0:
        return math.inf if difference else 0.0
    return difference / size


def _far_apart(apart: _Distance) -> str:
    return (
        f"output_differs: the greedy tokens are the baseline's, but the logits differ by "
        f"{apart.relative:.2g} of their size; rounding explains {apart.allowed:.2g} at the most"
    )


def _names(evidence: Evidence, at: int, token: int) -> bool:
    """Tell whether the evidence itself says that `token` was as good as its own there."""
    ties = evidence.output_ties or ()
    return at < len(ties) and ties[at] == token


def _labelled(row: Row, label: str) -> Row:
    return row.model_copy(update={"labels": (*row.labels, label)})


def _lowered(row: Row, reason: str, status: RowStatus = RowStatus.WRONG_OUTPUT) -> Row:
    return row.model_copy(update={"status": status, "reason": reason})
