"""What follows the measurements: invocations to rows, verdict, report, and the closed bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from reprokit.adapter import Adapter, load_adapter
from reprokit.atomic_files import write_atomic
from reprokit.errors import DamagedRunError, RunError, UsageError
from reprokit.progress import Event, Observer
from reprokit.report.markdown import render_markdown, render_scored
from reprokit.rows import collect_rows, read_rows, write_rows
from reprokit.run.alteration import with_alterations
from reprokit.run.directory import REPORT, VERDICT, RunDirectory
from reprokit.run.manifest import MANIFEST, verify_manifest, write_manifest
from reprokit.run.phase_probe import read_probes
from reprokit.scoring import Scored, score_rows
from reprokit.stack import ReadyPoint
from reprokit.verdict.records import Verdict


def collect(run: RunDirectory, ready: Mapping[str, ReadyPoint], adapter: Adapter) -> None:
    """Read every invocation and save its rows.

    Raises:
        RunError: a source is not here; adapters read from it how a benchmark is to be understood.
    """
    for point in ready.values():
        if point.source is not None and not Path(point.source).is_dir():
            raise RunError(
                f"{run.path}: its rows were not saved yet, and the source of stack point "
                f"{point.point} is not on this machine",
                hint="Finish or score the run on the machine where it ran.",
            )
    rows = collect_rows(run.plan, ready, adapter, run)
    write_rows(run, with_alterations(rows, run.read_alterations()))


def score_run(run: RunDirectory, observer: Observer) -> Verdict:
    """Rows to verdict; pure over what was saved, on any machine.

    The rows are those that the run saved at its end. Where it did not get there, they are read
    from the invocations as they are, and what is missing is `not_run`.
    """
    return _score(run, observer).verdict


def _score(run: RunDirectory, observer: Observer) -> Scored:
    verified = _verify_bundle(run)
    ready = _prepared_points(run)
    observer(Event("score", run.path.name, "reading rows"))
    if not run.rows.exists():
        collect(run, ready, load_adapter(run.claim.adapter.name))
    rows = tuple(read_rows(run.rows))
    scored = score_rows(run, ready, rows)
    write_atomic(run.verdict, [scored.verdict.to_json().encode()])
    if verified is not None:
        write_manifest(run.path, _without(verified, VERDICT))
    return scored


def report_run(run: RunDirectory) -> Path:
    """Saved rows and verdict to report.md; closes the bundle with its manifest."""
    verified = _verify_bundle(run)
    verdict = _saved_verdict(run)
    if not run.rows.exists():
        raise UsageError(
            f"{run.path} has a verdict and no rows", hint=f"Score it: reprokit score {run.path}"
        )
    ready, rows = _prepared_points(run), tuple(read_rows(run.rows))
    text = render_markdown(verdict, run.claim, run.plan, ready, rows, probes=read_probes(run))
    _close(run, text, verified or {})
    return run.report


def finish_run(run: RunDirectory, observer: Observer) -> tuple[RunDirectory, Verdict]:
    """Invocations that are over to the report; what they compiled is not kept."""
    scored = _score(run, observer)
    text = render_scored(
        scored.verdict,
        run.claim,
        run.plan,
        scored.ready,
        scored.rows,
        probes=read_probes(run),
        figures=scored.figures,
    )
    _close(run, text, {})
    run.drop_compile_caches()
    return run, scored.verdict


def read_verdict(run: RunDirectory) -> Verdict:
    """Read the saved verdict of a run.

    Raises:
        UsageError: it was not scored yet.
        DamagedRunError: the file is not a verdict, or the bundle is not the one that was written.
    """
    _verify_bundle(run)
    return _saved_verdict(run)


def _saved_verdict(run: RunDirectory) -> Verdict:
    try:
        return Verdict.model_validate_json(run.verdict.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{run.path} has no verdict yet", hint=f"Score it first: reprokit score {run.path}"
        ) from None
    except ValidationError as error:
        raise DamagedRunError(f"{run.verdict}: {error.errors()[0]['msg']}") from error
    except OSError as error:
        raise RunError(f"{run.verdict} cannot be read: {error}") from error


def _verify_bundle(run: RunDirectory) -> dict[str, str] | None:
    """Compare a closed run with its manifest; return its digests, None where it is not closed."""
    return verify_manifest(run.path) if (run.path / MANIFEST).exists() else None


def _without(verified: Mapping[str, str], written: str) -> dict[str, str]:
    return {name: digest for name, digest in verified.items() if name != written}


def _close(run: RunDirectory, report: str, verified: Mapping[str, str]) -> None:
    """Write report.md, and the manifest: what `verified` holds is not read again for it."""
    write_atomic(run.report, [report.encode()])
    write_manifest(run.path, _without(verified, REPORT))


def _prepared_points(run: RunDirectory) -> dict[str, ReadyPoint]:
    ready = run.read_points()
    missing = [point.id for point in run.plan.points if point.id not in ready]
    if missing:
        raise UsageError(
            f"{run.path} was not prepared completely: {', '.join(missing)}",
            hint=f"Continue it: reprokit run {run.path}",
        )
    return ready
