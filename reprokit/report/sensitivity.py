"""sensitivity.md: how far numbers and conclusions move with seed, warm-up, length, repetition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reprokit.records import Arm, Scalar
from reprokit.report.markup import code, table, text
from reprokit.report.merge import repeats_table
from reprokit.report.wording import estimate_words
from reprokit.sensitivity.lengths import pattern
from reprokit.sensitivity.records import (
    LengthRow,
    RunSensitivity,
    SeedRow,
    Sensitivity,
    WarmupOutcome,
    WarmupRow,
)
from reprokit.verdict.wording import OUTCOME_WORDS, count, number

_MOST = 200
_SEEDS = (
    "Largest move of a bound between two seeds, in per cent of the value. Decisions of fewer than "
    "10 invocations an arm rest on t intervals, which have no seed."
)
_CHANGES = {True: "**yes**", False: "no", None: "cannot be told"}


def render_sensitivity(found: Sensitivity) -> str:
    """Write the report; nothing is computed here."""
    lines = [
        "# Sensitivity",
        "",
        *table(
            ["run", "what is varied", "largest relative change", "conclusion changes"],
            [*(row for run in found.runs for row in _summary(run)), *_repeats_summary(found)],
        ),
    ]
    for run in found.runs:
        lines += ["", f"## {code(run.run)}", "", *_run(run, found.seeds)]
    lines += ["", "## Baseline over runs (C.5, C.6)", ""]
    lines += repeats_table(found.repeats) if found.repeats else ["No runs are repeats."]
    lines += ["", *(f"- {text(note, 600)}" for note in found.not_compared)]
    return "\n".join(lines).rstrip() + "\n"


def _summary(run: RunSensitivity) -> list[list[str]]:
    """Write one line for each of C.1, C.2 and C.3."""
    name = code(run.run)
    kinds = dict.fromkeys(row.interval for row in run.seeds)
    seeds = [
        [name, f"seed, {text(kind)} (C.1)", *_largest(mine), _any(_asked(mine), "not asked")]
        for kind in kinds
        if (mine := [row for row in run.seeds if row.interval == kind])
    ]
    dropped = _any(row.changes for row in run.warmup_outcomes)
    lengths = _any(row.changes for row in run.lengths)
    return [
        *seeds,
        [name, "warm-up (C.2)", *_largest(run.warmup), dropped],
        [name, "token length (C.3)", *_largest(run.lengths), lengths],
    ]


def _repeats_summary(found: Sensitivity) -> list[list[str]]:
    if not found.repeats:
        return [["", "baseline over runs (C.5, C.6)", "not measured", "cannot be told"]]
    spreads = [each.spread.value for each in found.repeats if each.spread.value is not None]
    statuses = {each.guard.status for each in found.repeats}
    changes = True if "drift" in statuses else False if statuses == {"equivalent"} else None
    largest = f"{number(max(spreads))} %" if spreads else "none"
    return [["", "baseline over runs (C.5, C.6)", largest, _CHANGES[changes]]]


def _largest(rows: Sequence[SeedRow | WarmupRow | LengthRow]) -> list[str]:
    changes = [row.change for row in rows if row.change is not None]
    without = len(rows) - len(changes)
    told = f"{number(max(changes))} %" if changes else "none"
    return [f"{told} ({without} of {len(rows)} cannot be told)" if without else told]


def _asked(rows: Sequence[SeedRow]) -> list[bool | None]:
    """Return what the claim's bounds say; of other numbers there is no conclusion."""
    return [row.changes for row in rows if row.sides]


def _any(changes: Iterable[bool | None], nothing: str = "nothing to compare") -> str:
    found = list(changes)
    if not found:
        return nothing
    return _CHANGES[True if True in found else None if None in found else False]


def _run(run: RunSensitivity, seeds: Sequence[int]) -> list[str]:
    told = text(OUTCOME_WORDS[run.outcome])
    return [
        f"Claim {code(run.claim_id)}, as kept: {told}.",
        "",
        f"### Seed of the bootstrap ({', '.join(map(str, seeds))})",
        "",
        _SEEDS,
        "",
        *_cut([_seed(row) for row in run.seeds], _SEED_HEADER),
        "",
        "### First iterations dropped",
        "",
        *_cut([_warmup(row) for row in run.warmup], _WARMUP_HEADER),
        "",
        *_cut([_outcome(row) for row in run.warmup_outcomes], _OUTCOME_HEADER),
        "",
        "### Token lengths",
        "",
        *_lengths(run.lengths),
    ]  # fmt: skip


_SEED_HEADER = ("point", "cell", "arm", "interval", "value", "largest move", "conclusion changes")
_WARMUP_HEADER = (
    "point", "cell", "arm", "mean", "largest change", "at", "over time", "last segment", "steady",
)  # fmt: skip
_OUTCOME_HEADER = ("point", "outcome by iterations dropped", "changes")
_LENGTH_HEADER = ("setting", "failed by length", "found by length", "largest change", "differs")


def _seed(row: SeedRow) -> list[str]:
    value = "none" if row.value is None else f"{number(row.value)} {row.unit}"
    change = text(f"none ({row.reason})") if row.change is None else f"{number(row.change)} %"
    changes = _CHANGES[row.changes] if row.sides else "not asked"
    return [code(row.point), code(row.cell), _arm(row.arm), text(row.interval), text(value),
            change, changes]  # fmt: skip


def _warmup(row: WarmupRow) -> list[str]:
    mean = row.means.get(0)
    return [
        code(row.point),
        code(row.cell),
        _arm(row.arm),
        "none" if mean is None else f"{number(mean)} {row.unit}",
        "none" if row.change is None else f"{number(row.change)} %",
        "" if row.at is None else f"{row.at} dropped",
        text((row.label or row.reason or "").replace("_", " ")),
        "" if row.share.value is None else f"{row.share.value:.2f}",
        {True: "yes", False: "no", None: "cannot be told"}[row.steady],
    ]


def _outcome(row: WarmupOutcome) -> list[str]:
    told = "; ".join(f"{at}: {OUTCOME_WORDS[each]}" for at, each in row.outcomes.items())
    return [_axes(row.axes) or code(row.point), text(told, 600), _CHANGES[row.changes]]


def _lengths(rows: Sequence[LengthRow]) -> list[str]:
    if not rows:
        return ["No setting has two token lengths."]
    patterns = dict.fromkeys(pattern(row) for row in rows)
    same = "the same" if len(patterns) == 1 else f"{len(patterns)} different patterns"
    lines = _cut([_length(row) for row in rows], _LENGTH_HEADER)
    return [*lines, "", f"Over {count(len(rows), 'setting')} of the other axes: {same}."]


def _length(row: LengthRow) -> list[str]:
    failed = "; ".join(f"{each.token_len}: {each.failed}/{each.attempted}" for each in row.lengths)
    change = (
        f"none ({row.together.reason})" if row.change is None
        else f"{number(row.change)} % of {estimate_words(row.together)}"
    )  # fmt: skip
    return [_axes(row.axes) or code(row.point), text(failed, 600), text(pattern(row), 600),
            text(change), _CHANGES[row.changes]]  # fmt: skip


def _cut(rows: Sequence[Sequence[str]], header: Sequence[str]) -> list[str]:
    more = len(rows) - _MOST
    lines = table(header, rows[:_MOST])
    return [*lines, "", f"and {count(more, 'more row')}; see the JSON."] if more > 0 else lines


def _arm(arm: Arm | None) -> str:
    return "both" if arm is None else arm.value


def _axes(axes: dict[str, Scalar]) -> str:
    return text(", ".join(f"{name} {value}" for name, value in axes.items()))
