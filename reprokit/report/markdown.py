"""report.md: the verdict with everything a sceptical reader needs to check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprokit.claim.model import Claim
from reprokit.errors import DamagedRunError
from reprokit.plan import Plan
from reprokit.records import PhaseProbe, Row
from reprokit.report.case_study_section import failure_shapes_section, phases_section
from reprokit.report.claim_section import claim_section
from reprokit.report.environment_section import environment_section
from reprokit.report.evidence_section import (
    failures_section,
    figures_section,
    identity_section,
    invocations_section,
)
from reprokit.report.gates_section import gates_section
from reprokit.report.gpu_section import gpu_section
from reprokit.report.limits_section import labels_section, limits_section, reproduce_section
from reprokit.report.markup import text
from reprokit.report.points_section import axes_section, points_section
from reprokit.report.proof_section import proof_section
from reprokit.report.robustness_section import robustness_section
from reprokit.report.wording import SYNTHETIC
from reprokit.stack import ReadyPoint
from reprokit.verdict.collecting import without_collecting
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import rows_digest
from reprokit.verdict.wording import headline_words


def render_markdown(
    verdict: Verdict,
    claim: Claim,
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    rows: Sequence[Row],
    *,
    probes: Sequence[PhaseProbe] = (),
) -> str:
    """Write the report of one run.

    Args:
        verdict: the verdict that `score` drew from these rows.
        claim: the claim as planned.
        plan: the plan of the run.
        ready: what became of each stack point in `prepare`.
        rows: the rows of the run, in any order.
        probes: launches beside the planned ones that split the phases.

    Raises:
        DamagedRunError: the verdict was drawn from other rows; a report would mix two runs.
    """
    if rows_digest(rows) != verdict.rows_sha256:
        raise DamagedRunError(
            f"the verdict of {verdict.claim_id!r} was not drawn from these rows",
            hint="Run `reprokit score` on the run directory, then `reprokit report`.",
        )
    return render_scored(verdict, claim, plan, ready, rows, probes=probes)


@without_collecting
def render_scored(
    verdict: Verdict,
    claim: Claim,
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    rows: Sequence[Row],
    *,
    probes: Sequence[PhaseProbe] = (),
    figures: str | None = None,
) -> str:
    """Write the report of rows that were just scored, so that they are known to be the verdict's.

    What it takes is what `render_markdown` takes, and `figures`: what `render_figures` wrote of
    this verdict, where it has.
    """
    sections = (
        _headline(verdict),
        points_section(verdict),
        axes_section(verdict),
        robustness_section(verdict),
        failure_shapes_section(verdict),
        failures_section(verdict),
        gates_section(verdict),
        proof_section(verdict, rows),
        claim_section(verdict, claim),
        identity_section(verdict),
        [figures.removesuffix("\n")] if figures else figures_section(verdict),
        invocations_section(verdict),
        phases_section(verdict, probes),
        gpu_section(verdict, rows),
        environment_section(verdict, plan, ready),
        labels_section(verdict),
        reproduce_section(verdict, claim, plan),
        limits_section(verdict, claim, plan),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


@without_collecting
def render_figures(verdict: Verdict) -> str:
    """Write the part of a report that prints estimates, as `render_markdown` writes it."""
    return "\n".join(figures_section(verdict)) + "\n"


def _headline(verdict: Verdict) -> list[str]:
    return [
        f"# {text(verdict.title)}",
        "",
        f"**Verdict: {text(headline_words(verdict))}.** {text(verdict.sentence, 2000)}",
        *_warnings(verdict),
    ]


def _warnings(verdict: Verdict) -> list[str]:
    """What changes the meaning of the headline and must not be found only further down."""
    lines: list[str] = []
    if verdict.altered:
        changes = ", ".join(text(change) for change in verdict.altered)
        lines += ["", f"> The claim was altered for this run: {changes}."]
    if verdict.claim_sha256 != verdict.planned_claim:
        lines += ["", "> The claim was edited after the run was planned."]
    if SYNTHETIC in verdict.labels:
        lines += ["", "> Measured with random weights; see Labels."]
    if "relocked" in verdict.labels:
        lines += ["", "> Measured on another stack than the claim's lock; see Environments."]
    return lines
