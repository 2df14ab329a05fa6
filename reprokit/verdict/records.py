"""The records of a verdict: what `verdict.json` holds (schema `reprokit/verdict/v1`)."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from reprokit.plan import Design
from reprokit.records import Arm, Estimate, FailureKind, Record, RowStatus, Scalar
from reprokit.regime.share import BandwidthShare
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.robustness_records import Robustness
from reprokit.verdict.variance_records import AxisVariance

SCHEMA: Final = "reprokit/verdict/v1"

Match = Literal["match", "differs", "unknown", "not_stated"]
"""Asked against measured. `unknown`: it could not be told, and that never counts as a match."""


class Asked(Record):
    """One fact that was asked for, beside what was measured."""

    name: str
    asked: str | None
    measured: str | None
    status: Match


class EffectiveMargin(Record):
    """The margin that decides, as a ratio.

    Attributes:
        declared: the claim's own margin.
        rounding: the smallest margin that the printed figure's digits can carry; None where no
            figure is quoted.
    """

    value: float
    declared: float
    rounding: float | None = None


class Survival(Record):
    """What became of one arm's invocations and iterations at one point.

    Attributes:
        planned: invocations planned; `attempted` are those that were launched.
        complete: invocations whose every iteration is ok; `partial` have some.
        statuses: status to number of planned iterations.
        cold: ok iterations that are kept and never used, because they are cold.
        stopped_early: invocations not made because equal failures before them were enough.
        rate: share of launched invocations that are complete, with exact bounds.
        crash_rate: share of attempted iterations that are not ok; the invocation is the unit.
    """

    arm: Arm
    planned: int
    attempted: int
    complete: int
    partial: int
    statuses: dict[RowStatus, int]
    cold: int
    stopped_early: int = 0
    rate: Estimate
    crash_rate: Estimate
    crash_rate_as_published: Estimate

    @property
    def whole(self) -> bool:
        """True when every planned invocation is complete."""
        return self.complete == self.planned


class FailureGroup(Record):
    """Equal failures of one arm at one point.

    Attributes:
        fingerprint: None where there is no failure record, only a status and a reason.
        kind: its name in the taxonomy; None where there is no failure record.
        headline: class, message and frame in one line, or the reason.
        message: first line of the message alone, or the reason.
        per_invocation: id of every invocation that failed so to its number of such rows; a baseline
            that several points share fails in each of them, and is one all the same.
        log: whole log of the first of them, relative to the run directory.
    """

    arm: Arm
    status: RowStatus
    fingerprint: str | None
    kind: FailureKind | None = None
    exception: str | None
    frame: str | None
    headline: str
    message: str
    causes: tuple[str, ...] = ()
    invocations: int
    rows: int
    per_invocation: dict[str, int] = Field(default_factory=dict)
    log: str | None


class InvocationSummary(Record):
    """One invocation's usable iterations in the metric's unit: `mean` is total work over time.

    Attributes:
        cell: the one that it was planned in; a baseline that cells share lies in one of them.
    """

    cell: str
    arm: Arm
    invocation: int
    n: int
    cold: int
    mean: float | None


class StratumVerdict(Record):
    """Estimates of one cell; cells are strata and never pooled.

    Attributes:
        published: of pooled iterations, as published; they decide nothing.
        beside: bootstrap intervals, effect sizes and what could be detected; they decide nothing.
    """

    cell: str
    axes: dict[str, Scalar]
    estimates: tuple[Estimate, ...]
    published: tuple[Estimate, ...]
    beside: tuple[Estimate, ...] = ()


class PointVerdict(Record):
    """The decision at one stack point (and one setting of the swept cell axes).

    Attributes:
        point: id of the stack point; `cells` are the strata that the decision combines.
        axes: swept axis to label.
        outcome: after comparing the hardware with the claim's regime.
        on_figures: the outcome of the figures alone, whatever the hardware.
        reasons: codes, the most important first.
        clause: the decision in words, without a full stop.
        estimates: what decided, and what stands beside it.
        needed: invocations per arm that would decide; None where it is decided.
        band: the claim's own name for the measured value.
        bandwidth: shares of the memory's ceiling; None where nothing decodes on a GPU.
        energy: joules per token of each arm that ran on a GPU.
    """

    point: str
    cells: tuple[str, ...]
    axes: dict[str, Scalar]
    outcome: Outcome
    on_figures: Outcome
    reasons: tuple[str, ...]
    clause: str
    estimates: tuple[Estimate, ...]
    strata: tuple[StratumVerdict, ...]
    needed: Estimate | None = None
    band: str | None = None
    survival: tuple[Survival, ...]
    failures: tuple[FailureGroup, ...]
    invocations: tuple[InvocationSummary, ...]
    labels: tuple[str, ...]
    identity: tuple[Asked, ...]
    regime: tuple[Asked, ...]
    bandwidth: BandwidthShare | None = None
    energy: tuple[Estimate, ...] = ()

    def estimate(self, name: str) -> Estimate | None:
        """Find an estimate by name."""
        return next((found for found in self.estimates if found.name == name), None)


class PointEnvironment(Record):
    """Facts of one stack point's environment, as measured from inside."""

    point: str
    failed: str | None = None
    failed_detail: str | None = None
    identity: str | None = None
    commit: str | None = None
    tree: str | None = None
    declared: bool | None = None
    resolver_says: str | None = None
    locked: bool | None = None
    relocked: bool | None = None
    lock_sha256: str | None = None
    python: str | None = None
    versions: dict[str, str | None] = Field(default_factory=dict)
    altered: tuple[str, ...] = ()
    device: str | None = None
    notes: tuple[str, ...] = ()


class OutcomePair(Record):
    """Two points that differ in one axis only, and their outcomes."""

    held: dict[str, Scalar]
    values: tuple[Scalar, Scalar]
    outcomes: tuple[Outcome, Outcome]


class AxisEffect(Record):
    """Whether the outcome changes along one axis while the others are held.

    Attributes:
        kind: whether it is an axis of the stack, or varies inside a stack point; None in files that
            do not say it.
        changed: pairs of decided outcomes that differ.
        decides: of one of these pairs the claim holds at one value and not at the other; otherwise
            the axis changes only how it fails (or how it holds).
        settings: settings of the other axes at which at least two values were planned.
        settings_decided: those at which every planned value is decided.
        interacts_with: axes on whose value it depends whether this one changes the outcome.
        missing: values, with their setting, that are undecided.
    """

    axis: str
    kind: Literal["stack", "cell"] | None = None
    effect: Literal["changes", "no_change", "cannot_tell"]
    values: tuple[Scalar, ...]
    changed: tuple[OutcomePair, ...] = ()
    decides: bool = False
    settings: int
    settings_decided: int
    interacts_with: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class AlongAxis(Record):
    """One setting of the other axes, for claims about an axis (`invariance`, `flip`)."""

    held: dict[str, Scalar]
    outcomes: dict[str, Outcome]
    outcome: Outcome


class Verdict(Record):
    """The decision for one claim.

    Attributes:
        kind: kind of the claim; `concludes` is the kind that is decided at every point, the same
            but for claims about an axis.
        expected: the claim's statement in words.
        missing: what an undecided verdict lacks, in words.
        rows_sha256: digest of the rows in the order of their ids.
        planned_claim: digest of the claim that the run was planned from.
        removed_variables: names of environment variables that were set, could have changed what is
            measured, and were kept from the benchmark.
        gates: empty where the gates were not judged.
        robustness: both indices over stack points; it decides nothing. None in files without it.
        variance: how much of the variance of the log ratio each axis explains; it decides nothing.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["reprokit/verdict/v1"] = Field(default=SCHEMA, alias="schema")
    claim_id: str
    title: str
    kind: str
    metric: str | None
    concludes: Literal["value", "gain", "equivalence", "stability"]
    expected: str
    outcome: Outcome
    exit_code: int
    reasons: tuple[str, ...]
    sentence: str
    missing: tuple[str, ...] = ()
    margin: EffectiveMargin | None = None
    level: float
    arms: dict[Arm, str]
    points: tuple[PointVerdict, ...]
    axes: tuple[AxisEffect, ...]
    along: tuple[AlongAxis, ...] = ()
    environments: tuple[PointEnvironment, ...]
    labels: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    design: Design
    seed: int
    rows_planned: int
    rows_ok: int
    rows_sha256: str
    claim_sha256: str
    planned_claim: str
    removed_variables: tuple[str, ...] = ()
    gates: tuple[GateVerdict, ...] = ()
    robustness: Robustness | None = None
    variance: AxisVariance | None = None

    def environment(self, point: str) -> PointEnvironment:
        """Find the environment of a stack point."""
        return next(found for found in self.environments if found.point == point)

    def to_json(self) -> str:
        """Return the text of `verdict.json`: the same bytes for the same verdict."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
