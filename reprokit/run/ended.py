"""The rows of an invocation that ended: what it reported, how it ended, what its log says."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from reprokit.adapter import Adapter, Reading, Sample
from reprokit.failure import classify, is_out_of_memory, make_failure
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.records import Evidence, Failure, FailureKind, Row, RowStatus
from reprokit.run.directory import RunDirectory
from reprokit.run.ending import Finding, bad_end
from reprokit.run.failing import fingerprinted, logged_failure
from reprokit.run.invocation import invocation_record, point_context
from reprokit.run.proof import DEVICE_UNREPORTED, impossible_time, lowered, merged
from reprokit.stack import ReadyPoint

DIED_LATER = "died_later"


def make_row(
    planned: PlannedInvocation,
    iteration: int,
    plan: Plan,
    finding: Finding,
    failure: Failure | None,
    sample: Sample | None = None,
    labels: tuple[str, ...] = (),
    evidence: Evidence | None = None,
) -> Row:
    """Return a planned iteration as what it was found to be."""
    return Row(
        id=planned.row_ids(plan.setup.samples)[iteration], point=planned.point, cell=planned.cell,
        arm=planned.arm, invocation=planned.index, iteration=iteration,
        status=finding.status, reason=finding.reason or None,
        failure=_classified(failure, finding.status),
        values=_finite(sample) if sample else {}, cold=sample.cold if sample else False,
        labels=labels, evidence=evidence or Evidence(),
    )  # fmt: skip


def _classified(failure: Failure | None, status: RowStatus) -> Failure | None:
    """Name a failure; one that the benchmark's own harness named keeps its name."""
    if failure is None or failure.kind is not None:
        return failure
    return failure.model_copy(update={"kind": _kind(failure, status)})


@lru_cache(maxsize=32)
def _kind(failure: Failure, status: RowStatus) -> FailureKind:
    """Name the failure that many rows share once."""
    return classify(failure, status)


def _finite(sample: Sample) -> dict[str, float]:
    """Return the numbers that JSON can hold; the reason of the row names one that it cannot."""
    return {name: value for name, value in sample.values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class Ended:
    """An invocation that ended: what it reported, how it ended, what its log says."""

    plan: Plan
    planned: PlannedInvocation
    reading: Reading
    samples: dict[int, Sample]
    contradiction: Finding | None
    time: Finding | None
    end: Finding | None
    failure: Failure | None

    def row(self, iteration: int, unsupported: str | None) -> Row:
        """Return one row; `unsupported` forbids that it is ok, and keeps how it failed.

        The benchmark may say it too, when it was asked.
        """
        unsupported = unsupported or self.reading.unsupported
        sample = self.samples.get(iteration)
        finding = self._finding(sample)
        failure = sample.failure if sample else None
        if failure is None and finding.status is not RowStatus.OK:
            failure = self.failure
        if unsupported is not None:
            finding = Finding(RowStatus.UNSUPPORTED, unsupported)
        return make_row(
            self.planned, iteration, self.plan, finding, failure,
            sample, self._labels(sample), self._evidence(sample),
        )  # fmt: skip

    def _evidence(self, sample: Sample | None) -> Evidence:
        own = sample.evidence if sample else Evidence()
        return merged(self.reading.evidence, own)

    def _labels(self, sample: Sample | None) -> tuple[str, ...]:
        labels = self.reading.labels
        if sample is not None and self._evidence(sample).device is None:
            labels = (*labels, DEVICE_UNREPORTED)
        if sample is not None and self.end is not None:
            labels = (*labels, DIED_LATER)
        return labels

    def _finding(self, sample: Sample | None) -> Finding:
        if self.contradiction is not None:
            return self.contradiction
        if sample is None:
            return self.end or self._missing()
        if sample.status is not RowStatus.OK:
            return Finding(sample.status, sample.reason or "the benchmark gave no reason")
        complete = len(self.samples) == self.plan.setup.samples
        if self.end is not None and complete:
            return Finding(self.end.status, f"{self.end.reason} after its last sample")
        evidence = self._evidence(sample)
        gate = lowered(sample, evidence, arm=self.planned.arm, setup=self.plan.setup)
        return gate or self.time or Finding(RowStatus.OK, sample.reason or "")

    def _missing(self) -> Finding:
        """Say why a process that exited well left a sample out."""
        if self.reading.problem is not None:
            return Finding(RowStatus.FALL_THROUGH, self.reading.problem)
        made, planned = len(self.samples), self.plan.setup.samples
        code = "missing_samples" if made else "no_samples"
        reason = f"{code}: exit 0 with {made} of {planned} samples"
        return Finding(RowStatus.FALL_THROUGH, reason)


def read_ended(
    plan: Plan,
    planned: PlannedInvocation,
    point: ReadyPoint,
    adapter: Adapter,
    run: RunDirectory,
    found: Exit,
) -> Ended:
    """Read the files of an invocation whose logs are those that were written.

    Raises:
        OSError: a log may not be read.
    """
    context = point_context(point, adapter)
    reading = adapter.read(plan.setup, context, invocation_record(plan, planned, run))
    logged = logged_failure(reading, run, planned, Path(context.source))
    out_of_memory = logged is not None and is_out_of_memory(logged)
    end = bad_end(found, timeout_s=plan.timeout_s, out_of_memory=out_of_memory)
    pairs = [(sample, merged(reading.evidence, sample.evidence)) for sample in reading.samples]
    samples = {sample.iteration: _completed(sample) for sample in reversed(reading.samples)}
    return Ended(
        plan=plan, planned=planned, reading=reading, samples=samples,
        contradiction=_contradiction(reading, plan.setup.samples),
        time=impossible_time(pairs, wall_s=found.wall_s),
        end=end, failure=_failure(end, logged, f"invocations/{planned.id}/stderr.log"),
    )  # fmt: skip


def _contradiction(reading: Reading, planned: int) -> Finding | None:
    counts = Counter(sample.iteration for sample in reading.samples)
    twice = [iteration for iteration, count in counts.items() if count > 1]
    reason = None
    if len(reading.samples) > planned:
        reason = f"too_many_samples: {len(reading.samples)} where {planned} were planned"
    elif twice:
        reason = f"repeated_sample: iteration {min(twice)} was reported {counts[min(twice)]} times"
    elif any(not 0 <= iteration < planned for iteration in counts):
        reason = f"unknown_sample: an iteration outside 0..{planned - 1} was reported"
    return Finding(RowStatus.WRONG_OUTPUT, reason) if reason else None


def _failure(end: Finding | None, logged: Failure | None, log: str) -> Failure | None:
    """Choose what the rows without a sample show as their failure.

    An exception always tells something. Other last words do when the process died by itself; of
    one that was stopped, or that ended well, they are just where it was.
    """
    if logged is not None and logged.exception is not None:
        return logged
    if end is None:
        return None
    died = end.status in {RowStatus.CRASH, RowStatus.OOM, RowStatus.KILLED}
    return logged if logged is not None and died else make_failure(None, end.reason, log=log)


def _completed(sample: Sample) -> Sample:
    if sample.failure is None:
        return sample
    return sample.model_copy(update={"failure": fingerprinted(sample.failure)})
