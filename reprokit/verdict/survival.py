"""Survival of each arm and its failures, grouped so that equal failures are told once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reprokit.records import NOT_ATTEMPTED, Arm, Failure, Row, RowStatus
from reprokit.stats.rates import clustered_crash_rate, crash_rate, survival
from reprokit.verdict.records import FailureGroup, Survival
from reprokit.verdict.units import Launch, Unit

# A benchmark writes its messages as it likes; the whole text stays in the log.
_LONGEST = 500
_MOST_CAUSES = 8


def survival_of(unit: Unit, arm: Arm, level: float) -> Survival:
    """Count what became of an arm's invocations and iterations."""
    launches = unit.launches(arm)
    statuses = Counter(row.status for launch in launches for row in launch.rows)
    statuses[RowStatus.NOT_RUN] += sum(launch.missing for launch in launches)
    complete = sum(launch.complete for launch in launches)
    attempted = sum(_launched(launch) for launch in launches)
    counts = [_failed_attempted(launch) for launch in launches]
    return Survival(
        arm=arm,
        planned=len(launches),
        attempted=attempted,
        complete=complete,
        partial=sum(bool(launch.ok) and not launch.complete for launch in launches),
        statuses={status: statuses[status] for status in RowStatus if statuses[status]},
        cold=sum(row.cold and row.status is RowStatus.OK for row in unit.rows(arm)),
        rate=survival(complete, attempted, level),
        crash_rate=clustered_crash_rate(counts, level),
        crash_rate_as_published=crash_rate(
            sum(failed for failed, _ in counts), sum(tried for _, tried in counts), level
        ),
    )


def failures_of(unit: Unit) -> tuple[FailureGroup, ...]:
    """Group the rows that are not ok by arm, status and fingerprint, the most frequent first."""
    groups: dict[tuple[Arm, RowStatus, str, str], list[Row]] = {}
    for row in unit.rows():
        if row.status is not RowStatus.OK:
            print_ = row.failure.fingerprint if row.failure else ""
            reason = "" if row.failure else row.reason or ""
            groups.setdefault((row.arm, row.status, print_, reason), []).append(row)
    found = [_group(rows) for rows in groups.values()]
    return tuple(sorted(found, key=lambda group: (-group.rows, group.arm, group.headline)))


def main_failure(groups: Sequence[FailureGroup], arm: Arm) -> FailureGroup | None:
    """Return the most frequent failure of an arm, one with an exception before one without."""
    mine = [group for group in groups if group.arm is arm]
    return next((group for group in mine if group.exception), mine[0] if mine else None)


def _group(rows: list[Row]) -> FailureGroup:
    first = min(rows, key=lambda row: row.id)
    failure = first.failure
    return FailureGroup(
        arm=first.arm,
        status=first.status,
        fingerprint=failure.fingerprint if failure else None,
        exception=failure.exception if failure else None,
        frame=_frame(failure),
        headline=_short(failure.headline() if failure else first.reason or "no reason recorded"),
        message=_short(_message(first)),
        causes=_causes(failure),
        invocations=len({row.id.rsplit("__", 1)[0] for row in rows}),
        rows=len(rows),
        log=failure.log if failure else None,
    )


def _message(row: Row) -> str:
    text = row.failure.message.strip() if row.failure else row.reason or ""
    return text.splitlines()[0] if text else ""


def _causes(failure: Failure | None) -> tuple[str, ...]:
    causes = failure.causes[:_MOST_CAUSES] if failure else ()
    return tuple(_short(f"{cause.exception}: {cause.message}") for cause in causes)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _frame(failure: Failure | None) -> str | None:
    if failure is None or failure.frame is None:
        return None
    return f"{failure.frame.file}:{failure.frame.line} in {failure.frame.function}"


def _launched(launch: Launch) -> bool:
    """Tell whether the process was started; unsupported ones are (docs/decisions/0003)."""
    never = {RowStatus.ENVIRONMENT_FAILED, RowStatus.NOT_RUN}
    return any(
        row.status not in never
        and not (row.status is RowStatus.UNSUPPORTED and row.failure is None)
        for row in launch.rows
    )


def _failed_attempted(launch: Launch) -> tuple[int, int]:
    attempted = [row for row in launch.rows if row.status not in NOT_ATTEMPTED]
    return sum(row.status is not RowStatus.OK for row in attempted), len(attempted)
