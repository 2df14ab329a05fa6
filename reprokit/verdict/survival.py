"""Survival of each arm and its failures, grouped so that equal failures are told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reprokit.records import NOT_ATTEMPTED, Arm, Failure, Row, RowStatus
from reprokit.stats.rates import clustered_crash_rate, crash_rate, survival
from reprokit.verdict.processes import by_process
from reprokit.verdict.records import FailureGroup, Survival
from reprokit.verdict.units import MeasuredInvocation, Unit, is_stopped_early

# A benchmark writes its messages as it likes; the whole text stays in the log.
_LONGEST = 500
_MOST_CAUSES = 8
_NO_REASON = "no reason recorded"
# Reasons of these statuses say how it ended and not why; the end of the log may tell.
_ENDED_BADLY = frozenset(
    {RowStatus.CRASH, RowStatus.OOM, RowStatus.KILLED, RowStatus.ENVIRONMENT_FAILED}
)


def survival_of(unit: Unit, arm: Arm, level: float) -> Survival:
    """Count what became of an arm's invocations and iterations; rates are over its processes."""
    launches = unit.launches(arm)
    statuses = Counter(row.status for launch in launches for row in launch.rows)
    statuses[RowStatus.NOT_RUN] += sum(launch.missing for launch in launches)
    complete = sum(launch.complete for launch in launches)
    attempted = sum(_launched(launch) for launch in launches)
    processes = [each for each in by_process(launches) if any(map(_launched, each))]
    counts = [_failed_attempted(each) for each in processes]
    whole = sum(
        all(launch.complete or not _launched(launch) for launch in each) for each in processes
    )
    return Survival(
        arm=arm,
        planned=len(launches),
        attempted=attempted,
        complete=complete,
        partial=sum(bool(launch.ok) and not launch.complete for launch in launches),
        statuses={status: statuses[status] for status in RowStatus if statuses[status]},
        stopped_early=sum(launch.stopped_early for launch in launches),
        cold=sum(row.cold and row.status is RowStatus.OK for row in unit.rows(arm)),
        rate=survival(whole, len(processes), level),
        crash_rate=clustered_crash_rate(counts, level),
        crash_rate_as_published=crash_rate(
            sum(failed for failed, _ in counts), sum(tried for _, tried in counts), level
        ),
    )


def failures_of(unit: Unit) -> tuple[FailureGroup, ...]:
    """Group the rows that are not ok by arm, status and fingerprint, the most frequent first.

    What was not made for the sake of equal failures is no further failure.
    """
    groups: dict[tuple[Arm, RowStatus, str, str], list[Row]] = {}
    for row in unit.rows():
        if row.status is not RowStatus.OK and not is_stopped_early(row):
            groups.setdefault((row.arm, row.status, *_told(row)), []).append(row)
    found = [_group(rows) for rows in groups.values()]
    return tuple(sorted(found, key=lambda group: (-group.rows, group.arm, group.headline)))


def main_failure(groups: Sequence[FailureGroup], arm: Arm) -> FailureGroup | None:
    """Return the most frequent failure of an arm, one with an exception before one without."""
    mine = [group for group in groups if group.arm is arm]
    return next((group for group in mine if group.exception), mine[0] if mine else None)


def _group(rows: list[Row]) -> FailureGroup:
    first = min(rows, key=lambda row: row.id)
    per_invocation = Counter(row.id.rpartition("__")[0] for row in rows)
    failure = first.failure
    message = _message(first)
    return FailureGroup(
        arm=first.arm,
        status=first.status,
        fingerprint=failure.fingerprint if failure else None,
        kind=failure.kind if failure else None,
        exception=failure.exception if failure else None,
        frame=_frame(failure),
        headline=_short(
            failure.headline() if failure and failure.exception else message or _NO_REASON
        ),
        message=_short(message),
        causes=_causes(failure),
        invocations=len(per_invocation),
        rows=len(rows),
        per_invocation=dict(sorted(per_invocation.items())),
        log=failure.log if failure else None,
    )


def _told(row: Row) -> tuple[str, str]:
    """What makes failures equal: the fingerprint of an exception, else status and reason."""
    fingerprint = row.failure.fingerprint if row.failure else ""
    raised = row.failure is not None and row.failure.exception is not None
    return fingerprint, "" if raised else row.reason or ""


def _message(row: Row) -> str:
    """Tell the most helpful line: an exception's message, or the reason of the status.

    Without an exception a failure holds the last line of a log, which may be about anything. It is
    told where the reason is only a code or says no more than how the process ended.
    """
    said = row.failure.message.strip().splitlines()[:1] if row.failure else []
    last = said[0] if said else ""
    if row.failure is not None and row.failure.exception is not None:
        return last
    reason = row.reason or ""
    explained = not last or row.status not in _ENDED_BADLY
    return reason if explained or last == reason else f"{reason}: {last}".removeprefix(": ")


def _causes(failure: Failure | None) -> tuple[str, ...]:
    causes = failure.causes[:_MOST_CAUSES] if failure else ()
    return tuple(_short(f"{cause.exception}: {cause.message}") for cause in causes)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _frame(failure: Failure | None) -> str | None:
    if failure is None or failure.frame is None:
        return None
    return f"{failure.frame.file}:{failure.frame.line} in {failure.frame.function}"


def _launched(launch: MeasuredInvocation) -> bool:
    """Tell whether the process was started; unsupported ones are (docs/decisions/0003)."""
    never = {RowStatus.ENVIRONMENT_FAILED, RowStatus.NOT_RUN}
    return any(
        row.status not in never
        and not (row.status is RowStatus.UNSUPPORTED and row.failure is None)
        for row in launch.rows
    )


def _failed_attempted(launches: Sequence[MeasuredInvocation]) -> tuple[int, int]:
    rows = [row for launch in launches for row in launch.rows]
    attempted = [row for row in rows if row.status not in NOT_ATTEMPTED]
    return sum(row.status is not RowStatus.OK for row in attempted), len(attempted)
