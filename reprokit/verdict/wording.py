"""Words for numbers, axes and claims; plain English, correct in singular and plural."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from reprokit.claim.model import (
    Conclusion,
    Expect,
    ExpectEquivalence,
    ExpectFlip,
    ExpectGain,
    ExpectInvariance,
    ExpectStability,
    ExpectValue,
)
from reprokit.records import FailureKind, Scalar
from reprokit.stack import SHA_AXIS
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import AxisEffect, FailureGroup, Survival, Verdict

OUTCOME_WORDS: dict[Outcome, str] = {
    Outcome.REPRODUCED: "reproduced",
    Outcome.FALLS_SHORT: "falls short",
    Outcome.EXCEEDS: "exceeds the claim",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.NO_SURVIVORS: "nothing survived",
    Outcome.SILENT_FALLBACK: "fell back silently",
    Outcome.INSUFFICIENT: "too little data",
    Outcome.INVALID: "not valid",
    Outcome.TRANSFERS: "transfers to this hardware",
    Outcome.TRANSFERS_SHIFTED: "transfers with another figure",
    Outcome.DOES_NOT_TRANSFER: "does not transfer",
    Outcome.DEPENDS: "depends on the stack",
}
_SLICE_WORDS = {
    **OUTCOME_WORDS,
    Outcome.REPRODUCED: "holds for the slice",
    Outcome.TRANSFERS: "holds for the slice, on this hardware",
    Outcome.TRANSFERS_SHIFTED: "another figure for the slice, on this hardware",
    Outcome.DOES_NOT_TRANSFER: "does not hold for the slice, on this hardware",
}
_OF_THE_MODEL = re.compile(r"(model(?:\.(?:id|dtype|revision))?|cells\.(?:model|dtype)) *=[^=].*")
_MOST_PERCENT = 1000
_COMPACT = 1e6
_FEW_DIGITS = 1000.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Write "1 point", "2 points"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def number(value: float) -> str:
    """Write a measured number with four significant digits."""
    if value == 0 or not 1e-4 <= abs(value) < _COMPACT:
        return f"{value:.3g}"
    digits = max(0, 3 - _magnitude(value))
    return f"{value:.{digits}f}"


def decimals(value: float, digits: int | None) -> str:
    """Write a number with fixed decimals, by significance without, or where it is too long."""
    if digits is None or abs(value) >= _COMPACT:
        return number(value)
    # "-0.0" is no number that a reader expects.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def interval(
    low: float | None, high: float | None, digits: int | None = None, *, percent: bool = False
) -> str:
    """Write "[low, high]", an open end as "..."; empty where there is no interval.

    A bound in per cent that is beyond any use is written as "< -1000" or "> 1000": few samples
    leave an interval all but unbounded, and its digits tell nothing.
    """
    if low is None and high is None:
        return ""
    return f"[{_end(low, digits, percent)}, {_end(high, digits, percent)}]"


def _end(value: float | None, digits: int | None, percent: bool) -> str:
    if value is None:
        return "..."
    if percent and abs(value) > _MOST_PERCENT:
        return f"< -{_MOST_PERCENT}" if value < 0 else f"> {_MOST_PERCENT}"
    if digits is not None and abs(value) >= _FEW_DIGITS:
        return number(value)
    return decimals(value, digits)


def slice_of(altered: Sequence[str]) -> str | None:
    """Name the model that was put in place of the claim's; None where it is the claim's own.

    Another model is another claim. Random weights are not: they are labelled, and a dense model
    computes as much with them.
    """
    changes = [one_line(each) for each in altered if _OF_THE_MODEL.fullmatch(each)]
    # What a slice implies is listed too, as "path = value (model=NAME)".
    asked = [each for each in changes if " = " not in each] or changes
    return series([each.replace("=", " ", 1) for each in asked]) or None


def outcome_words(outcome: Outcome, altered: Sequence[str]) -> str:
    """Say an outcome; of a slice never that the claim itself holds or transfers."""
    return (_SLICE_WORDS if slice_of(altered) else OUTCOME_WORDS)[outcome]


def headline_words(verdict: Verdict) -> str:
    """Say the outcome of a whole claim; a dependence that is not the stack's names its axes."""
    if verdict.outcome is not Outcome.DEPENDS:
        return outcome_words(verdict.outcome, verdict.altered)
    if verdict.along:  # about an axis: it is the others on which the conclusion along it depends
        others = {axis for line in verdict.along for axis in line.held}
        axes = [each for each in verdict.axes if each.axis in others]
    else:
        axes = [each for each in verdict.axes if each.decides] or list(verdict.axes)
    if all(each.kind == "stack" for each in axes):
        return OUTCOME_WORDS[Outcome.DEPENDS]
    return f"depends on {series([each.axis for each in axes])}"


def point_noun(axes: Sequence[AxisEffect]) -> str:
    """Name the points of a verdict, in the singular: some axes vary inside a stack point."""
    return "stack point" if all(each.kind == "stack" for each in axes) else "point"


def series(words: Sequence[str]) -> str:
    """Write "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def position(axes: Mapping[str, Scalar]) -> str:
    """Write where a point lies: "head, triton 3.4.0"; a label of `sha` names itself."""
    return ", ".join(on_axis(name, value) for name, value in axes.items())


def on_axis(name: str, value: Scalar) -> str:
    """Write one value of an axis."""
    if name == SHA_AXIS:
        return str(value)
    return f"{name.replace('_', ' ')} {value}"


def one_line(text: str, longest: int = 140) -> str:
    """Take control characters and line ends out of foreign text, and cut it."""
    clean = " ".join(_CONTROL.sub(" ", text).split())
    return clean if len(clean) <= longest else f"{clean[: longest - 3].rstrip()}..."


def both_ends(text: str, longest: int) -> str:
    """Write foreign text in one line; of a long one head and tail, where its reasons stand."""
    clean = one_line(text, len(text) + 3)
    if len(clean) <= longest:
        return clean
    half = (longest - 5) // 2
    return f"{clean[:half].rstrip()} ... {clean[-half:].lstrip()}"


def kind_words(failure: FailureGroup) -> str:
    """Write "cudagraph_overwrite: ", nothing for a failure without a name of its own."""
    named = failure.kind is not None and failure.kind is not FailureKind.OTHER
    return f"{failure.kind}: " if named else ""


def attempts_words(survival: Survival) -> str:
    """Write "attempted 3 of 5, stopped early"; empty where nothing was stopped."""
    if not survival.stopped_early:
        return ""
    return f"attempted {survival.attempted} of {survival.planned}, stopped early"


def failure_words(failure: FailureGroup) -> str:
    """Tell a failure in a few words: class, message, file, line and function."""
    message = one_line(failure.message, 80 if failure.exception else 140)
    head = ": ".join(part for part in (failure.exception, message) if part) or "no message"
    head = kind_words(failure) + head
    if failure.frame is None:
        return one_line(head)
    comma = "," if message else ""
    return one_line(f"{head}{comma} at {failure.frame.rsplit('/', 1)[-1]}", 200)


def expected_words(expect: Expect) -> str:
    """Say what a claim states, in words."""
    if isinstance(expect, ExpectInvariance):
        return f"the same conclusion at every value of {expect.axis}: {_words(expect.of)}"
    if isinstance(expect, ExpectFlip):
        return f"a conclusion that changes along {expect.axis}: {_words(expect.of)}"
    return _words(expect)


def _words(expect: Conclusion) -> str:
    if isinstance(expect, ExpectValue):
        return (
            f"{expect.metric} of {expect.value:g} {expect.unit} ({expect.statistic}), "
            f"within a factor of {expect.margin:g}"
        )
    if isinstance(expect, ExpectGain):
        bounds = _bounds(expect.at_least, expect.at_most, "%")
        return f"a gain of {bounds} in {expect.metric} of the subject over the baseline"
    if isinstance(expect, ExpectEquivalence):
        return (
            f"the same {expect.metric} for subject and baseline, within a factor of "
            f"{expect.margin:g}"
        )
    assert isinstance(expect, ExpectStability)
    if expect.equals is not None and expect.at_most is None:
        return f"a crash rate of {expect.equals:g} for the subject"
    return f"a crash rate of {_bounds(None, expect.at_most, '')} for the subject".replace(" ,", ",")


def _bounds(at_least: float | None, at_most: float | None, unit: str) -> str:
    parts = []
    if at_least is not None:
        parts.append(f"at least {at_least:g} {unit}".strip())
    if at_most is not None:
        parts.append(f"at most {at_most:g} {unit}".strip())
    return series(parts)


def _magnitude(value: float) -> int:
    return int(f"{abs(value):.3e}".split("e")[1])
