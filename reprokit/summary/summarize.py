"""Runs of several claims summed up in one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim, make_claims
from reprokit.matrix.load import load_matrix
from reprokit.matrix.selection import Selection
from reprokit.summary.family import Family, comparisons_of, family_of, scored
from reprokit.summary.headline import measured_rows, published_rows
from reprokit.summary.own import departure, elsewhere, hardware_name
from reprokit.summary.records import ClaimSummary, Summary
from reprokit.summary.statuses import status_rows
from reprokit.summary.study import known_studies, load_study


def summarize(runs: Sequence[KeptRun], study: str | None = None) -> Summary:
    """Sum up runs.

    Args:
        runs: of any claims; all their decisions together are the family.
        study: whose tables to regenerate; None for the study that a claim of the runs is from.

    Raises:
        UsageError: there is no such study.
        DamagedRunError: a verdict has other points than its rows.
    """
    ordered = [scored(run) for run in runs]
    family = family_of(ordered)
    name = study or study_of(runs)
    claims = make_claims(load_matrix(name), Selection()) if name else ()
    tables = load_study(name) if name else None
    published = {claim.id: claim for claim in claims}
    return Summary(
        alpha=family.alpha,
        claims=tuple(_claim(run, family, published) for run in runs),
        family=family.members,
        comparisons=comparisons_of(ordered),
        study=name,
        headline=published_rows(tables.headline, published, ordered, family) if tables else (),
        measured_rows=measured_rows(tables.headline, ordered) if tables else (),
        statuses=status_rows(tables.statuses, claims, runs, family) if tables else (),
    )


def study_of(runs: Sequence[KeptRun]) -> str | None:
    """Name the study whose matrix has a claim of the runs; by the id alone."""
    return next(
        (name for name in known_studies() for run in runs if run.claim.id.startswith(f"{name}_")),
        None,
    )


def _claim(run: KeptRun, family: Family, published: Mapping[str, MatrixClaim]) -> ClaimSummary:
    mine = [member for member in family.members if member.run == run.name]
    decided = [member for member in mine if member.outcome.decided]
    return ClaimSummary(
        run=run.name,
        claim_id=run.claim.id,
        title=run.claim.title,
        hardware=hardware_name(run),
        elsewhere=elsewhere(run),
        altered=run.plan.altered,
        departs=departure(run, published.get(run.claim.id)),
        outcome=run.verdict.outcome,
        in_family=family.outcomes[run.name],
        decided=len(decided),
        left=sum(member.in_family.decided for member in decided),
        points=len(mine),
    )
