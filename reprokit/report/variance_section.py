"""How much of the log ratio's variance each axis explains: a table under "Which axis"."""

from __future__ import annotations

from reprokit.records import Estimate
from reprokit.report.markup import code, table, text
from reprokit.report.wording import estimate_words
from reprokit.stats.variance import (
    CONFOUNDED,
    NOT_ESTIMABLE,
    NOTHING_BEYOND_NOISE,
    ONE_VALUE,
    ONLY_AXIS,
    TOO_FEW_POINTS,
    TOO_MANY,
    TermShare,
    VarianceShares,
)
from reprokit.verdict.records import Verdict
from reprokit.verdict.variance_records import AxisVariance
from reprokit.verdict.wording import count, interval

_MOST_MISSING = 6
_OF = {
    "contrast": "subject over baseline time",
    "ratio_to_claim": "measured over claimed speed",
}
_WHY = {
    CONFOUNDED: "cannot be told from the other axes: points are missing",
    NOT_ESTIMABLE: "not estimable from this design: its combinations were not all measured",
    NOTHING_BEYOND_NOISE: "the points do not differ beyond noise",
    ONE_VALUE: "not estimable: only one of its values has a log ratio",
    ONLY_AXIS: "all of it: no other axis varies",
    TOO_MANY: "not estimable: points are missing, and there are too many combinations",
    TOO_FEW_POINTS: "fewer than 2 points have a log ratio",
    "the_claim_is_about_no_ratio": "the claim is about a rate of crashes, not about times",
    "only_one_point_was_planned": "only one point was planned",
    "impossible_value": "a log ratio is beyond what a number can hold",
}


def variance_lines(verdict: Verdict) -> list[str]:
    """Write the shares, what interacts, and what this design does not tell."""
    found = verdict.variance
    if found is None:
        return []
    if found.shares is None:
        return [
            "",
            f"How much each axis explains is not told: {_why(found.reason)}.",
            *_gaps(found),
        ]
    shares = found.shares
    lines = ["", _opening(found, shares), ""]
    if any(term.share.value is not None or term.beyond is not None for term in shares.terms):
        lines += table(["axis", "share of the variance", "beyond all other terms"], _rows(shares))
        lines += ["", _interactions(shares)]
    else:
        lines += [f"- {_axes(term)}: {_why(term.share.reason)}" for term in shares.terms]
    return [*lines, *_gaps(found)]


def _opening(found: AxisVariance, shares: VarianceShares) -> str:
    spread = _percent(shares.spread)
    noise = shares.noise.value
    told = f"Over {count(shares.points, 'point')} the log ratio ({_OF[found.of or 'contrast']}) "
    told += f"has a standard deviation of {spread} once noise is taken off"
    if noise is not None:
        told += f"; {100 * noise:.2g} % of what was observed is noise of the processes"
    return f"{told}. It decides nothing."


def _percent(spread: Estimate) -> str:
    if spread.value is None:
        return f"unknown ({_why(spread.reason)})"
    value, low, high = (
        None if each is None else 100.0 * (each - 1.0)
        for each in (spread.value, spread.low, spread.high)
    )
    return f"{value:.3g} % {interval(low, high)}".strip()


def _rows(shares: VarianceShares) -> list[list[str]]:
    rows = [[_axes(term), _share(term.share), _share(term.beyond)] for term in shares.terms]
    if shares.rest is not None:
        rows.append(["interactions of three axes and more, and what is left", _share(shares.rest)])
        rows[-1].append("")
    return rows


def _share(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    if estimate.value is None:
        return _why(estimate.reason)
    return text(estimate_words(estimate))


def _interactions(shares: VarianceShares) -> str:
    """Name the pairs of axes that are shown to act together, and how far the rest is known."""
    pairs = [term for term in shares.terms if len(term.axes) == 2]
    shown = [_axes(term) for term in pairs if term.shown]
    if not pairs:
        return "One axis alone was varied, so nothing is told of axes acting together."
    if shown:
        return f"Shown to act together (the interval excludes 0): {', '.join(shown)}."
    untold = any(term.share.value is None and term.beyond is None for term in pairs)
    if untold:
        return "That axes act together is not shown, and this design does not tell it of all pairs."
    return "That axes act together is not shown; it is not excluded either."


def _axes(term: TermShare) -> str:
    return " with ".join(code(axis) for axis in term.axes)


def _gaps(found: AxisVariance) -> list[str]:
    if not found.missing:
        return []
    shown = "; ".join(text(each.replace("_", " ")) for each in found.missing[:_MOST_MISSING])
    more = len(found.missing) - _MOST_MISSING
    return ["", f"Without a log ratio: {shown}{f'; and {more} more' if more > 0 else ''}."]


def _why(reason: str | None) -> str:
    return text(_WHY.get(reason or "", (reason or "no reason").replace("_", " ")))
