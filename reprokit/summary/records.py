"""What runs of several claims are summed up as: family, headline matrix, status table."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from reprokit.records import Estimate, Record, Scalar
from reprokit.summary.study import What
from reprokit.verdict.outcome import Outcome

SCHEMA: Final = "reprokit/summary/v1"


class Member(Record):
    """One decision of the family: one point of the verdict of one run.

    Attributes:
        p: of the decision in its own direction; at the claim's level it is decided where p is at
            most 1 - level. None with its reason where the decision is no test.
        adjusted: by Holm over all members.
        in_family: the outcome with the family's error rate; a decision that does not survive the
            adjustment is inconclusive, one that is no test stays.
    """

    run: str
    claim_id: str
    point: str
    axes: dict[str, Scalar]
    outcome: Outcome
    p: Estimate
    adjusted: Estimate
    in_family: Outcome


class Comparison(Record):
    """Subject against baseline in one cell: H0 of no difference, as TR147's family (B.5)."""

    run: str
    claim_id: str
    point: str
    cell: str
    p: Estimate
    adjusted: Estimate
    rejected: bool | None


class ClaimSummary(Record):
    """One run: its outcome alone, and with the family's error rate.

    Attributes:
        elsewhere: whether its hardware is not shown to be the claim's.
        altered: departures from the claim file.
        departs: why it is no run of the study's claim of this id; None where it is one.
    """

    run: str
    claim_id: str
    title: str
    hardware: str | None
    elsewhere: bool
    altered: tuple[str, ...]
    departs: str | None
    outcome: Outcome
    in_family: Outcome
    decided: int
    left: int
    points: int


class Shown(Record):
    """What one run says of one published figure; `departs` where its claim is another one."""

    run: str
    claim_id: str
    hardware: str | None
    elsewhere: bool
    departs: str | None
    altered: tuple[str, ...]
    estimate: Estimate
    as_published: Estimate | None
    in_family: Outcome


class Entry(Record):
    """A published figure beside what was measured; `measured` is empty where no run is given."""

    what: What
    printed: str
    claims: tuple[str, ...]
    why: str | None
    measured: tuple[Shown, ...]


class Row(Record):
    """One regime of the published matrix."""

    regime: str
    cells: dict[str, tuple[Entry, ...]]


class MeasuredCell(Record):
    """One model in one measured row; None is what the run did not plan."""

    model: str
    token_lens: tuple[Scalar, ...]
    gain: Estimate | None
    crash: Estimate | None


class MeasuredRow(Record):
    """One run, stack point and cache as a row of the headline matrix of its own."""

    run: str
    hardware: str | None
    point: str
    versions: dict[str, str | None]
    cache: str | None
    cells: dict[str, tuple[MeasuredCell, ...]]


class Evidence(Record):
    """A claim that a status rests on, and what its runs say; None is not measured."""

    claim_id: str
    printed: str
    outcomes: tuple[Outcome, ...]


class Status(Record):
    """One line of the status table.

    Attributes:
        measured: `confirmed` where every claim that it rests on holds; `contradicted` where one
            does not; `open` where one is undecided; `partly` where those that were measured hold.
        elsewhere: whether any of it was measured on other hardware than the claim names.
    """

    claim: str
    published: str
    measured: Literal["confirmed", "contradicted", "open", "partly", "not measured"]
    elsewhere: bool
    why: str | None
    evidence: tuple[Evidence, ...]


class Summary(Record):
    """The text of summary.json.

    Attributes:
        alpha: error rate of the family: the smallest that any of the claims asks for.
        study: whose tables follow; None where none of the claims is of a study.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["reprokit/summary/v1"] = Field(default=SCHEMA, alias="schema")
    alpha: float
    claims: tuple[ClaimSummary, ...]
    family: tuple[Member, ...]
    comparisons: tuple[Comparison, ...]
    study: str | None = None
    headline: tuple[Row, ...] = ()
    measured_rows: tuple[MeasuredRow, ...] = ()
    statuses: tuple[Status, ...] = ()

    def to_json(self) -> str:
        """Return the text of summary.json: the same bytes for the same runs."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
