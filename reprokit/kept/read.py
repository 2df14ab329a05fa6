"""Reading kept runs: nothing is believed before the manifest, the plan and the rows agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from reprokit.errors import DamagedRunError, RunError, UsageError
from reprokit.kept.records import KeptRun
from reprokit.records import Row
from reprokit.rows import read_rows
from reprokit.run.directory import RUN, RunDirectory
from reprokit.run.manifest import MANIFEST, verify_manifest
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import rows_digest


def read_kept_runs(paths: Sequence[Path]) -> tuple[KeptRun, ...]:
    """Read runs, each under a name of its own, in the order given.

    Raises:
        UsageError: nothing was named, a path is no finished run, or one run was named twice.
        DamagedRunError: the files of a run are not those that were written.
    """
    if not paths:
        raise UsageError("no run was named", hint="Give one or more run directories.")
    found: list[KeptRun] = []
    for path in paths:
        run = read_kept_run(path)
        twin = next((place for place, other in enumerate(found) if _same(run, other)), None)
        if twin is not None:
            raise UsageError(
                f"{path} and {paths[twin]} are the same run",
                hint="Measurements that are counted twice are no repetition; name it once.",
            )
        taken = sum(other.name.partition("#")[0] == run.name for other in found)
        found.append(replace(run, name=f"{run.name}#{taken + 1}") if taken else run)
    return tuple(found)


def read_kept_run(path: Path) -> KeptRun:
    """Read one run.

    Raises:
        UsageError: there is no run, or it was not finished.
        DamagedRunError: its files are not those that were written, or contradict each other.
    """
    run = RunDirectory.open(path)
    manifest = run.path / MANIFEST
    if not manifest.is_file():
        raise UsageError(
            f"{path} is not finished: it has no {MANIFEST}",
            hint=f"Finish it where it ran: reprokit run {path}, then score and report it.",
        )
    try:
        verify_manifest(run.path)
        listed, planned = (
            sha256(file.read_bytes()).hexdigest() for file in (manifest, run.path / RUN)
        )
    except OSError as error:
        raise RunError(f"{error.filename or path} cannot be read: {error.strerror}") from error
    ready = run.read_points()
    rows = tuple(read_rows(run.rows))
    _refuse_other_rows(path, run.plan.row_ids(), rows)
    verdict = _verdict(run)
    if verdict.rows_sha256 != rows_digest(rows):
        raise DamagedRunError(
            f"{path}: its verdict was drawn from other rows than it holds, or by another reprokit",
            hint=f"Draw it again: reprokit score {path}, then reprokit report {path}.",
        )
    record = run.record
    return KeptRun(
        name=run.path.name, created=record.created, reprokit=record.reprokit,
        adapter=record.adapter, host=record.host,
        claim_text=run.claim_text().decode(errors="replace"), claim=run.claim, plan=run.plan,
        ready=ready, rows=rows, verdict=verdict, manifest=listed, planned=planned,
    )  # fmt: skip


def _verdict(run: RunDirectory) -> Verdict:
    try:
        return Verdict.model_validate_json(run.verdict.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{run.path} has no verdict", hint=f"Score it first: reprokit score {run.path}"
        ) from None
    except ValidationError as error:
        raise DamagedRunError(
            f"{run.verdict}: {error.errors()[0]['msg']}",
            hint=f"Draw it again: reprokit score {run.path}, then reprokit report {run.path}.",
        ) from error
    except OSError as error:
        raise RunError(f"{run.verdict} cannot be read: {error.strerror}") from error


def _refuse_other_rows(path: Path, planned: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse rows that are not the planned ones, each once."""
    wanted, got = set(planned), Counter(row.id for row in rows)
    wrong = [f"{row!r} is missing" for row in planned if row not in got]
    wrong += [f"{row!r} was not planned" for row in sorted(got.keys() - wanted)]
    wrong += [f"{row!r} is there {times} times" for row, times in got.items() if times > 1]
    if wrong:
        raise DamagedRunError(
            f"{path}: its rows are not those of its plan: {'; '.join(wrong[:3])}",
            hint="rows.jsonl belongs to another run, or was edited; nothing in it can be used.",
        )


def _same(run: KeptRun, other: KeptRun) -> bool:
    """Tell copies of one run, also where one of them was scored again."""
    if run.manifest == other.manifest:
        return True
    same_rows = run.verdict.rows_sha256 == other.verdict.rows_sha256
    return same_rows and run.planned == other.planned
