"""What rows must prove together: the subject computed what the baseline computed, and each anew.

Pure functions over rows. Greedy tokens are compared, not logits: compiled code may round in
another order. A difference counts as rounding only where the evidence of one side says that the
other's token was as good as its own (a tie); the label `output_tied` then stands beside the row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from reprokit.records import Arm, Evidence, Row, RowStatus

OUTPUT_UNCHECKED = "output_unchecked"
OUTPUT_TIED = "output_tied"

_Place = tuple[str, str]
_MOST_NAMED = 4
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
    if row.evidence.output_tokens is None or not known:
        return _labelled(row, OUTPUT_UNCHECKED)
    comparable = [each for each in known if _same_input(row.evidence, each.evidence)]
    if not comparable:
        return _without_counterpart(row, known)
    found = [_compared(row.evidence, each.evidence) for each in comparable]
    # A baseline may disagree with itself from one process to the next; that is no error of the
    # subject, so one output that it agrees with is enough.
    if any(each.position is None and not each.tied for each in found):
        return row
    if any(each.position is None for each in found):
        return _labelled(row, OUTPUT_TIED)
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


@dataclass(frozen=True)
class _Comparison:
    """Where two outputs differ beyond rounding, None for nowhere; whether ties were accepted."""

    position: int | None
    tied: bool = False


def _compared(subject: Evidence, baseline: Evidence) -> _Comparison:
    """Compare two outputs token by token.

    After an accepted tie the rest of its sequence follows from other tokens and is not compared.
    """
    mine, theirs = subject.output_tokens or (), baseline.output_tokens or ()
    steps = max(1, subject.output_steps or 1)
    if subject.output_steps != baseline.output_steps:
        steps = 1
    diverged = -1
    for at, (left, right) in enumerate(zip(mine, theirs, strict=False)):
        if left == right or at // steps == diverged:
            continue
        if not (_names(subject, at, right) or _names(baseline, at, left)):
            return _Comparison(at)
        diverged = at // steps
    if len(mine) != len(theirs):
        return _Comparison(min(len(mine), len(theirs)))
    return _Comparison(None, tied=diverged >= 0)


def _names(evidence: Evidence, at: int, token: int) -> bool:
    """Tell whether the evidence itself says that `token` was as good as its own there."""
    ties = evidence.output_ties or ()
    return at < len(ties) and ties[at] == token


def _labelled(row: Row, label: str) -> Row:
    return row.model_copy(update={"labels": (*row.labels, label)})


def _lowered(row: Row, reason: str) -> Row:
    return row.model_copy(update={"status": RowStatus.WRONG_OUTPUT, "reason": reason})
