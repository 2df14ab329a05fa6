"""The family of all decisions of several runs, with Holm's step-down (Holm 1979)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reprokit.claim.model import Conclusion
from reprokit.errors import DamagedRunError
from reprokit.kept.records import KeptRun
from reprokit.records import Arm, Estimate
from reprokit.stats.family import Adjusted, difference_p, holm
from reprokit.stats.logmean import difference
from reprokit.stats.sample import NO_DATA, Undefined
from reprokit.summary.decisions import decision_p
from reprokit.summary.records import Comparison, Member
from reprokit.verdict.arm_means import arm_means, stratum_means
from reprokit.verdict.figures import Figures, conclusion_of, metric_of
from reprokit.verdict.margin import effective_margin
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.processes import log_mean_of
from reprokit.verdict.records import PointVerdict
from reprokit.verdict.score import recombined
from reprokit.verdict.survival import survival_of
from reprokit.verdict.units import Unit, make_units


@dataclass(frozen=True)
class Scored:
    """A run with its units; one to each point of its verdict, in the same order."""

    run: KeptRun
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class Family:
    """All decisions, and what each run's claim comes to with the family's error rate."""

    alpha: float
    members: tuple[Member, ...]
    outcomes: Mapping[str, Outcome]


def scored(run: KeptRun) -> Scored:
    """Order the rows of a run again as its verdict has them.

    Raises:
        DamagedRunError: the verdict has other points than its rows.
    """
    units = make_units(run.claim, run.plan, run.rows)
    mine = [(unit.point.id, unit.axes) for unit in units]
    if mine != [(point.point, point.axes) for point in run.verdict.points]:
        raise DamagedRunError(
            f"{run.name}: its verdict has other points than its rows",
            hint="Draw it again with `reprokit score`.",
        )
    return Scored(run, units)


def alpha_of(runs: Sequence[KeptRun]) -> float:
    """Return the error rate of a family: the smallest that a claim in it asks for."""
    return round(1.0 - max(run.claim.protocol.level for run in runs), 12)


def family_of(runs: Sequence[Scored]) -> Family:
    """Adjust every decision; a point that decides nothing keeps its place in the family's size."""
    alpha = alpha_of([each.run for each in runs])
    points = [
        (each.run, place, point, _p(each.run, unit, point))
        for each in runs
        for place, (unit, point) in enumerate(
            zip(each.units, each.run.verdict.points, strict=True)
        )
    ]  # fmt: skip
    adjusted = holm({f"{run.name}/{place}": p for run, place, _, p in points}, alpha)
    members = tuple(
        _member(run, point, p, adjusted[f"{run.name}/{place}"]) for run, place, point, p in points
    )
    return Family(alpha, members, {each.run.name: _combined(each.run, members) for each in runs})


def comparisons_of(runs: Sequence[Scored]) -> tuple[Comparison, ...]:
    """Test subject against baseline in every cell, as one family: TR147's own (B.5).

    It decides nothing here: a difference that is not found is not shown to be none.
    """
    found = {
        f"{each.run.name}/{unit.point.id}/{cell}": (each.run, unit.point.id, cell, p)
        for each in runs
        for unit in each.units
        for cell, p in _differences(each.run, unit)
    }
    adjusted = holm({key: p for key, (*_, p) in found.items()}, alpha_of([x.run for x in runs]))
    return tuple(
        Comparison(
            run=run.name, claim_id=run.claim.id, point=point, cell=cell, p=p,
            adjusted=adjusted[key].p, rejected=adjusted[key].rejected,
        )
        for key, (run, point, cell, p) in found.items()
    )  # fmt: skip


def _p(run: KeptRun, unit: Unit, point: PointVerdict) -> Estimate:
    expect = conclusion_of(run.claim)
    margin = effective_margin(run.claim)
    return decision_p(
        expect,
        Outcome.INVALID if run.gate_failed else point.on_figures,
        _figures(unit, expect),
        lambda at: survival_of(unit, Arm.SUBJECT, at).crash_rate,
        margin.value if margin else 1.0,
    )


def _figures(unit: Unit, expect: Conclusion) -> Figures:
    """Estimate what a decision rests on, and nothing of what stands beside it."""
    metric = metric_of(expect)
    if metric is None:
        nothing = Undefined(NO_DATA)
        return Figures(dict.fromkeys(Arm, nothing), nothing, (), ())
    means = arm_means(unit, metric, stratum_means(unit, metric))
    return Figures(means, difference(means[Arm.SUBJECT], means[Arm.BASELINE]), (), ())


def _member(run: KeptRun, point: PointVerdict, p: Estimate, adjusted: Adjusted) -> Member:
    """Keep a decision that survives, and one that is no test; nothing becomes decided here."""
    outcome = run.outcome_of(point)
    kept = not outcome.decided or p.value is None or adjusted.rejected
    return Member(
        run=run.name,
        claim_id=run.claim.id,
        point=point.point,
        axes=point.axes,
        outcome=outcome,
        p=p,
        adjusted=adjusted.p,
        in_family=outcome if kept else Outcome.INCONCLUSIVE,
    )


def _combined(run: KeptRun, members: Sequence[Member]) -> Outcome:
    """Draw the claim's outcome anew, without the decisions that were taken back."""
    mine = [member for member in members if member.run == run.name]
    if all(member.in_family is member.outcome for member in mine):
        return run.verdict.outcome
    open_ = {"outcome": Outcome.INCONCLUSIVE, "on_figures": Outcome.INCONCLUSIVE}
    points = [
        point if member.in_family is member.outcome else point.model_copy(update=open_)
        for point, member in zip(run.verdict.points, mine, strict=True)
    ]
    return recombined(run.claim, run.plan, points)


def _differences(run: KeptRun, unit: Unit) -> Iterator[tuple[str, Estimate]]:
    metric = metric_of(conclusion_of(run.claim)) or "latency_ms"
    for stratum in unit.strata:
        if all(stratum.launches[arm] for arm in Arm):
            logs = (
                log_mean_of(metric, stratum.launches[arm]) for arm in (Arm.SUBJECT, Arm.BASELINE)
            )
            yield stratum.cell.id, difference_p(difference(*logs))
