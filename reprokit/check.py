"""The gates of a kept run judged again from its files: nothing is written, all is compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from reprokit import __version__
from reprokit.errors import DamagedRunError, RunError, UsageError
from reprokit.gates.artifacts import Kept, damaged
from reprokit.gates.compare import differences, leaves
from reprokit.gates.judge import GATES
from reprokit.gates.lines import differing_lines
from reprokit.records import Record, Row
from reprokit.report.markdown import render_markdown
from reprokit.rows import read_rows
from reprokit.run.directory import REPORT, ROWS, VERDICT, RunDirectory
from reprokit.run.manifest import MANIFEST, compare_manifest
from reprokit.run.phase_probe import read_probes
from reprokit.scoring import judge_run, score_rows
from reprokit.stack import ReadyPoint
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import count

_ARTIFACTS = "artifact_evidence"


class Checked(Record):
    """The gates of a kept run, as its files have them now.

    Attributes:
        run: path of the run directory.
        gates: in their order; those that need rows are `open` where the rows cannot be read.
    """

    run: str
    gates: tuple[GateVerdict, ...]

    @property
    def failed(self) -> bool:
        """True when a gate fails."""
        return any(gate.verdict == "fail" for gate in self.gates)


@dataclass(frozen=True)
class _Again:
    """What the rows of a run give, and what they were read beside."""

    ready: dict[str, ReadyPoint]
    rows: tuple[Row, ...]
    verdict: Verdict
    report: str


def check_run(run: RunDirectory) -> Checked:
    """Compare a run's files with its manifest, and verdict and report with the rows.

    Damage is no error here: it is what a gate fails by, with the file and the number.

    Raises:
        UsageError: the run was never scored, so there is nothing to compare.
    """
    if not run.rows.exists() and not run.verdict.exists():
        raise UsageError(
            f"{run.path} has neither {ROWS} nor {VERDICT}",
            hint=f"Score it first: reprokit score {run.path}",
        )
    files, manifest = _manifest(run)
    try:
        again = _recompute(run)
    except RunError as error:
        return Checked(run=str(run.path), gates=_unreadable(error, Kept(manifest, files)))
    saved, no_verdict = _read_verdict(run)
    report = _read_report(run)
    changed, doubtful = _compared(run, again, saved, report)
    stands = _as_verdict(saved)
    lacking = [] if report is not None else [f"{REPORT} is not there"]
    if not files and not manifest:
        lacking.append(f"the run was never closed: it has no {MANIFEST}")
    kept = Kept(
        manifest=manifest,
        files=files,
        changed=(*no_verdict, *changed),
        numbers=0 if doubtful else leaves(saved),
        lines=len(report.splitlines()) if report is not None and not doubtful else 0,
        unread=(*lacking, *doubtful),
    )
    if stands is None and saved is not None and _is_foreign(run, saved):
        report = None  # its tables are those of a verdict that cannot be read
    gates = judge_run(run, again.ready, again.rows, stands or again.verdict, report, kept)
    return Checked(run=str(run.path), gates=gates)


def _manifest(run: RunDirectory) -> tuple[int, tuple[str, ...]]:
    """Return how many files the manifest lists, and what contradicts it; (0, ()) for none."""
    if not (run.path / MANIFEST).exists():
        closed = run.report.exists()
        return 0, (f"{MANIFEST} is not there, and {REPORT} is",) if closed else ()
    try:
        return compare_manifest(run.path)
    except DamagedRunError as error:
        return 0, (error.what,)


def _recompute(run: RunDirectory) -> _Again:
    """Draw verdict and report from the rows once more.

    Raises:
        RunError: the rows, or what they are read beside, cannot be used.
    """
    ready, rows = run.read_points(), tuple(read_rows(run.rows))
    verdict = score_rows(run, ready, rows).verdict
    report = render_markdown(verdict, run.claim, run.plan, ready, rows, probes=read_probes(run))
    return _Again(ready, rows, verdict, report)


def _compared(
    run: RunDirectory, again: _Again, saved: dict[str, Any] | None, report: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare verdict.json and report.md with what the rows give.

    Another reprokit may word things differently, and print more or less: there only a number of
    verdict.json that the rows contradict is damage, and of all else it is left open.

    Returns:
        what is damaged, and what cannot be told.
    """
    if saved is None:
        return (), ()
    found = list(differences(saved, json.loads(again.verdict.to_json()), VERDICT))
    lines = list(differing_lines(report, again.report, REPORT)) if report is not None else []
    if not _is_foreign(run, saved):
        return (*(each.says for each in found), *lines), ()
    wrong = tuple(each.says for each in found if each.number)
    doubtful = len(found) - len(wrong) + len(lines)
    told = (
        f"{count(doubtful, 'place')} of {VERDICT} and {REPORT} cannot be compared: another "
        f"reprokit wrote them than this one, {__version__} (the run is of {run.record.reprokit})"
    )
    return wrong, (told,) if doubtful else ()


def _is_foreign(run: RunDirectory, saved: dict[str, Any]) -> bool:
    """Tell what another reprokit scored: by its version, or by fields that this one always has."""
    written = {field.alias or name for name, field in Verdict.model_fields.items()}
    return run.record.reprokit != __version__ or not written <= saved.keys()


def _read_verdict(run: RunDirectory) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Read verdict.json as it is, and say why where it cannot be read."""
    try:
        document = json.loads(run.verdict.read_bytes())
    except FileNotFoundError:
        return None, (f"{VERDICT} is not there",)
    except ValueError as error:
        return None, (f"{VERDICT} is no JSON: {error}",)
    if not isinstance(document, dict):
        return None, (f"{VERDICT} is no verdict",)
    return document, ()


def _read_report(run: RunDirectory) -> str | None:
    try:
        return run.report.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _as_verdict(saved: dict[str, Any] | None) -> Verdict | None:
    """Read the verdict that stands; one that is damaged is told by its differences."""
    try:
        return Verdict.model_validate_json(json.dumps(saved)) if saved is not None else None
    except ValidationError:
        return None


def _unreadable(error: RunError, kept: Kept) -> tuple[GateVerdict, ...]:
    """Judge a run of which nothing can be recomputed."""
    evidence = (f"Nothing can be recomputed: {error.what}.",)
    found: Sequence[GateVerdict] = [
        damaged(error.what, kept)
        if gate == _ARTIFACTS
        else GateVerdict(gate=gate, verdict="open", evidence=evidence)
        for gate in GATES
    ]
    return tuple(found)
