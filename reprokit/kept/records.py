"""A kept run as everything that is drawn from several runs sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from reprokit.claim.model import Claim
from reprokit.plan import Plan
from reprokit.records import Row
from reprokit.stack import ReadyPoint
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.records import PointVerdict, Verdict


@dataclass(frozen=True)
class KeptRun:
    """One finished run whose files are those that its manifest lists.

    Attributes:
        name: of its directory; unique among the runs that were read together.
        created: UTC, ISO 8601.
        reprokit: version that planned it.
        adapter: distribution and version that the adapter came from; None where it was not kept.
        host: facts about the machine that created the run.
        claim_text: the claim file as it was, without the departures that `claim` has in it.
        ready: what became of each stack point in `prepare`.
        rows: exactly the planned ones, in the order of the file.
        verdict: the one that was drawn from these rows.
        manifest: SHA-256 of its list of files; equal for copies.
        planned: SHA-256 of its run.json; equal also for a copy that was scored again.
    """

    name: str
    created: str
    reprokit: str
    adapter: str | None
    host: Mapping[str, JsonValue]
    claim_text: str
    claim: Claim
    plan: Plan
    ready: Mapping[str, ReadyPoint]
    rows: tuple[Row, ...]
    verdict: Verdict
    manifest: str
    planned: str

    @property
    def gate_failed(self) -> bool:
        """True where a gate took the verdict back: its figures show nothing, at no point."""
        return Reason.GATE_FAILED in self.verdict.reasons

    def outcome_of(self, point: PointVerdict) -> Outcome:
        """Return what a point of the verdict may be used as."""
        return Outcome.INVALID if self.gate_failed else point.outcome
