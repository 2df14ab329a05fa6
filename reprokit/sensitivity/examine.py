"""Everything about the sensitivity of kept runs, in one record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.merging.alike import differences
from reprokit.merging.records import Repeats
from reprokit.merging.regimes import regimes_of
from reprokit.merging.repeats import stability_of
from reprokit.sensitivity.lengths import length_rows
from reprokit.sensitivity.measured import DEFAULT_MARGIN, DEFAULT_METRIC
from reprokit.sensitivity.records import RunSensitivity, Sensitivity
from reprokit.sensitivity.seeds import SEEDS, seed_rows
from reprokit.sensitivity.warmup import most_dropped, warmup_outcomes, warmup_rows
from reprokit.verdict.figures import conclusion_of, metric_of
from reprokit.verdict.margin import effective_margin
from reprokit.verdict.units import make_units


def examine(
    runs: Sequence[KeptRun], *, drop: int | None = None, seeds: Sequence[int] = SEEDS
) -> Sensitivity:
    """Examine runs, each by itself, and their baselines where they are repeats.

    Args:
        runs: they need not be of one claim; only those that are alike are compared.
        drop: how many of the first iterations to drop at most; None for as many as were warmed up.
        seeds: of the bootstrap.
    """
    repeats, notes = _repeats(runs)
    return Sensitivity(
        seeds=tuple(seeds),
        runs=tuple(_of_run(run, drop, seeds) for run in runs),
        repeats=repeats,
        not_compared=tuple(notes),
    )


def _of_run(run: KeptRun, drop: int | None, seeds: Sequence[int]) -> RunSensitivity:
    metric, margin = _metric(run), _margin(run)
    units = make_units(run.claim, run.plan, run.rows)
    most = most_dropped(run, drop)
    level = run.claim.protocol.level
    return RunSensitivity(
        run=run.name,
        claim_id=run.claim.id,
        outcome=run.verdict.outcome,
        metric=metric,
        seeds=seed_rows(run.claim, units, metric, seeds),
        warmup=warmup_rows(units, metric, most),
        warmup_outcomes=warmup_outcomes(run, most),
        lengths=length_rows(units, metric, margin=margin, level=level),
    )


def _repeats(runs: Sequence[KeptRun]) -> tuple[tuple[Repeats, ...], list[str]]:
    """Compare baselines inside every regime, among the runs that are alike."""
    if len(runs) < 2:
        return (), ["One run: how stable its baseline is over runs cannot be told."]
    try:
        regimes = regimes_of(runs)
    except UsageError as error:
        return (), [error.what]
    named = {run.name: run for run in runs}
    found: list[Repeats] = []
    notes: list[str] = []
    for regime in regimes:
        members = [named[name] for name in regime.runs]
        while members:
            alike = [each for each in members if not differences(members[0], each)]
            members = [each for each in members if each not in alike]
            notes += _unlike(alike[0], members)
            if len(alike) > 1:
                found += stability_of(
                    regime.label, alike, _metric(alike[0]), margin=_margin(alike[0]),
                    level=alike[0].claim.protocol.level,
                )  # fmt: skip
    if len(regimes) > 1:
        labels = ", ".join(regime.label for regime in regimes)
        notes.append(f"Runs of different regimes are not repeats of each other: {labels}.")
    return tuple(found), notes


def _unlike(run: KeptRun, others: Sequence[KeptRun]) -> Iterator[str]:
    for other in others:
        where = differences(run, other)[0].where
        yield f"{run.name} and {other.name} are not repeats: they differ in {where}."


def _metric(run: KeptRun) -> str:
    return metric_of(conclusion_of(run.claim)) or DEFAULT_METRIC


def _margin(run: KeptRun) -> float:
    found = effective_margin(run.claim)
    return found.value if found else DEFAULT_MARGIN
