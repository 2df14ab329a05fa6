"""Exactly one row per planned iteration, drawn from the files of a run and nothing else.

What decides a row's status, in this order:

1. the point was not prepared or failed: `environment_failed`, or `not_run`;
2. the invocation has no `exit.json`: `not_run`; the adapter made no command: `unsupported`;
3. its logs are gone or are not what was written: `contaminated`;
4. the source shows that the commit cannot do what is asked: `unsupported`;
5. the samples contradict the plan (too many, one twice): `wrong_output`, all of them;
6. a sample is missing: how the process ended (`timeout`, `killed`, `oom`, `crash`), and
   `fall_through` for a process that exited well without it;
7. a sample is there: its own status, lowered by the gates of `run/proof.py`, and at last by those
   of `run/agreement.py`, which compare rows with each other, and of `run/watched.py`, which look at
   what the GPU did meanwhile. Samples that were
   reported before a process ended badly keep their status and the label `died_later`, because the
   missing ones bear the failure. When none is missing all of them bear it: a claim cannot rest on
   a process that died.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from reprokit.adapter import Adapter, Reading, Sample
from reprokit.atomic_files import write_atomic
from reprokit.errors import DamagedRunError, RunError
from reprokit.failure import classify, is_out_of_memory, make_failure
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.records import Evidence, Failure, Row, RowStatus
from reprokit.run.agreement import with_outputs_checked
from reprokit.run.directory import RunDirectory
from reprokit.run.ending import Finding, bad_end
from reprokit.run.failing import fingerprinted, logged_failure
from reprokit.run.invocation import (
    InvocationSpec,
    identity,
    invocation_record,
    point_context,
    read_spec,
    refuse_strangers,
)
from reprokit.run.logs import spoiled
from reprokit.run.proof import DEVICE_UNREPORTED, impossible_time, lowered, merged
from reprokit.run.watched import with_gpu
from reprokit.stack import ReadyPoint

DIED_LATER = "died_later"


def collect_rows(
    plan: Plan, ready: Mapping[str, ReadyPoint], adapter: Adapter, run: RunDirectory
) -> tuple[Row, ...]:
    """Read every planned invocation; return its rows in the order of the plan.

    Raises:
        DamagedRunError: files contradict the plan, or the rows would not be those planned.
    """
    refuse_strangers(run)
    rows = [
        row for planned in plan.invocations for row in _rows(plan, planned, ready, adapter, run)
    ]
    checked = with_outputs_checked(rows, plan.baselines)
    if tuple(row.id for row in checked) != plan.row_ids():
        raise DamagedRunError(f"{run.path}: the rows are not those that were planned")
    return checked


def write_rows(run: RunDirectory, rows: Iterable[Row]) -> None:
    """Write `rows.jsonl`, whole or not at all."""
    try:
        write_atomic(run.rows, (f"{row.model_dump_json()}\n".encode() for row in rows))
    except OSError as error:
        raise RunError(f"{run.rows} cannot be written: {error}") from error


def read_rows(path: Path) -> Iterator[Row]:
    """Read rows one by one.

    Raises:
        DamagedRunError: a line is not a row; it names file, line and field.
        RunError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield _row(line, f"{path}:{number}")
    except OSError as error:
        raise RunError(
            f"{path} cannot be read: {error}", hint="Score the run to write its rows."
        ) from error


def _row(line: bytes, where: str) -> Row:
    try:
        return Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "line"
        raise DamagedRunError(f"{where}: {field}: {first['msg']}") from error


def _rows(
    plan: Plan,
    planned: PlannedInvocation,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    run: RunDirectory,
) -> list[Row]:
    """Return the rows of one invocation."""
    point = ready.get(planned.point)
    if point is None:
        finding = Finding(RowStatus.NOT_RUN, "not_prepared: the stack point was never prepared")
        return _without_samples(plan, planned, finding, None)
    if point.failed is not None:
        finding = Finding(RowStatus.ENVIRONMENT_FAILED, point.failed)
        failure = make_failure(None, point.failed_detail or point.failed)
        return _without_samples(plan, planned, finding, failure)
    spec = read_spec(run, planned, identity(plan, planned, point))
    found = run.exit(planned.id)
    if spec is None or found is None:
        return _without_samples(plan, planned, _unfinished(spec, found), None)
    spoilt = spoiled(run.invocation(planned.id), found)
    if spoilt is not None:
        return _without_samples(plan, planned, spoilt, None)
    made = _read(plan, planned, point, adapter, run, found)
    rows = [made.row(iteration, spec.unsupported) for iteration in range(plan.setup.samples)]
    return with_gpu(rows, plan, run, spec.launch)


def _unfinished(spec: InvocationSpec | None, found: Exit | None) -> Finding:
    """Say why there is nothing to read: one of the two records is not there."""
    if found is not None:
        reason = "files_removed: spec.json is gone, so nothing says what was measured"
        return Finding(RowStatus.CONTAMINATED, reason)
    if spec is None:
        return Finding(RowStatus.NOT_RUN, "never_started")
    if spec.refused is not None:
        return Finding(RowStatus.UNSUPPORTED, f"no_command: {spec.refused}")
    if spec.stopped_early is not None:
        return Finding(RowStatus.NOT_RUN, spec.stopped_early)
    return Finding(RowStatus.NOT_RUN, "interrupted: resume the run to make it again")


def _without_samples(
    plan: Plan, planned: PlannedInvocation, finding: Finding, failure: Failure | None
) -> list[Row]:
    return [
        _make_row(planned, iteration, plan, finding, failure)
        for iteration in range(plan.setup.samples)
    ]


def _make_row(
    planned: PlannedInvocation,
    iteration: int,
    plan: Plan,
    finding: Finding,
    failure: Failure | None,
    sample: Sample | None = None,
    labels: tuple[str, ...] = (),
    evidence: Evidence | None = None,
) -> Row:
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
    return failure.model_copy(update={"kind": classify(failure, status)})


def _finite(sample: Sample) -> dict[str, float]:
    """Return the numbers that JSON can hold; the reason of the row names one that it cannot."""
    return {name: value for name, value in sample.values.items() if math.isfinite(value)}


@dataclass(frozen=True)
class _Made:
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
        """Return one row; `unsupported` forbids that it is ok, and keeps how it failed."""
        sample = self.samples.get(iteration)
        finding = self._finding(sample)
        failure = sample.failure if sample else None
        if failure is None and finding.status is not RowStatus.OK:
            failure = self.failure
        if unsupported is not None:
            finding = Finding(RowStatus.UNSUPPORTED, unsupported)
        return _make_row(
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


def _read(
    plan: Plan,
    planned: PlannedInvocation,
    point: ReadyPoint,
    adapter: Adapter,
    run: RunDirectory,
    found: Exit,
) -> _Made:
    context = point_context(point, adapter)
    reading = adapter.read(plan.setup, context, invocation_record(plan, planned, run))
    logged = logged_failure(reading, run, planned, Path(context.source))
    out_of_memory = logged is not None and is_out_of_memory(logged)
    end = bad_end(found, timeout_s=plan.timeout_s, out_of_memory=out_of_memory)
    pairs = [(sample, merged(reading.evidence, sample.evidence)) for sample in reading.samples]
    samples = {sample.iteration: _completed(sample) for sample in reversed(reading.samples)}
    return _Made(
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
