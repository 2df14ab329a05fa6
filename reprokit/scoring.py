"""Rows to the verdict with its gates: what `score` writes and `check` computes again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reprokit.gates.artifacts import Kept
from reprokit.gates.judge import Judged, judge, with_gates
from reprokit.records import Row
from reprokit.report.markdown import render_figures
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import removed_variables
from reprokit.stack import ReadyPoint
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score


@dataclass(frozen=True)
class Scored:
    """A verdict with what it was drawn from.

    Attributes:
        ready: what became of each stack point in `prepare`.
        figures: the section of the report that prints its estimates, as the gates read it.
    """

    verdict: Verdict
    ready: Mapping[str, ReadyPoint]
    rows: Sequence[Row]
    figures: str


def score_rows(run: RunDirectory, ready: Mapping[str, ReadyPoint], rows: Sequence[Row]) -> Scored:
    """Decide a run's claim from its rows, and judge the gates of the decision.

    Raises:
        DamagedRunError: the rows contradict the plan.
    """
    verdict = score(run.claim, run.plan, ready, rows, removed_variables=removed_variables(run))
    figures = render_figures(verdict)
    judged = with_gates(verdict, judge_run(run, ready, rows, verdict, figures))
    return Scored(judged, ready, rows, figures)


def judge_run(
    run: RunDirectory,
    ready: Mapping[str, ReadyPoint],
    rows: Sequence[Row],
    verdict: Verdict,
    report: str | None,
    kept: Kept | None = None,
) -> tuple[GateVerdict, ...]:
    """Judge the gates of a verdict on a run; `kept` is None while the run is being scored."""
    judged = Judged(run.plan, ready, rows, run.read_alterations())
    return judge(verdict, judged, report, kept)
