"""What an invocation failed of, and when its equal failures are enough.

A deterministic failure is not made more certain by its hundredth repetition, and each may cost
minutes: after so many equal ones in one cell the further invocations are not made. What was not
made is no evidence and never counted (exact bounds on survival say what the attempts allow).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from reprokit.adapter import Adapter, Reading
from reprokit.failure import fingerprint, make_failure, read_failure, shortened
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.records import STOPPED_EARLY, Arm, Failure
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import invocation_record, point_context
from reprokit.stack import ReadyPoint

_MOST_CAUSES = 50


def logged_failure(
    reading: Reading, run: RunDirectory, planned: PlannedInvocation, source: Path
) -> Failure | None:
    """Return the benchmark's own record of its failure, else what its logs say.

    Standard output is full of results, so it counts only where it names an exception.
    """
    if reading.failure is not None:
        return fingerprinted(reading.failure)
    folder = run.invocation(planned.id)
    found = read_failure(folder / "stderr.log", relative_to=run.path, source=source)
    if found is None or found.exception is None:
        other = read_failure(folder / "stdout.log", relative_to=run.path, source=source)
        if other is not None and other.exception is not None:
            return other
    return found


def fingerprinted(failure: Failure) -> Failure:
    """Bound a failure that a benchmark recorded, and give it the fingerprint that all others have.

    What was read from a log is bounded already; a benchmark writes as much as it likes.
    """
    causes = (
        cause.model_copy(update={"message": shortened(cause.message)})
        for cause in failure.causes[-_MOST_CAUSES:]
    )
    message = shortened(failure.message)
    digest = failure.fingerprint or fingerprint(failure.exception, message, failure.frame)
    changes = {"message": message, "causes": tuple(causes), "fingerprint": digest}
    return failure.model_copy(update=changes)


class Failures:
    """Remembers how the invocations of every cell failed, in the order in which they were made."""

    def __init__(self, plan: Plan, adapter: Adapter, run: RunDirectory) -> None:
        self._plan, self._adapter, self._run = plan, adapter, run
        self._seen: dict[tuple[str, str, Arm], list[str | None]] = defaultdict(list)

    def remember(self, planned: PlannedInvocation, ready: ReadyPoint, found: Exit) -> None:
        """Take note of how an invocation ended."""
        if self._plan.same_failure_stops:
            self._seen[_place(planned)].append(self._fingerprint(planned, ready, found))

    def enough(self, planned: PlannedInvocation) -> str | None:
        """Say why an invocation need not be made; None when it is to be made."""
        limit = self._plan.same_failure_stops
        seen = self._seen[_place(planned)]
        last = seen[-limit:] if limit else []
        if not last or len(last) < limit or last[0] is None or len(set(last)) > 1:
            return None
        of = sum(_place(each) == _place(planned) for each in self._plan.invocations)
        return (
            f"{STOPPED_EARLY}: {len(seen)} of {of} invocations were made, the last {len(last)} "
            f"failed alike ({last[0]})"
        )

    def _fingerprint(
        self, planned: PlannedInvocation, ready: ReadyPoint, found: Exit
    ) -> str | None:
        """Return the fingerprint of a failure; None where the process ended well."""
        if found.outcome() == "ok":
            return None
        context = point_context(ready, self._adapter)
        invocation = invocation_record(self._plan, planned, self._run)
        try:
            reading = self._adapter.read(self._plan.setup, context, invocation)
            failure = logged_failure(reading, self._run, planned, Path(context.source))
        except OSError:
            failure = None  # its files are gone or no files: how it ended must do
        if failure is None or (failure.exception is None and found.stopped_by is not None):
            return make_failure(None, found.outcome()).fingerprint
        return failure.fingerprint


def _place(planned: PlannedInvocation) -> tuple[str, str, Arm]:
    return planned.point, planned.cell, planned.arm
