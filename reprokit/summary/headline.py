"""A study's headline matrix from rows: published beside measured, and measured alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from reprokit.claim.model import ExpectGain
from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim
from reprokit.records import Arm, Estimate, Scalar
from reprokit.stack import COMPILE_MODE_AXIS
from reprokit.stats.published_contrast import published_delta
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import NO_DATA
from reprokit.summary.family import Family, Scored
from reprokit.summary.own import departure, elsewhere, hardware_name
from reprokit.summary.pooled import pooled_values
from reprokit.summary.records import Entry, MeasuredCell, MeasuredRow, Row, Shown
from reprokit.summary.study import Headline, PublishedEntry, What
from reprokit.verdict.figures import figures_of
from reprokit.verdict.identity import environment_of
from reprokit.verdict.records import PointVerdict
from reprokit.verdict.survival import survival_of
from reprokit.verdict.units import Stratum, Unit, arms_of

PREFILL, DECODE = "prefill", "kv_decode"
_GAIN = ExpectGain(kind="gain", metric="latency_ms", at_least=0.0)
_SHOWN_VERSIONS = ("triton", "torch")


def published_rows(
    headline: Headline,
    claims: Mapping[str, MatrixClaim],
    runs: Sequence[Scored],
    family: Family,
) -> tuple[Row, ...]:
    """Put every published figure beside what the runs of its claims measured."""
    by_claim: dict[str, list[Scored]] = {}
    for each in runs:
        by_claim.setdefault(each.run.claim.id, []).append(each)
    return tuple(
        Row(
            regime=row.regime,
            cells={
                column: tuple(_entry(entry, claims, by_claim, family) for entry in entries)
                for column, entries in row.cells.items()
            },
        )
        for row in headline.rows
    )


def measured_rows(headline: Headline, runs: Sequence[Scored]) -> tuple[MeasuredRow, ...]:
    """Make rows of the runs themselves: one for each stack point and cache that has the mode.

    Runs are never pooled. Models of no column stand under their own name.
    """
    return tuple(row for each in runs for row in _rows_of(headline, each))


def _entry(
    entry: PublishedEntry,
    claims: Mapping[str, MatrixClaim],
    runs: Mapping[str, Sequence[Scored]],
    family: Family,
) -> Entry:
    return Entry(
        what=entry.what,
        printed=entry.printed,
        claims=entry.claims,
        why=entry.why,
        measured=tuple(
            _shown(entry.what, each, claims.get(claim), family)
            for claim in entry.claims
            for each in runs.get(claim, ())
        ),
    )


def _shown(what: What, each: Scored, published: MatrixClaim | None, family: Family) -> Shown:
    run = each.run
    unit, point = _own(each)
    estimate, pooled = _figure(what, run, unit, point)
    return Shown(
        run=run.name,
        claim_id=run.claim.id,
        hardware=hardware_name(run),
        elsewhere=elsewhere(run),
        departs=departure(run, published),
        altered=run.plan.altered,
        estimate=estimate,
        as_published=pooled,
        in_family=family.outcomes[run.name],
    )


def _own(each: Scored) -> tuple[Unit | None, PointVerdict | None]:
    """Find the claim's own stack where it was swept; the first point otherwise."""
    plan = each.run.plan
    pairs = list(zip(each.units, each.run.verdict.points, strict=True))
    own = (
        pair
        for pair in pairs
        if all(plan.base.get(name, value) == value for name, value in pair[1].axes.items())
    )
    return next(own, pairs[0] if pairs else (None, None))


def _figure(
    what: What, run: KeptRun, unit: Unit | None, point: PointVerdict | None
) -> tuple[Estimate, Estimate | None]:
    """Return the figure that is sound, and the one that is pooled as published."""
    if unit is None or point is None:
        return unknown(what, "", "rows of the claim's own stack point", NO_DATA), None
    if what.endswith("crash"):
        survival = survival_of(unit, Arm.SUBJECT, run.claim.protocol.level)
        return survival.crash_rate, survival.crash_rate_as_published
    if what == "prefill gain":
        return _gain(run, unit)
    found = point.estimate("subject_tokps")
    return found or unknown(what, "tok/s", "subject_tokps of the point", NO_DATA), None


def _gain(run: KeptRun, unit: Unit) -> tuple[Estimate, Estimate]:
    arms = arms_of(run.plan, (stratum.cell for stratum in unit.strata))
    level = run.claim.protocol.level
    figures = figures_of(unit, _GAIN, arms, level)
    found = next((each for each in figures.estimates if each.name == "gain"), None)
    baseline, subject = (
        pooled_values(_GAIN.metric, unit.strata, arm) for arm in (Arm.BASELINE, Arm.SUBJECT)
    )
    delta = published_delta(baseline, subject)
    # A gain is the negative of TR147's delta.
    value = None if delta.value is None else -delta.value
    pooled = delta.model_copy(update={"name": "gain_as_published", "value": value})
    return found or unknown("gain", "%", "contrast of the arms", NO_DATA), pooled


def _rows_of(headline: Headline, each: Scored) -> Iterator[MeasuredRow]:
    run = each.run
    groups: dict[tuple[str, str | None], list[tuple[Unit, Stratum]]] = {}
    for unit in each.units:
        for stratum in unit.strata:
            if _mode(run, stratum) == headline.mode and _phase(stratum) in {PREFILL, DECODE}:
                cache = stratum.cell.axes.get("cache")
                key = (unit.point.id, None if cache is None else str(cache))
                groups.setdefault(key, []).append((unit, stratum))
    for (point, cache), members in groups.items():
        environment = environment_of(run.plan.point(point), run.ready.get(point))
        yield MeasuredRow(
            run=run.name,
            hardware=hardware_name(run),
            point=point,
            versions={name: environment.versions.get(name) for name in _SHOWN_VERSIONS},
            cache=cache,
            cells=_cells(headline, run, members),
        )


def _cells(
    headline: Headline, run: KeptRun, members: Sequence[tuple[Unit, Stratum]]
) -> dict[str, tuple[MeasuredCell, ...]]:
    models = dict.fromkeys(_model(run, stratum) for _, stratum in members)
    found: dict[str, list[MeasuredCell]] = {}
    for model in models:
        column = next((name for name, known in headline.columns.items() if model in known), model)
        mine = [each for each in members if _model(run, each[1]) == model]
        found.setdefault(column, []).append(_cell(run, model, mine))
    order = dict.fromkeys([*headline.columns, *found])
    return {column: tuple(found[column]) for column in order if column in found}


def _cell(run: KeptRun, model: str, members: Sequence[tuple[Unit, Stratum]]) -> MeasuredCell:
    prefill = _only(members, PREFILL)
    decode = _only(members, DECODE)
    lengths = (stratum.cell.axes.get("token_len") for _, stratum in members)
    return MeasuredCell(
        model=model,
        token_lens=tuple(dict.fromkeys(each for each in lengths if each is not None)),
        gain=_gain(run, prefill)[0] if prefill is not None else None,
        crash=_crash(run, decode) if decode is not None else None,
    )


def _crash(run: KeptRun, unit: Unit) -> Estimate:
    """Average the share of failures over cells with equal weights.

    Where every cell has as many rows that is TR147's n_errors / n_rows; cells that were stopped
    early have fewer and count as much.
    """
    name, method = "crash_rate", "mean over cells of the share of failed attempted iterations"
    found = [
        survival_of(replace(unit, strata=(each,)), Arm.SUBJECT, run.claim.protocol.level)
        for each in unit.strata
    ]
    rates = [each.crash_rate_as_published.value for each in found]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return unknown(name, "proportion", method, "a_cell_without_attempts")
    n = {
        "cells": len(known),
        "iterations": sum(each.crash_rate_as_published.n["iterations"] for each in found),
    }
    value = sum(known) / len(known)
    return Estimate(name=name, value=value, unit="proportion", method=method, n=n)


def _only(members: Sequence[tuple[Unit, Stratum]], phase: str) -> Unit | None:
    """Put the cells of one phase together, as strata of one unit."""
    mine = [(unit, stratum) for unit, stratum in members if _phase(stratum) == phase]
    if not mine:
        return None
    return replace(mine[0][0], strata=tuple(stratum for _, stratum in mine))


def _phase(stratum: Stratum) -> Scalar | None:
    return stratum.cell.axes.get("phase")


def _mode(run: KeptRun, stratum: Stratum) -> Scalar | None:
    return stratum.cell.axes.get(COMPILE_MODE_AXIS, run.plan.setup.arms.get(Arm.SUBJECT))


def _model(run: KeptRun, stratum: Stratum) -> str:
    planned = run.plan.setup.model
    return str(stratum.cell.axes.get("model", planned.id if planned else "unnamed model"))
