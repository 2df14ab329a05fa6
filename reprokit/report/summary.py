"""summary.md: the family of decisions of several claims, and a study's summary tables."""

from __future__ import annotations

from collections.abc import Sequence

from reprokit.records import Estimate
from reprokit.report.markup import code, table, text
from reprokit.report.wording import estimate_words
from reprokit.summary.records import (
    ClaimSummary,
    Entry,
    MeasuredCell,
    MeasuredRow,
    Member,
    Row,
    Shown,
    Status,
    Summary,
)
from reprokit.verdict.wording import OUTCOME_WORDS, count, position

_MOST = 400
_NOT_MEASURED = "not measured"
_MEASURED_ROWS = (
    "Prefill gain (equal weights over token lengths) and, behind the stroke, crash rate of decode "
    "(likewise, over attempted rows), under the study's mode. Runs are never pooled."
)
_FAMILY = (
    "p is the smallest error rate at which the decision would still be made. A point without one "
    "keeps its place in the size of the family."
)


def render_summary(summary: Summary) -> str:
    """Write the report; nothing is computed here."""
    sections = (
        _claims(summary),
        _headline(summary.headline),
        _measured_rows(summary.measured_rows),
        _statuses(summary.statuses),
        _family(summary),
        _comparisons(summary),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _claims(summary: Summary) -> list[str]:
    decided = sum(each.decided for each in summary.claims)
    left = sum(each.left for each in summary.claims)
    header = ["claim", "run", "measured on", "outcome", "in the family", "decided points", "beside"]
    return [
        f"# {count(len(summary.claims), 'run')} of several claims, one family of decisions",
        "",
        (
            f"{decided} of {count(len(summary.family), 'point')} decided; {left} of them stay "
            f"decided with an error rate of {summary.alpha:g} over all of them (Holm 1979)."
        ),
        "",
        *table(header, [_claim(each) for each in summary.claims]),
    ]


def _claim(each: ClaimSummary) -> list[str]:
    beside = [each.departs] if each.departs and each.departs != "no claim of the study" else []
    beside += [] if each.departs else list(each.altered)
    return [
        code(each.claim_id),
        code(each.run),
        _where(each.hardware, elsewhere=each.elsewhere),
        OUTCOME_WORDS[each.outcome],
        OUTCOME_WORDS[each.in_family],
        f"{each.left} of {each.decided}, of {count(each.points, 'point')}",
        text("; ".join(beside)),
    ]


def _headline(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    lines = [
        [text(row.regime), text(column), entry.what, text(entry.printed), _measured(entry)]
        for row in rows
        for column, entries in row.cells.items()
        for entry in entries
    ]
    header = ["regime", "column", "figure", "published", "measured"]
    return ["## Headline matrix: published beside measured", "", *table(header, lines)]


def _measured(entry: Entry) -> str:
    if entry.why is not None:
        return text(f"no claim: {entry.why}")
    return "; ".join(_shown(each) for each in entry.measured) or _NOT_MEASURED


def _shown(each: Shown) -> str:
    pooled = each.as_published
    told = estimate_words(each.estimate)
    if pooled is not None and pooled.value is not None:
        told += f"; pooled as published {_pooled(pooled)}"
    beside = [f"no evidence, {each.departs}"] if each.departs else list(each.altered)
    told += f" ({'; '.join(beside)})" if beside else ""
    return (
        f"{text(told)}, {OUTCOME_WORDS[each.in_family]}, on "
        f"{_where(each.hardware, elsewhere=each.elsewhere)}"
    )


def _pooled(estimate: Estimate) -> str:
    """Write a pooled figure without its interval, which is far too narrow."""
    return estimate_words(estimate.model_copy(update={"low": None, "high": None}))


def _measured_rows(rows: Sequence[MeasuredRow]) -> list[str]:
    if not rows:
        return []
    columns = dict.fromkeys(column for row in rows for column in row.cells)
    lines = [
        [
            text(row.hardware or "unknown hardware"),
            text(", ".join(f"{name} {at or 'unknown'}" for name, at in row.versions.items())),
            text(row.cache or "not said"),
            code(row.run),
            *(_cells(row.cells.get(column, ())) for column in columns),
        ]
        for row in rows
    ]  # fmt: skip
    return [
        "## Headline matrix: measured rows",
        "",
        _MEASURED_ROWS,
        "",
        *table(["measured on", "stack", "cache", "run", *map(text, columns)], lines),
    ]  # fmt: skip


def _cells(cells: Sequence[MeasuredCell]) -> str:
    return "; ".join(map(_cell, cells)) or _NOT_MEASURED


def _cell(cell: MeasuredCell) -> str:
    gain = _NOT_MEASURED if cell.gain is None else estimate_words(cell.gain)
    crash = cell.crash
    if crash is None:
        told = _NOT_MEASURED
    elif crash.value is None:
        told = estimate_words(crash)
    else:
        told = f"{crash.value:.3f} ({crash.n['iterations']} rows)"
    lengths = ", ".join(map(str, cell.token_lens))
    return text(f"{cell.model}: {gain} / {told}" + (f" (lengths {lengths})" if lengths else ""))


def _statuses(statuses: Sequence[Status]) -> list[str]:
    if not statuses:
        return []
    lines = [
        [
            text(each.claim),
            each.published,
            (text(f"no claim: {each.why}") if each.why else each.measured)
            + (" (on other hardware)" if each.elsewhere else ""),
            "; ".join(
                f"{code(found.claim_id)} "
                + (", ".join(OUTCOME_WORDS[one] for one in found.outcomes) or _NOT_MEASURED)
                for found in each.evidence
            ),
        ]
        for each in statuses
    ]
    header = ["statement", "published", "measured", "rests on"]
    return ["## Status of the statements", "", *table(header, lines)]


def _family(summary: Summary) -> list[str]:
    header = ["claim", "run", "point", "outcome", "p", "p, adjusted", "in the family"]
    return [
        "## Family of decisions",
        "",
        _FAMILY,
        "",
        *_cut(header, [_member(each) for each in summary.family]),
    ]  # fmt: skip


def _member(each: Member) -> list[str]:
    return [
        code(each.claim_id),
        code(each.run),
        text(position(each.axes)) or code(each.point),
        OUTCOME_WORDS[each.outcome],
        _p(each.p),
        _p(each.adjusted),
        OUTCOME_WORDS[each.in_family],
    ]


def _comparisons(summary: Summary) -> list[str]:
    if not summary.comparisons:
        return []
    rejected = sum(each.rejected is True for each in summary.comparisons)
    told = sum(each.rejected is not None for each in summary.comparisons)
    header = ["claim", "run", "point", "cell", "p", "p, adjusted", "differs"]
    words = {True: "yes", False: "not shown", None: "cannot be told"}
    lines = [
        [code(each.claim_id), code(each.run), code(each.point), code(each.cell), _p(each.p),
         _p(each.adjusted), words[each.rejected]]
        for each in summary.comparisons
    ]  # fmt: skip
    return [
        "## Subject against baseline, as one family",
        "",
        (
            f"{rejected} of {told} tested differences are shown (Holm over "
            f"{len(summary.comparisons)}, TR147's B.5). It decides nothing: a difference that is "
            "not shown is not shown to be none."
        ),
        "",
        *_cut(header, lines),
    ]


def _cut(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    more = len(rows) - _MOST
    lines = table(header, rows[:_MOST])
    return [*lines, "", f"and {count(more, 'more row')}; see summary.json."] if more > 0 else lines


def _p(estimate: Estimate) -> str:
    """Write a p-value to 4 decimals, as TR147 does; a small one is not written as 0."""
    if estimate.value is None:
        return text(estimate_words(estimate))
    return "< 0.0001" if estimate.value < 0.00005 else f"{estimate.value:.4f}"


def _where(hardware: str | None, *, elsewhere: bool) -> str:
    return text(hardware or "unknown hardware") + (", not the claim's" if elsewhere else "")
