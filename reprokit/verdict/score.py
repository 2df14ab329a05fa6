"""From rows to the verdict: a pure function, the same bytes for the same input."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from operator import attrgetter

from reprokit.claim.bands import band_of
from reprokit.claim.model import BuiltinSource, Claim, ExpectFlip, ExpectInvariance, ExpectValue
from reprokit.plan import Plan
from reprokit.records import Arm, Estimate, Row, RowStatus
from reprokit.stack import ReadyPoint
from reprokit.verdict.along import decide_along
from reprokit.verdict.attribution import attribute
from reprokit.verdict.axis_variance import axis_variance
from reprokit.verdict.clause import Story, clause_of
from reprokit.verdict.collecting import without_collecting
from reprokit.verdict.decide import Decided, decide
from reprokit.verdict.figures import (
    conclusion_of,
    figures_of,
    invocation_summaries,
    metric_of,
)
from reprokit.verdict.gpu import SEVERAL_GPUS, energy_of, several_gpus, share_of
from reprokit.verdict.guards import Tested, guard, needed_arms
from reprokit.verdict.identity import environment_of, identity_of
from reprokit.verdict.margin import effective_margin
from reprokit.verdict.outcome import Outcome, Reason, exit_code
from reprokit.verdict.records import AlongAxis, EffectiveMargin, PointVerdict, Verdict
from reprokit.verdict.regime import compare_regime, transferred
from reprokit.verdict.robustness import robustness_of_run
from reprokit.verdict.sentence import sentence_of
from reprokit.verdict.survival import failures_of, survival_of
from reprokit.verdict.units import Unit, arms_of, decided_axes, make_units, stack_axes
from reprokit.verdict.wording import expected_words, position

NO_SURVIVORS_BAND = "null"
"""TR147's class for a point without survivors; the claim model reserves the name."""
UNDERPOWERED = "underpowered"
_SOUND_INVOCATIONS = 5


@without_collecting
def score(
    claim: Claim,
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    rows: Sequence[Row],
    *,
    removed_variables: Sequence[str] = (),
) -> Verdict:
    """Decide a claim from the rows of one run.

    Args:
        claim: the statement.
        plan: the plan that the rows were made by.
        ready: what became of each stack point in `prepare`, by point id.
        rows: the rows, in any order.
        removed_variables: names of those that were kept from the benchmark; they decide nothing.

    Raises:
        DamagedRunError: the rows contradict the plan.
    """
    margin = effective_margin(claim)
    units = make_units(claim, plan, rows)
    points = tuple(_point(claim, plan, ready.get(unit.point.id), unit, margin) for unit in units)
    axes = attribute(points, decided_axes(claim, plan), stack_axes(plan))
    along = _along(claim, points)
    outcome, reasons = _combined(claim, plan, points, along)
    expect = conclusion_of(claim)
    return Verdict(
        claim_id=claim.id,
        title=claim.title,
        kind=claim.expect.kind,
        metric=metric_of(expect),
        concludes=expect.kind,
        expected=expected_words(claim.expect),
        outcome=outcome,
        exit_code=int(exit_code(outcome, only_infrastructure=_only_infrastructure(points))),
        reasons=reasons,
        sentence=sentence_of(claim, outcome, points, axes, along, plan.altered) + _same_arms(plan),
        missing=_missing(points),
        margin=margin,
        level=claim.protocol.level,
        arms=arms_of(plan, plan.cells),
        points=points,
        axes=axes,
        along=along,
        environments=tuple(environment_of(point, ready.get(point.id)) for point in plan.points),
        labels=tuple(sorted({label for point in points for label in point.labels})),
        altered=plan.altered,
        notes=plan.notes,
        design=plan.design,
        seed=plan.seed,
        rows_planned=len(plan.row_ids()),
        rows_ok=sum(row.status is RowStatus.OK for row in rows),
        rows_sha256=rows_digest(rows),
        claim_sha256=claim.digest(),
        planned_claim=plan.claim_digest,
        removed_variables=tuple(removed_variables),
        robustness=robustness_of_run(claim, plan, units, margin),
        variance=axis_variance(
            expect, units, points, decided_axes(claim, plan), claim.protocol.level
        ),
    )


def rows_digest(rows: Sequence[Row]) -> str:
    """SHA-256 over the rows as JSON lines in the order of their ids."""
    digest = hashlib.sha256()
    to_json = Row.__pydantic_serializer__.to_json  # what model_dump_json calls, without its detours
    for row in sorted(rows, key=attrgetter("id")):
        digest.update(to_json(row))
        digest.update(b"\n")
    return digest.hexdigest()


def _point(
    claim: Claim,
    plan: Plan,
    ready: ReadyPoint | None,
    unit: Unit,
    margin: EffectiveMargin | None,
) -> PointVerdict:
    expect, level = conclusion_of(claim), claim.protocol.level
    arms = arms_of(plan, (stratum.cell for stratum in unit.strata))
    figures = figures_of(unit, expect, arms, level)
    survival = {arm: survival_of(unit, arm, level) for arm in Arm}
    tested = Tested(
        own_code=not isinstance(claim.source, BuiltinSource),
        same_arms=arms.get(Arm.BASELINE) == arms[Arm.SUBJECT],
    )
    forced = guard(unit, ready, expect, figures, tested)
    decided = (
        Decided(forced)
        if forced
        else decide(
            expect,
            figures,
            survival,
            margin=margin.value if margin else 1.0,
            level=level,
            printed=claim.source.printed,
        )
    )
    estimates = {each.name: each for each in (*figures.estimates, *decided.estimates)}
    regime = compare_regime(claim.regime, ready, unit, plan.setup)
    share = share_of(claim, plan, unit, expect)
    final = transferred(decided.decision, regime, expect, estimates, arms, share)
    failures = failures_of(unit)
    story = Story(
        expect, decided.decision, arms, survival, failures, estimates, ready, decided.needed,
        pooled=unit.pooled,
    )  # fmt: skip
    return PointVerdict(
        point=unit.point.id,
        cells=tuple(stratum.cell.id for stratum in unit.strata),
        axes=unit.axes,
        outcome=final.outcome,
        on_figures=decided.decision.outcome,
        reasons=tuple(str(reason) for reason in final.reasons),
        clause=clause_of(story),
        estimates=tuple(estimates.values()),
        strata=figures.strata,
        needed=decided.needed,
        band=_band(claim, estimates, decided.decision.outcome),
        survival=tuple(survival[arm] for arm in Arm if survival[arm].planned),
        failures=failures,
        invocations=invocation_summaries(unit, metric_of(expect)),
        labels=_labels(unit, needed_arms(expect), ready),
        identity=identity_of(plan, unit, ready, regime),
        regime=regime,
        bandwidth=share,
        energy=energy_of(unit, arms),
    )


def _band(claim: Claim, estimates: Mapping[str, Estimate], outcome: Outcome) -> str | None:
    """Name the claim's own band: of the measured value, or the one kept for no survivors.

    Where the value is unknown for any other reason there is no band.
    """
    expect = conclusion_of(claim)
    if not isinstance(expect, ExpectValue) or not expect.bands:
        return None
    if outcome is Outcome.NO_SURVIVORS:
        return NO_SURVIVORS_BAND
    found = estimates.get(f"{Arm.SUBJECT}_{expect.metric}")
    if found is None or found.value is None:
        return None
    return band_of(expect.bands, found.value)


def _labels(unit: Unit, needed: Sequence[Arm], ready: ReadyPoint | None) -> tuple[str, ...]:
    """Facts that must stand beside every number of this point."""
    labels = {label for row in unit.rows() for label in row.labels}
    fewest = min(
        (
            sum(bool(launch.ok) for launch in stratum.launches[arm])
            for stratum in unit.strata
            for arm in needed
        ),
        default=0,
    )
    if 2 <= fewest < _SOUND_INVOCATIONS:
        labels.add(UNDERPOWERED)
    if ready is not None:
        labels |= {"undeclared"} if not ready.declared else set()
        labels |= {"relocked"} if ready.relocked else set()
        labels |= {"not_locked"} if not ready.locked else set()
        labels |= {"other_versions"} if ready.unmet else set()
    if several_gpus(unit):
        labels.add(SEVERAL_GPUS)
    return tuple(sorted(labels))


def _along(claim: Claim, points: Sequence[PointVerdict]) -> tuple[AlongAxis, ...]:
    expect = claim.expect
    if not isinstance(expect, ExpectInvariance | ExpectFlip):
        return ()
    return decide_along(expect.kind, expect.axis, points)


def _combined(
    claim: Claim, plan: Plan, points: Sequence[PointVerdict], along: Sequence[AlongAxis]
) -> tuple[Outcome, tuple[str, ...]]:
    if isinstance(claim.expect, ExpectInvariance | ExpectFlip):
        if not any(len(line.outcomes) > 1 for line in along):
            return Outcome.INSUFFICIENT, (Reason.AXIS_NOT_SWEPT,)
        tested = [line.outcome for line in along if len(line.outcomes) > 1]
        return combine(tested)
    if not points:
        return Outcome.INSUFFICIENT, (Reason.NOTHING_PLANNED,)
    outcome, reasons = combine([point.outcome for point in points], _own(plan, points))
    shared = set.intersection(*(set(point.reasons) for point in points))
    return outcome, (*reasons, *sorted(shared))


def recombined(claim: Claim, plan: Plan, points: Sequence[PointVerdict]) -> Outcome:
    """Combine points of a verdict anew, where some of their outcomes were taken back."""
    return _combined(claim, plan, points, _along(claim, points))[0]


def combine(
    outcomes: Sequence[Outcome], own: Outcome | None = None
) -> tuple[Outcome, tuple[str, ...]]:
    """Combine the outcomes of several points.

    A claim that holds at one and fails at another depends on the axes, whatever is still open.
    Different ways of failing are no dependence: the outcome is then that of the claim's own point.
    Decisions beside open points are not enough to speak for all of them.

    Args:
        outcomes: one per point, in the order of the plan.
        own: the outcome at the claim's own stack, where it was run.
    """
    decided = [outcome for outcome in outcomes if outcome.decided]
    undecided = {outcome for outcome in outcomes if not outcome.decided}
    if len({outcome.holds for outcome in decided}) > 1:
        return Outcome.DEPENDS, (Reason.SOME_UNDECIDED,) if undecided else ()
    if decided and not undecided:
        if Outcome.TRANSFERS in decided:  # the weaker of the two that hold
            return Outcome.TRANSFERS, ()
        return own if own in decided else decided[0], ()
    if not decided and len(undecided) == 1:
        return undecided.pop(), ()
    return Outcome.INCONCLUSIVE, (Reason.SOME_UNDECIDED,)


def _own(plan: Plan, points: Sequence[PointVerdict]) -> Outcome | None:
    """Find the first outcome at the claim's own value of every axis that has one."""
    return next(
        (
            point.outcome
            for point in points
            if all(plan.base.get(name, value) == value for name, value in point.axes.items())
        ),
        None,
    )


def _same_arms(plan: Plan) -> str:
    """Say of an A/A run that it is one: it compares an arm with itself."""
    arms = arms_of(plan, plan.cells)
    if Arm.BASELINE not in arms or arms[Arm.BASELINE] != arms.get(Arm.SUBJECT):
        return ""
    return f" This is an A/A run: both arms are {arms[Arm.SUBJECT]}."


def _only_infrastructure(points: Sequence[PointVerdict]) -> bool:
    return bool(points) and all(Reason.ENVIRONMENT_FAILED in point.reasons for point in points)


def _missing(points: Sequence[PointVerdict]) -> tuple[str, ...]:
    return tuple(
        f"{position(point.axes) or point.point}: {point.clause}"
        for point in points
        if not point.outcome.decided
    )
