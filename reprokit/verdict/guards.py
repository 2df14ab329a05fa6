"""Guards: what forbids a decision on the figures, in the order in which it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reprokit.claim.model import Conclusion, ExpectGain, ExpectStability
from reprokit.records import NOT_ATTEMPTED, Arm, CompileDecision, FailureKind, Row, RowStatus
from reprokit.stack import ReadyPoint
from reprokit.stats.sample import IMPOSSIBLE, NO_DATA, ZERO_VARIANCE, Undefined
from reprokit.verdict.figures import Figures, metric_of
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.units import MeasuredInvocation, Stratum, Unit, is_stopped_early

_FROM_ESTIMATE = {
    IMPOSSIBLE: (Outcome.INVALID, Reason.IMPOSSIBLE_VALUE),
    ZERO_VARIANCE: (Outcome.INVALID, Reason.ZERO_VARIANCE),
    NO_DATA: (Outcome.INSUFFICIENT, Reason.ONLY_COLD),
}


_ENVIRONMENT_FAULTS = frozenset({FailureKind.IMPORT_ERROR, FailureKind.STACK_INCOMPATIBLE})
"""Kinds of failure that say nothing of a claim where the baseline did not survive either."""


@dataclass(frozen=True)
class Tested:
    """What a claim puts to the test.

    Attributes:
        own_code: its code is the benchmark's, at a commit; of a built-in benchmark only what is
            done to it is tested, so one that cannot run at all tests nothing.
        same_arms: both arms are one and the same, so that its failures are the claim's own.
    """

    own_code: bool = True
    same_arms: bool = False


@dataclass(frozen=True)
class Decision:
    """An outcome with the codes of its reasons, the most important first."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


def needed_arms(expect: Conclusion) -> tuple[Arm, ...]:
    """Name the arms that a conclusion is drawn from."""
    comparing = expect.kind in {"gain", "equivalence"}
    return (Arm.SUBJECT, Arm.BASELINE) if comparing else (Arm.SUBJECT,)


def guard(
    unit: Unit, ready: ReadyPoint | None, expect: Conclusion, figures: Figures, tested: Tested
) -> Decision | None:
    """Return the decision that a guard forces, None where the figures may decide."""
    return next(_violations(unit, ready, expect, figures, tested), None)


def _violations(
    unit: Unit, ready: ReadyPoint | None, expect: Conclusion, figures: Figures, tested: Tested
) -> Iterator[Decision]:
    arms = needed_arms(expect)
    if not _states_a_bound(expect):
        yield Decision(Outcome.INVALID, (Reason.NOTHING_EXPECTED,))
    if ready is None or ready.failed or _any(unit, RowStatus.ENVIRONMENT_FAILED):
        code = (ready.failed,) if ready and ready.failed else ()
        yield Decision(Outcome.INVALID, (Reason.ENVIRONMENT_FAILED, *code))
    if not unit.launches(Arm.SUBJECT):
        yield Decision(Outcome.INSUFFICIENT, (Reason.NOTHING_PLANNED,))
    if any(_incomplete(unit)):
        yield Decision(Outcome.INVALID, (Reason.INCOMPLETE_RUN,))
    if any(row.status is RowStatus.CONTAMINATED for row in unit.rows(*arms)):
        yield Decision(Outcome.INVALID, (Reason.CONTAMINATED,))
    yield from _untested(unit, expect, tested)
    yield from _subject(unit, expect)
    if expect.kind == "stability":
        yield from _attempts(unit)
        return
    if Arm.BASELINE in arms and not all(_survives(each, Arm.BASELINE) for each in unit.strata):
        yield Decision(Outcome.INVALID, (Reason.BASELINE_NO_SURVIVORS,))
    yield from _usable(unit, expect, figures, arms)


def _untested(unit: Unit, expect: Conclusion, tested: Tested) -> Iterator[Decision]:
    """Find a stratum whose failures are no evidence: what the claim is about was never reached.

    A crash of the subject is evidence beside a baseline that survives. Where that died too,
    the code of a claim's own commit may still be what fails, and then a figure is not reproduced;
    a rate of crashes, and all that a built-in benchmark measures, needs the survivor.
    """
    for stratum in unit.strata:
        rows = [row for launch in stratum.launches[Arm.SUBJECT] for row in _made(launch)]
        if not rows or any(_returned(row) for row in rows):
            continue
        rates = expect.kind == "stability"
        if (rates or not tested.own_code) and _statuses(rows) == {RowStatus.UNSUPPORTED}:
            yield Decision(Outcome.INVALID, (Reason.UNSUPPORTED,))
        if _survives(stratum, Arm.BASELINE):
            continue
        if not tested.own_code and all(_is_environment_fault(row) for row in rows):
            yield Decision(Outcome.INVALID, (Reason.ENVIRONMENT_FAULT,))
        needed = rates or (not tested.own_code and Arm.BASELINE in needed_arms(expect))
        measured = any(_made(launch) for launch in stratum.launches[Arm.BASELINE])
        if needed and measured and not tested.same_arms:
            yield Decision(Outcome.INVALID, (Reason.BASELINE_NO_SURVIVORS,))


def _subject(unit: Unit, expect: Conclusion) -> Iterator[Decision]:
    """Decide what needs no figures: a stratum in which nothing survived or nothing compiled.

    A claim over several strata is about each of them, so one is enough. Rows of which nobody can
    say whether they compiled may be survivors: a stratum that has some is not known to have failed.
    """
    failed = [
        [row for launch in stratum.launches[Arm.SUBJECT] for row in _made(launch)]
        for stratum in unit.strata
        if not _survives(stratum, Arm.SUBJECT)
    ]
    known = [rows for rows in failed if not any(map(_unproven, rows))]
    fell_back = [
        row for rows in known if _statuses(rows) == {RowStatus.SILENT_FALLBACK} for row in rows
    ]
    if fell_back:
        partly = any(_compiled(row) is CompileDecision.PARTLY for row in fell_back)
        yield Decision(Outcome.SILENT_FALLBACK, (Reason.COMPILED_PARTLY,) if partly else ())
    rates = expect.kind == "stability"
    if known and not rates:
        codes = {
            frozenset({RowStatus.UNSUPPORTED}): Reason.UNSUPPORTED,
            frozenset({RowStatus.WRONG_OUTPUT}): Reason.WRONG_OUTPUT,
        }
        reasons = {codes[key] for rows in known if (key := frozenset(_statuses(rows))) in codes}
        yield Decision(Outcome.NO_SURVIVORS, tuple(sorted(reasons)))
    # A rate of failures counts every row, so one that may be none is too many.
    if len(known) < len(failed) or (rates and any(map(_unproven, unit.rows(Arm.SUBJECT)))):
        yield Decision(Outcome.INVALID, (Reason.COMPILE_UNPROVEN,))


def _attempts(unit: Unit) -> Iterator[Decision]:
    """Ask whether a crash rate can be drawn at all: it needs attempts in at least 2 launches."""
    for stratum in unit.strata:
        tried = sum(_attempted(launch) for launch in stratum.launches[Arm.SUBJECT])
        if tried == 0:
            yield Decision(Outcome.INVALID, (Reason.UNSUPPORTED,))
        if tried < 2:
            yield Decision(Outcome.INSUFFICIENT, (Reason.TOO_FEW_INVOCATIONS,))


def _usable(
    unit: Unit, expect: Conclusion, figures: Figures, arms: tuple[Arm, ...]
) -> Iterator[Decision]:
    metric = metric_of(expect)
    usable = [row for arm in arms for launch in unit.launches(arm) for row in launch.ok]
    if any(metric not in row.values for row in usable):
        yield Decision(Outcome.INVALID, (Reason.METRIC_MISSING,))
    if len(_devices(usable)) > 1:
        yield Decision(Outcome.INVALID, (Reason.MIXED_DEVICES,))
    for arm in arms:
        found = figures.arms[arm]
        if isinstance(found, Undefined):
            outcome, reason = _FROM_ESTIMATE.get(
                found.reason, (Outcome.INSUFFICIENT, Reason.TOO_FEW_INVOCATIONS)
            )
            yield Decision(outcome, (reason,))


def _states_a_bound(expect: Conclusion) -> bool:
    if isinstance(expect, ExpectGain):
        return expect.at_least is not None or expect.at_most is not None
    if isinstance(expect, ExpectStability):
        return expect.equals is not None or expect.at_most is not None
    return True


def _devices(rows: list[Row]) -> set[str]:
    return {row.evidence.device for row in rows if row.evidence.device is not None}


def _statuses(rows: list[Row]) -> set[RowStatus]:
    return {row.status for row in rows}


def _returned(row: Row) -> bool:
    """Tell whether a call came back: with what is another question."""
    came_back = {RowStatus.OK, RowStatus.SILENT_FALLBACK, RowStatus.WRONG_OUTPUT}
    return row.status in came_back


def _is_environment_fault(row: Row) -> bool:
    return row.failure is not None and row.failure.kind in _ENVIRONMENT_FAULTS


def _compiled(row: Row) -> CompileDecision | None:
    return row.evidence.compile.decision if row.evidence.compile else None


def _unproven(row: Row) -> bool:
    """Tell whether a row was taken from the ok ones only for want of a proof of compilation."""
    return row.status is RowStatus.SILENT_FALLBACK and _compiled(row) not in {
        CompileDecision.FELL_BACK,
        CompileDecision.PARTLY,
    }


def _any(unit: Unit, status: RowStatus) -> bool:
    return any(row.status is status for row in unit.rows())


def _incomplete(unit: Unit) -> Iterator[bool]:
    """Tell of every launch whether a part of it is missing.

    One that was stopped early is not, where failures of the same arm and cell bear it out.
    """
    for stratum in unit.strata:
        for launches in stratum.launches.values():
            failed = any(_failed(launch) for launch in launches)
            for launch in launches:
                not_run = any(row.status is RowStatus.NOT_RUN for row in launch.rows)
                yield bool(launch.missing) or (not_run and not (launch.stopped_early and failed))


def _failed(launch: MeasuredInvocation) -> bool:
    return not launch.complete and any(
        row.status not in {RowStatus.NOT_RUN, RowStatus.ENVIRONMENT_FAILED} for row in launch.rows
    )


def _made(launch: MeasuredInvocation) -> tuple[Row, ...]:
    return tuple(row for row in launch.rows if not is_stopped_early(row))


def _survives(stratum: Stratum, arm: Arm) -> bool:
    return any(row.status is RowStatus.OK for each in stratum.launches[arm] for row in each.rows)


def _attempted(launch: MeasuredInvocation) -> bool:
    return any(row.status not in NOT_ATTEMPTED for row in launch.rows)
