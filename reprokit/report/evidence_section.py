"""Evidence: failures, asked against measured, figures, and what each invocation gave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reprokit.records import Arm, Estimate, RowStatus
from reprokit.report.markup import code, details, table, text
from reprokit.report.wording import estimate_words, status_words
from reprokit.stats.sample import NO_DATA
from reprokit.verdict.records import Asked, FailureGroup, InvocationSummary, PointVerdict, Verdict
from reprokit.verdict.wording import count, kind_words, number, point_noun, position

_SHORT = 12
_STATUS = {
    "match": "",
    "differs": " **differs**",
    "unknown": "",
    "not_stated": "",
}


def failures_section(verdict: Verdict) -> list[str]:
    """Write the failures: equal ones once over all points, with the path of a whole log."""
    groups: dict[tuple[str, str, str], list[tuple[PointVerdict, FailureGroup]]] = {}
    for point in verdict.points:
        for failure in point.failures:
            told = failure.fingerprint if failure.exception else None
            told = told or failure.headline
            groups.setdefault((failure.arm, failure.status, told), []).append((point, failure))
    lines = [line for group in groups.values() for line in _failure(verdict, group)]
    return ["## Failures", "", *lines] if lines else []


def identity_section(verdict: Verdict) -> list[str]:
    """Write the six-part identity of every point: measured, beside what was asked."""
    if not verdict.points:
        return []
    parts = [part.name for part in verdict.points[0].identity]
    rows = [[place(point), *(_asked(part) for part in point.identity)] for point in verdict.points]
    lines = ["## Asked and measured", "", *table([point_noun(verdict.axes), *parts], rows)]
    regimes = {part for point in verdict.points for part in point.regime}
    if regimes:
        ordered = sorted(regimes, key=lambda part: (part.name, part.measured or ""))
        told = [
            [text(part.name.replace("_", " ")), text(part.asked or ""), *_measured(part)]
            for part in ordered
        ]
        lines += ["", "The claim's hardware against the measured one:", ""]
        lines += table(["", "claimed", "measured", ""], told)
    return lines


def figures_section(verdict: Verdict) -> list[str]:
    """Write every estimate: the ones that decide, and the as-published ones beside them."""
    lines: list[str] = []
    for point in verdict.points:
        if _measured_anything(point):
            lines += [*details(f"Figures of {place(point)}", _figures(point)), ""]
        else:
            lines += [f"No figures of {place(point)}: no iteration was ok.", ""]
    return ["## Figures", "", *lines[:-1]] if lines else []


def invocations_section(verdict: Verdict) -> list[str]:
    """Write the mean of every invocation: the numbers that the estimates are made of."""
    if verdict.metric is None:
        return []
    silent = [place(point) for point in verdict.points if not _measured_anything(point)]
    without = [f"No iteration was ok at {'; '.join(silent)}.", ""] if silent else []
    if len(silent) == len(verdict.points):
        return []
    rows = [
        [
            _places(places),
            code(cell),
            text(verdict.arms.get(arm, arm)),
            ", ".join("none" if each.mean is None else number(each.mean) for each in mine),
            _each([each.n for each in mine]),
            _each([each.cold for each in mine]),
        ]
        for (_, cell, arm, mine), places in _by_arm(verdict).items()
    ]
    means = ["arm", "mean of each invocation", "iterations", "cold, unused"]
    return [
        "## Invocations",
        "",
        f"Mean {verdict.metric} of each invocation, in order: total work over total time.",
        "",
        *without,
        *table([point_noun(verdict.axes), "cell", *means], rows),
    ]


def _measured_anything(point: PointVerdict) -> bool:
    return any(each.statuses.get(RowStatus.OK) for each in point.survival)


_Measured = tuple[str, str, Arm, tuple[InvocationSummary, ...]]


def _by_arm(verdict: Verdict) -> dict[_Measured, list[PointVerdict]]:
    """Put the invocations of an arm in a cell together, with all points that use them."""
    groups: dict[_Measured, list[PointVerdict]] = {}
    for point in filter(_measured_anything, verdict.points):
        for cell, arm in dict.fromkeys((each.cell, each.arm) for each in point.invocations):
            mine = (each for each in point.invocations if (each.cell, each.arm) == (cell, arm))
            groups.setdefault((point.point, cell, arm, tuple(mine)), []).append(point)
    return groups


def _each(counts: list[int]) -> str:
    if len(set(counts)) == 1:
        return f"{counts[0]} each"
    return ", ".join(str(each) for each in counts)


def place(point: PointVerdict) -> str:
    """Name a point by its axes."""
    return text(position(point.axes)) or code(point.point)


def _places(points: Iterable[PointVerdict]) -> str:
    return "; ".join(map(place, points))


_HEADER = ["estimate", "value", "n", "method"]


def _estimates(point: PointVerdict) -> list[list[str]]:
    survival = [
        estimate.model_copy(update={"name": f"{each.arm}_{estimate.name}"})
        for each in point.survival
        for estimate in (each.rate, each.crash_rate, each.crash_rate_as_published)
    ]
    known = (each for each in point.estimates if each.reason != NO_DATA)
    return _rows([*known, *survival])


def _rows(estimates: Iterable[Estimate]) -> list[list[str]]:
    return [
        [
            estimate.name.replace("_", " "),
            text(estimate_words(estimate)),
            ", ".join(f"{n} {what}" for what, n in estimate.n.items()),
            text(
                estimate.method + (f", seed {estimate.seed}" if estimate.seed is not None else "")
            ),
        ]
        for estimate in estimates
    ]


def _figures(point: PointVerdict) -> list[str]:
    lines = table(_HEADER, _estimates(point))
    for stratum in point.strata:
        several = len(point.strata) > 1
        name = f", {text(position(stratum.axes))}" if several else ""
        if several:
            lines += [
                "",
                f"Of this cell alone{name}:",
                "",
                *table(_HEADER, _rows(stratum.estimates)),
            ]
        lines += ["", f"Pooled iterations{name}, as published; they decide nothing:", ""]
        lines += table(_HEADER, _rows(stratum.published))
        beside = [each for each in stratum.beside if each.reason != NO_DATA]
        if beside:
            lines += ["", f"Beside them{name}, of invocations; they decide nothing:", ""]
            lines += table(_HEADER, _rows(beside))
    return lines


def _failure(verdict: Verdict, group: Sequence[tuple[PointVerdict, FailureGroup]]) -> list[str]:
    first = group[0][1]
    arm = text(verdict.arms.get(first.arm, first.arm))
    same: dict[tuple[str, ...], list[tuple[PointVerdict, FailureGroup]]] = {}
    for point, failure in group:
        same.setdefault(tuple(failure.per_invocation), []).append((point, failure))
    once = {name: rows for _, failure in group for name, rows in failure.per_invocation.items()}
    counted = f"{count(len(once), 'invocation')} ({count(sum(once.values()), 'iteration')})"
    headline = code(kind_words(first) + first.headline)
    lines = [
        f"- **{arm}**, {counted} {status_words(first.status, many=len(once) != 1)}: {headline}"
    ]
    facts = {"class": first.exception, "frame": first.frame, "fingerprint": first.fingerprint}
    lines += [f"  - {name}: {code(fact)}" for name, fact in facts.items() if fact]
    lines += [f"  - caused by: {code(cause)}" for cause in first.causes]
    lines += [
        f"  - at {_places(point for point, _ in mine)}: {count(len(names), 'invocation')}"
        + (f", log {code(log)}" if (log := mine[0][1].log) else "")
        for names, mine in same.items()
    ]
    return lines


def _measured(part: Asked) -> tuple[str, str]:
    return text(part.measured or "not known"), part.status.replace("_", " ")


def _asked(part: Asked) -> str:
    if part.measured is None:
        return f"{_brief(part.asked)} (as asked)" if part.asked else "not stated"
    measured = _brief(part.measured)
    if part.asked is None or part.asked == part.measured:
        return measured
    return f"{measured} (asked: {_brief(part.asked)}){_STATUS[part.status]}"


def _brief(value: str) -> str:
    is_digest = len(value) >= 40 and all(letter in "0123456789abcdef" for letter in value)
    return code(value[:_SHORT]) if is_digest else text(value)
