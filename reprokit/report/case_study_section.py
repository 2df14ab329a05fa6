"""How the failures of the subject differ over the stack points, and what a phase probe found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from reprokit.records import Arm, PhaseProbe, RowStatus, Scalar
from reprokit.report.evidence_section import place
from reprokit.report.markup import code, table, text
from reprokit.report.points_section import survival_words
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import FailureGroup, PointVerdict, Verdict
from reprokit.verdict.survival import main_failure
from reprokit.verdict.wording import OUTCOME_WORDS, number, outcome_words, position

_MOST = 40
_NO_FAILURE = frozenset({RowStatus.ENVIRONMENT_FAILED, RowStatus.NOT_RUN, RowStatus.CONTAMINATED})
"""Statuses that say nothing about the subject: it never began, or was disturbed."""
_PHASES = (
    "From one further launch of each arm (`--phase-probe`), in which the device is waited for "
    "between prefill and decode. It is no part of the claim's rows: nothing above counts it. "
    "Medians, without the first sample of each launch."
)


def failure_shapes_section(verdict: Verdict) -> list[str]:
    """Lay the subject's failures side by side, and say along which axes only their shape changes.

    Nothing where fewer than two points are compared or none of them failed.
    """
    if len(verdict.points) < 2 or not any(map(_failure, verdict.points)):
        return []
    arm = text(verdict.arms.get(Arm.SUBJECT, Arm.SUBJECT))
    header = ["point", "outcome", f"{arm} survived", "kind", "class", "where", "fingerprint"]
    rows = [
        [
            place(point),
            outcome_words(point.outcome, verdict.altered),
            _survived(point),
            *_shape(point),
        ]
        for point in verdict.points
    ]
    lines = ["## Failures over the points", "", *table(header, rows)]
    told = [line for axis in _axes(verdict) for line in _along(verdict, axis)]
    more = [f"- and {len(told) - _MOST} more comparisons"] if len(told) > _MOST else []
    return [*lines, *(["", *told[:_MOST], *more] if told else [])]


def phases_section(verdict: Verdict, probes: Sequence[PhaseProbe]) -> list[str]:
    """Write what launches beside the planned ones found of prefill and decode."""
    if not probes:
        return []
    named: dict[str, list[PointVerdict]] = {}
    for point in verdict.points:
        named.setdefault(point.point, []).append(point)
    rows = [
        [
            # Where cell axes make several points of one stack point, its id is what they share.
            place(mine[0]) if len(mine := named.get(probe.point, [])) == 1 else code(probe.point),
            code(probe.cell),
            text(verdict.arms.get(probe.arm, probe.arm)),
            *_timed(probe),
        ]
        for probe in probes
    ]
    methods = dict.fromkeys(probe.phases.method for probe in probes if probe.phases.method)
    header = ["point", "cell", "arm", "prefill ms", "decode ms/token", "samples", ""]
    lines = ["## Phases", "", _PHASES, "", *table(header, rows)]
    return [*lines, *(line for method in methods for line in ("", f"Timed: {text(method)}."))]


def _survived(point: PointVerdict) -> str:
    found = next((each for each in point.survival if each.arm is Arm.SUBJECT), None)
    return survival_words(found) if found else ""


def _shape(point: PointVerdict) -> list[str]:
    """Write what identifies the main failure; further ones are counted."""
    failure = _failure(point) or main_failure(point.failures, Arm.SUBJECT)
    if failure is None:
        return ["none", "", "", ""]
    others = {_told(each) for each in point.failures if each.arm is Arm.SUBJECT} - {_told(failure)}
    more = f" and {len(others)} more" if others else ""
    return [
        text((failure.kind or failure.status).replace("_", " ")),
        code(failure.exception or "") or text(failure.message, 120),
        code(failure.frame or ""),
        code(failure.fingerprint or "") + more,
    ]


def _failure(point: PointVerdict) -> FailureGroup | None:
    """Return the main failure of a subject that began and was not disturbed."""
    own = [each for each in point.failures if each.status not in _NO_FAILURE]
    return main_failure(own, Arm.SUBJECT)


def _told(failure: FailureGroup) -> str:
    """What makes two failures one shape, as the list of failures has it."""
    fingerprint = failure.fingerprint if failure.exception else None
    return fingerprint or f"{failure.status}: {failure.headline}"


def _axes(verdict: Verdict) -> list[str]:
    return list(dict.fromkeys(name for point in verdict.points for name in point.axes))


def _along(verdict: Verdict, axis: str) -> Iterator[str]:
    """Compare the points that differ in one axis only, where at least two of them failed."""
    settings: dict[str, list[PointVerdict]] = {}
    for point in verdict.points:
        if axis in point.axes:
            held = {name: value for name, value in point.axes.items() if name != axis}
            settings.setdefault(position(held), []).append(point)
    for held_words, points in settings.items():
        if sum(_failure(point) is not None for point in points) >= 2:
            at = f" (at {text(held_words)})" if held_words else ""
            yield f"- Along {code(axis)}{at}: {_comparison(axis, points, verdict.altered)}"


def _comparison(axis: str, points: Sequence[PointVerdict], altered: Sequence[str]) -> str:
    shapes: dict[str, list[Scalar]] = {}
    for point in points:
        if failure := _failure(point):
            shapes.setdefault(_told(failure), []).append(point.axes[axis])
    groups = "; ".join(
        f"{code(shape, 60)} at {', '.join(code(str(value)) for value in values)}"
        for shape, values in shapes.items()
    )
    if len(shapes) > 1:
        changed = f"**the shape of the failure changes** ({len(shapes)}: {groups})"
    else:
        changed = f"the shape of the failure stays the same ({groups})"
    told = [_outcome(point, altered) for point in points if point.outcome.decided]
    return f"{changed}, {_outcomes(axis, points, told, shapes_change=len(shapes) > 1)}"


def _outcomes(
    axis: str, points: Sequence[PointVerdict], told: Sequence[str], *, shapes_change: bool
) -> str:
    """Say whether the outcome changes with the axis, where it is decided at all (`told`)."""
    undecided = ", ".join(
        code(str(point.axes[axis])) for point in points if not point.outcome.decided
    )
    if len(told) < 2:
        return f"and the outcomes cannot be compared: undecided at {undecided}"
    if len(set(told)) > 1:
        words = "and so does the outcome" if shapes_change else "and the outcome changes"
    else:
        words = "but **the outcome does not**" if shapes_change else "and so does the outcome"
    where = f", as far as it is decided; undecided at {undecided}" if undecided else ""
    return f"{words} ({', '.join(dict.fromkeys(told))}){where}"


def _outcome(point: PointVerdict, altered: Sequence[str]) -> str:
    """Tell a point where nothing survived from one whose figures were not good enough."""
    words = outcome_words(point.outcome, altered)
    nothing = point.on_figures is Outcome.NO_SURVIVORS and point.outcome is not point.on_figures
    return f"{words}: {OUTCOME_WORDS[point.on_figures]}" if nothing else words


def _timed(probe: PhaseProbe) -> list[str]:
    used = [sample for sample in probe.phases.samples if not sample.cold]
    reason = probe.skipped or probe.phases.problem
    if not used:
        return ["", "", "0", text(reason or "no sample after the first")]
    prefill = median(sample.prefill_ms for sample in used)
    decode = median(sample.decode_ms / sample.decode_steps for sample in used)
    return [number(prefill), number(decode), str(len(used)), text(reason or "")]
