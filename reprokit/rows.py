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

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from reprokit.adapter import Adapter
from reprokit.atomic_files import write_atomic
from reprokit.errors import DamagedRunError, RunError
from reprokit.failure import make_failure
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.records import Failure, Row, RowStatus
from reprokit.run.agreement import with_outputs_checked
from reprokit.run.directory import RunDirectory
from reprokit.run.ended import make_row, read_ended
from reprokit.run.ending import Finding
from reprokit.run.invocation import (
    InvocationSpec,
    identity,
    read_spec,
    refuse_strangers,
)
from reprokit.run.logs import spoiled
from reprokit.run.watched import with_gpu
from reprokit.stack import ReadyPoint


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
    ended = read_ended(plan, planned, point, adapter, run, found)
    rows = [ended.row(iteration, spec.unsupported) for iteration in range(plan.setup.samples)]
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
        make_row(planned, iteration, plan, finding, failure)
        for iteration in range(plan.setup.samples)
    ]
