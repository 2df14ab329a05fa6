"""A study's status table regenerated: each statement from the claims that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim
from reprokit.summary.family import Family
from reprokit.summary.own import departure, elsewhere
from reprokit.summary.records import Evidence, Status
from reprokit.summary.study import PublishedStatus, Statuses
from reprokit.verdict.outcome import Outcome

Measured = Literal["confirmed", "contradicted", "open", "partly", "not measured"]


def status_rows(
    statuses: Statuses,
    claims: Sequence[MatrixClaim],
    runs: Sequence[KeptRun],
    family: Family,
) -> tuple[Status, ...]:
    """Say of every statement whether the runs given bear out what the study says of it.

    The claims say what the status means: of a rejected statement they state the contrary. A run of
    an edited claim, or of another model, is no evidence for it.
    """
    published = {claim.id: claim for claim in claims}
    by_claim: dict[str, list[KeptRun]] = {}
    for run in runs:
        if departure(run, published.get(run.claim.id)) is None:
            by_claim.setdefault(run.claim.id, []).append(run)
    return tuple(_status(row, statuses, claims, by_claim, family) for row in statuses.rows)


def _status(
    row: PublishedStatus,
    statuses: Statuses,
    claims: Sequence[MatrixClaim],
    runs: Mapping[str, Sequence[KeptRun]],
    family: Family,
) -> Status:
    mine = [
        claim
        for claim in claims
        if claim.section == statuses.section and claim.row.get(statuses.claim) == row.claim
    ]
    evidence = tuple(
        Evidence(
            claim_id=claim.id,
            printed=claim.printed,
            outcomes=tuple(family.outcomes[run.name] for run in runs.get(claim.id, ())),
        )
        for claim in mine
    )
    used = [run for claim in mine for run in runs.get(claim.id, ())]
    return Status(
        claim=row.claim,
        published=row.status,
        measured=measured_status([each.outcomes for each in evidence]),
        elsewhere=any(elsewhere(run) for run in used),
        why=row.why,
        evidence=evidence,
    )


def measured_status(evidence: Sequence[Sequence[Outcome]]) -> Measured:
    """Combine what the runs of each claim say; a claim without a run is not measured.

    One claim that does not hold contradicts the statement, whatever else holds.
    """
    found = [outcome for outcomes in evidence for outcome in outcomes]
    if not found:
        return "not measured"
    if any(outcome.decided and not outcome.holds for outcome in found):
        return "contradicted"
    if not all(outcome.decided for outcome in found):
        return "open"
    return "confirmed" if all(evidence) else "partly"
