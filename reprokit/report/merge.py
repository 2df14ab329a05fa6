"""merge.md: what several machines say of one claim."""

from __future__ import annotations

from collections.abc import Sequence

from reprokit.merging.records import Condition, Merged, Repeats
from reprokit.records import Arm, Scalar
from reprokit.report.markup import code, table, text
from reprokit.report.wording import estimate_words
from reprokit.verdict.wording import OUTCOME_WORDS, count

_MOST = 400
_GATE = {
    "held": "The qualitative outcome held in every condition.",
    "changed": "The qualitative outcome changed; where is stated below.",
    "open": "Open: not every condition is decided in two regimes or more.",
}
_GUARD = {
    "equivalent": "stable",
    "drift": "drifts",
    "fails": "does not survive",
    "open": "open",
    "not_measured": "not measured",
}


def render_merge(merged: Merged) -> str:
    """Write the report of merged runs; nothing is computed here."""
    sections = (
        _headline(merged),
        _regimes(merged),
        _counts(merged),
        _conditions(merged),
        _repeats(merged.repeats),
        _limits(merged),
    )
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _headline(merged: Merged) -> list[str]:
    gate = merged.cross_regime
    return [
        f"# {text(merged.title)}: {count(len(merged.regimes), 'regime')}",
        "",
        (
            f"{count(len(merged.runs), 'run')} of {code(merged.claim_id)} "
            f"({text(merged.expected)}). Rows are never pooled over regimes."
        ),
        "",
        f"**Gate 5 (cross regime): {merged.gate.verdict}.**",
        "",
        *(f"- {text(each, 600)}" for each in merged.gate.evidence),
        "",
        (
            f"**Conditions: {gate.status}.** {_GATE[gate.status]} {len(gate.held)} held, "
            f"{len(gate.changed)} changed, {len(gate.open)} open, of the subject's."
        ),
        *(f"- changed: {text(each)}" for each in gate.changed[:_MOST]),
    ]


def _regimes(merged: Merged) -> list[str]:
    rows = [
        [
            text(run.regime),
            code(run.name),
            text(run.created),
            text(OUTCOME_WORDS[run.outcome]),
            f"{run.rows_ok} of {run.rows_planned}",
            text(", ".join(run.drivers)),
            code(run.rows_sha256[:16]),
        ]
        for run in merged.runs
    ]
    header = ["regime", "run", "created", "outcome of its own", "ok rows", "driver", "rows"]
    lines = ["## Regimes", "", *table(header, rows)]
    if not merged.stacks_differ:
        return [*lines, "", "Every stack point was made of the same packages in all regimes."]
    labels = [regime.label for regime in merged.regimes]
    differ = [
        [code(each.point), text(each.package),
         *(text(each.versions.get(label) or "-") for label in labels)]
        for each in merged.stacks_differ[:_MOST]
    ]  # fmt: skip
    return [*lines, "", "What the stacks were made of differs:", "",
            *table(["point", "package", *map(text, labels)], differ)]  # fmt: skip


def _counts(merged: Merged) -> list[str]:
    if not merged.conditions:
        return []
    rows = [
        [
            code(verdict),
            str(total),
            *(str(merged.counts_by_arm[arm].get(verdict, 0)) for arm in Arm),
        ]
        for verdict, total in merged.counts.items()
    ]
    return [
        "## Conditions by verdict",
        "",
        "Counted as in TR147, SS5.2: a condition is one arm of one cell at one stack point.",
        "",
        *table(["verdict", "conditions", *(arm.value for arm in Arm)], rows),
        "",
        f"{count(len(merged.conditions), 'condition')} in all.",
    ]


def _conditions(merged: Merged) -> list[str]:
    if not merged.conditions:
        return []
    labels = [regime.label for regime in merged.regimes]
    shown = sorted(merged.conditions, key=lambda each: each.arm is Arm.BASELINE)[:_MOST]
    header = [
        "arm", "condition", "verdict", "difference of means", "ratio over regimes", "5 % settled",
        *(f"crash rate, {text(label)}" for label in labels),
        *(f"subject is, {text(label)}" for label in labels), "quality",
    ]  # fmt: skip
    lines = ["## Conditions", "", *table(header, [_condition(each, labels) for each in shown])]
    more = len(merged.conditions) - len(shown)
    return [
        *lines,
        *(["", f"and {count(more, 'more condition')}; see merge.json."] if more else []),
    ]


def _condition(each: Condition, labels: Sequence[str]) -> list[str]:
    found = each.portability
    value = found.difference.value
    return [
        each.arm.value,
        _place(each.point, each.cell),
        code(found.verdict),
        f"{100 * value:.2f} %" if value is not None else "",
        text(estimate_words(found.ratio)) if found.ratio.value is not None else "",
        {True: "yes", False: "no", None: ""}[found.settled],
        *(_rate(found.crash_rates.get(label)) for label in labels),
        *(text(found.conclusions.get(label, "")) for label in labels),
        each.qualitative,
    ]


def _repeats(repeats: Sequence[Repeats]) -> list[str]:
    if not repeats:
        return []
    return ["## Baseline over repeats (TR147, C.5 and C.6)", "", *repeats_table(repeats)]


def repeats_table(repeats: Sequence[Repeats]) -> list[str]:
    """Lay out the baseline of every condition over the runs of a regime."""
    rows = [
        [
            text(each.regime),
            _place(each.point, each.cell),
            "; ".join(text(f"{run}: {estimate_words(mean)}") for run, mean in each.means.items()),
            text(estimate_words(each.spread)),
            text(estimate_words(each.guard.largest)) if each.guard.largest else "",
            text(_GUARD[each.guard.status] + (f" ({each.guard.reason})" * bool(each.guard.reason))),
        ]
        for each in repeats[:_MOST]
    ]  # fmt: skip
    header = ["regime", "condition", "baseline by run", "spread, as published", "largest ratio", ""]
    return table(header, rows)


def _limits(merged: Merged) -> list[str]:
    lines = [
        "Only repeats that are shown to be equivalent are stable.",
        "The difference of means pools iterations, as published; the ratio is over invocations.",
        *(text(note, 600) for note in merged.notes),
    ]
    return ["## What this does not tell", "", *(f"- {line}" for line in lines)]


def _place(*axes: dict[str, Scalar]) -> str:
    told = ", ".join(f"{name} {value}" for each in axes for name, value in each.items())
    return text(told or "all")


def _rate(rate: float | None) -> str:
    return "not measured" if rate is None else f"{rate:.3f}"
