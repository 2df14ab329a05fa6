"""Points and axis attribution: the table that most readers came for."""

from __future__ import annotations

from collections.abc import Sequence

from reprokit.records import Arm, Estimate, Scalar
from reprokit.report.markup import code, table, text
from reprokit.report.variance_section import variance_lines
from reprokit.report.wording import estimate_words, reason_words
from reprokit.verdict.records import AxisEffect, PointVerdict, Survival, Verdict
from reprokit.verdict.wording import (
    attempts_words,
    count,
    outcome_words,
    point_noun,
    position,
)

_MOST_PAIRS = 8
_EFFECTS = {
    "changes": "**changes whether the claim holds**",
    "no_change": "does not change the outcome",
    "cannot_tell": "cannot be told",
}


def points_section(verdict: Verdict) -> list[str]:
    """Write one row per point."""
    axes = list(dict.fromkeys(name for point in verdict.points for name in point.axes))
    arms = [arm for arm in Arm if arm in verdict.arms]
    header = [
        *(text(axis) for axis in axes),
        "outcome",
        headline_name(verdict),
        *(f"{text(verdict.arms[arm])} survived" for arm in arms),
        "declared",
    ]
    banded = any(point.band for point in verdict.points)
    rows = [
        [
            *(_value(point, axis) for axis in axes),
            outcome_words(point.outcome, verdict.altered),
            _headline(verdict, point),
            *(_survival(point, arm) for arm in arms),
            _declared(verdict, point),
            *([code(point.band or "")] if banded else []),
        ]
        for point in verdict.points
    ]
    return [
        f"## {point_noun(verdict.axes).capitalize()}s ({len(verdict.points)})",
        "",
        *table([*header, *(["band"] if banded else [])], rows),
        "",
        _intervals(verdict) + _margin(verdict),
        *_clauses(verdict),
        *_reasons(verdict),
        *_needed(verdict),
    ]


def headline_name(verdict: Verdict) -> str:
    """Name the estimate that stands in the table."""
    return {
        "value": f"measured {verdict.metric}",
        "gain": "gain",
        "equivalence": "ratio of times",
        "stability": "crash rate",
    }[verdict.concludes]


def headline_estimate(verdict: Verdict, point: PointVerdict) -> Estimate | None:
    """Find the estimate that stands in the table for a point."""
    kind = verdict.concludes
    if kind == "stability":
        return next((each.crash_rate for each in point.survival if each.arm is Arm.SUBJECT), None)
    name = {
        "value": f"{Arm.SUBJECT}_{verdict.metric}",
        "gain": "gain",
        "equivalence": "tost_contrast" if point.estimate("tost_contrast") else "contrast",
    }[kind]
    return point.estimate(name)


def survival_words(survival: Survival) -> str:
    """Write how many invocations survived whole, and what none of them still allows."""
    told = f"{survival.complete} of {survival.attempted}"
    if survival.stopped_early:
        told += f" ({attempts_words(survival)})"
    elif survival.attempted < survival.planned:
        told += f" ({survival.planned - survival.attempted} not launched)"
    if survival.partial:
        told += f", {survival.partial} partly"
    if survival.attempted and not survival.complete and survival.rate.high is not None:
        told += f" (at most {100 * survival.rate.high:.0f} %)"
    return told


def axes_section(verdict: Verdict) -> list[str]:
    """Say of every axis whether the outcome changes along it."""
    if not verdict.axes:
        return []
    lines = ["## Which axis", ""]
    for effect in verdict.axes:
        lines.append(f"- {code(effect.axis)} {_effect(effect)}{_how(effect)}")
        lines += [
            f"  - {_pair(effect, index, verdict.altered)}"
            for index in range(min(_MOST_PAIRS, _pairs(effect)))
        ]
        if _pairs(effect) > _MOST_PAIRS:
            lines.append(f"  - and {count(_pairs(effect) - _MOST_PAIRS, 'more pair')}")
    return [*lines, *variance_lines(verdict)]


def _effect(effect: AxisEffect) -> str:
    """Tell an axis that decides from one along which the claim fails, each time differently."""
    if effect.effect != "changes" or effect.decides:
        return _EFFECTS[effect.effect]
    holds = all(outcome.holds for pair in effect.changed for outcome in pair.outcomes)
    how = "how it holds" if holds else "how it fails"
    return f"changes only {how}" if not effect.missing else f"changes {how}, as far as is decided"


def _how(effect: AxisEffect) -> str:
    told = f" ({count(effect.settings, 'setting')} of the other axes compared)"
    if effect.settings == 0:
        told = ": no two points differ in it alone"
    if effect.interacts_with:
        names = ", ".join(code(name) for name in effect.interacts_with)
        told += f", and whether it does depends on {names}"
    if effect.missing:
        shown = "; ".join(text(place) for place in effect.missing[:_MOST_PAIRS])
        more = "; ..." if len(effect.missing) > _MOST_PAIRS else ""
        told += f". Undecided: {shown}{more}"
    return told


def _pair(effect: AxisEffect, index: int, altered: Sequence[str]) -> str:
    pair = effect.changed[index]
    first, second = (f"{code(str(value))}" for value in pair.values)
    held = f" (at {text(position(pair.held))})" if pair.held else ""
    return (
        f"{first}: {outcome_words(pair.outcomes[0], altered)}; "
        f"{second}: {outcome_words(pair.outcomes[1], altered)}{held}"
    )


def _pairs(effect: AxisEffect) -> int:
    return len(effect.changed)


def _value(point: PointVerdict, axis: str) -> str:
    value: Scalar | None = point.axes.get(axis)
    return "" if value is None else code(str(value))


def _headline(verdict: Verdict, point: PointVerdict) -> str:
    estimate = headline_estimate(verdict, point)
    return text(estimate_words(estimate)) if estimate and estimate.value is not None else ""


def _survival(point: PointVerdict, arm: Arm) -> str:
    found = next((each for each in point.survival if each.arm is arm), None)
    return survival_words(found) if found else ""


def _declared(verdict: Verdict, point: PointVerdict) -> str:
    declared = verdict.environment(point.point).declared
    return {True: "yes", False: "**no**", None: "unknown"}[declared]


def _intervals(verdict: Verdict) -> str:
    return f"Intervals are at the {100 * verdict.level:.0f} % level, over invocations."


def _margin(verdict: Verdict) -> str:
    margin = verdict.margin
    if margin is None:
        return ""
    told = f" The effective margin is a factor of {margin.value:.6g}"
    if margin.rounding is not None and margin.rounding > margin.declared:
        return (
            f"{told}: the printed figure's digits carry no finer one (the claim asks for "
            f"{margin.declared:g})."
        )
    return f"{told}, the claim's own."


def _clauses(verdict: Verdict) -> list[str]:
    """Say of every point what happened, where the headline had no room for all."""
    if len(verdict.points) < 2:
        return []
    return [
        "",
        *(f"- {text(position(each.axes))}: {text(each.clause, 600)}" for each in verdict.points),
    ]


def _reasons(verdict: Verdict) -> list[str]:
    codes = dict.fromkeys(code for point in verdict.points for code in point.reasons)
    codes |= dict.fromkeys(verdict.reasons)
    if not codes:
        return []
    return ["", "Reasons:", "", *(f"- {code(each)}: {reason_words(each)}" for each in codes)]


def _needed(verdict: Verdict) -> list[str]:
    lines = []
    for point in verdict.points:
        if point.needed is None:
            continue
        where = text(position(point.axes)) or "this point"
        if point.needed.value is None:
            why = (point.needed.reason or "").replace("_", " ")
            lines.append(f"- No number of invocations would decide {where}: {why}.")
        else:
            lines.append(
                f"- About {point.needed.value:.0f} invocations per arm would decide {where}, if "
                "mean and spread stay as they were seen."
            )
    return ["", *lines] if lines else []
