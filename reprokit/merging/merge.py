"""Runs of one claim over machines: conditions over regimes, counts, repeats, the gate's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from reprokit.gates.cross_regime import RegimeOutcome, judge_regimes
from reprokit.kept.records import KeptRun
from reprokit.merging.alike import refuse_unlike
from reprokit.merging.conditions import Key, measured_conditions, name_of, put_together
from reprokit.merging.records import (
    Condition,
    CrossRegime,
    Merged,
    MergedRun,
    Regime,
    StackDifference,
)
from reprokit.merging.regimes import regimes_of, stack_differences
from reprokit.merging.repeats import repeats_of
from reprokit.records import Arm
from reprokit.robustness.portability import count_table, portability_of
from reprokit.robustness.records import Portability
from reprokit.robustness.runs import Fate, PointRuns, fate_of
from reprokit.verdict.figures import conclusion_of, metric_of
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.margin import effective_margin
from reprokit.verdict.wording import expected_words, position

DEFAULT_METRIC = "latency_ms"
DEFAULT_MARGIN = 1.03


def merge(runs: Sequence[KeptRun], *, allow_missing: bool = False) -> Merged:
    """Put runs together.

    Args:
        runs: in the order of the regimes in the result.
        allow_missing: points and cells need not be the same; what only some runs planned is
            missing in the others' regimes.

    Raises:
        UsageError: the runs are unlike, or it cannot be told what one was measured on.
    """
    refuse_unlike(runs, coverage=not allow_missing)
    claim = runs[0].claim
    metric = metric_of(conclusion_of(claim)) or DEFAULT_METRIC
    found_margin = effective_margin(claim)
    margin = found_margin.value if found_margin else DEFAULT_MARGIN
    level = claim.protocol.level
    regimes = regimes_of(runs)
    differ = stack_differences(regimes)
    conditions = conditions_of(runs, regimes, metric, margin=margin, level=level)
    tables = [each.portability for each in conditions]
    return Merged(
        claim_id=claim.id,
        title=claim.title,
        expected=expected_words(claim.expect),
        metric=metric,
        level=level,
        margin=margin,
        runs=tuple(_run(run, regimes) for run in runs),
        regimes=regimes,
        stacks_differ=differ,
        conditions=conditions,
        counts=count_table(tables),
        counts_by_arm={
            arm: count_table([each.portability for each in conditions if each.arm is arm])
            for arm in Arm
        },
        repeats=repeats_of(runs, regimes, metric, margin=margin, level=level),
        gate=_gate(runs, regimes),
        cross_regime=cross_regime_of(conditions, regimes),
        notes=tuple(_notes(runs, regimes, differ)),
    )


def conditions_of(
    runs: Sequence[KeptRun],
    regimes: Sequence[Regime],
    metric: str,
    *,
    margin: float,
    level: float,
) -> tuple[Condition, ...]:
    """Compare every condition over the regimes; none where there is a single regime.

    Both arms are conditions, as TR147 counts them (SS5.2). Repeats of one regime are put together,
    and never rows of two regimes.
    """
    if len(regimes) < 2:
        return ()
    measured = {run.name: measured_conditions(run) for run in runs}
    keys = dict.fromkeys(key for mine in measured.values() for key in mine)
    spoiled = any(run.gate_failed for run in runs)
    found = []
    for key in keys:
        over = {
            regime.label: put_together({name: measured[name].get(key) for name in regime.runs})
            for regime in regimes
        }
        verdict = portability_of(name_of(key), metric, over, margin=margin, level=level)
        found.append(
            Condition(
                id=name_of(key),
                arm=key.arm,
                point=dict(key.point),
                cell=dict(key.cell),
                portability=verdict,
                qualitative="open" if spoiled else _qualitative(key, verdict, over),
            )
        )
    return tuple(found)


def cross_regime_of(conditions: Sequence[Condition], regimes: Sequence[Regime]) -> CrossRegime:
    """Combine the conditions of the subject; the baseline is what it is compared with."""
    named: dict[str, list[str]] = {"held": [], "changed": [], "open": []}
    for each in conditions:
        if each.arm is Arm.SUBJECT:
            named[each.qualitative].append(each.id)
    status: Literal["held", "changed", "open"] = "held"
    if named["changed"]:
        status = "changed"
    elif named["open"] or not named["held"]:
        status = "open"
    return CrossRegime(
        status=status,
        regimes=tuple(regime.label for regime in regimes),
        held=tuple(named["held"]),
        changed=tuple(named["changed"]),
        open=tuple(named["open"]),
    )


def _qualitative(
    key: Key, verdict: Portability, over: Mapping[str, PointRuns | None]
) -> Literal["held", "changed", "open"]:
    """Tell whether survival, and faster or slower, is the same in every regime.

    A crash beside a baseline that crashes too says nothing of the subject, and a subject that lives
    beside a baseline without a comparison is no conclusion: both are open.
    """
    if verdict.verdict in {"qualitative_flip", "crash_one"}:
        return "changed" if _tested(key, over) else "open"
    if verdict.verdict == "confirmed_crash_both":
        return "held" if _tested(key, over) else "open"
    if verdict.verdict not in {"portable_similar_latency", "portable_latency_shift"}:
        return "open"
    compares = key.arm is Arm.SUBJECT and any(runs and runs.baseline for runs in over.values())
    return "held" if not compares or verdict.conclusions.keys() == over.keys() else "open"


def _tested(key: Key, over: Mapping[str, PointRuns | None]) -> bool:
    """Tell whether the baseline lived wherever one was planned."""
    if key.arm is Arm.BASELINE:
        return True
    return all(
        runs is None or not runs.baseline or fate_of(runs.baseline) is Fate.SURVIVES
        for runs in over.values()
    )


def _gate(runs: Sequence[KeptRun], regimes: Sequence[Regime]) -> GateVerdict:
    """Judge gate 5 by what each run's verdict says at each of its points."""
    labels = {name: regime.label for regime in regimes for name in regime.runs}
    return judge_regimes(
        [
            RegimeOutcome(labels[run.name], run.outcome_of(point), position(point.axes))
            for run in runs
            for point in run.verdict.points
        ]
    )


def _run(run: KeptRun, regimes: Sequence[Regime]) -> MergedRun:
    drivers = {row.gpu.driver for row in run.rows if row.gpu is not None}
    return MergedRun(
        name=run.name,
        regime=next(regime.label for regime in regimes if run.name in regime.runs),
        created=run.created,
        reprokit=run.reprokit,
        adapter=run.adapter,
        outcome=run.verdict.outcome,
        sentence=run.verdict.sentence,
        rows_planned=run.verdict.rows_planned,
        rows_ok=run.verdict.rows_ok,
        rows_sha256=run.verdict.rows_sha256,
        manifest_sha256=run.manifest,
        drivers=tuple(sorted(driver for driver in drivers if driver is not None)),
    )


def _notes(
    runs: Sequence[KeptRun], regimes: Sequence[Regime], differ: Sequence[StackDifference]
) -> list[str]:
    notes = []
    if len(regimes) < 2:
        notes.append("All runs are of one regime: nothing is said about other hardware.")
    if differ and len({regime.hardware.name for regime in regimes}) > 1:
        notes.append(
            "The regimes differ in their stacks too, so a difference is not shown to be the "
            "hardware's."
        )
    for regime in regimes:
        if regime.hardware.unknown and len(regime.runs) > 1:
            unknown = ", ".join(regime.hardware.unknown)
            notes.append(f"{regime.label}: its runs may differ in what was not seen: {unknown}.")
    notes += [
        f"A gate of {run.name} fails, so its figures show nothing and every condition is open."
        for run in runs
        if run.gate_failed
    ]
    labels = sorted({label for run in runs for label in run.verdict.labels})
    return [*notes, *([f"Labels of the runs: {', '.join(labels)}."] if labels else [])]
