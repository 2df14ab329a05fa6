"""Checks of `expect`: metric, unit, bounds and bands, and the figure as it is printed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal

from reprokit.claim.bands import Band, parse_band
from reprokit.claim.draft import Draft
from reprokit.claim.model import (
    ExpectFlip,
    ExpectGain,
    ExpectInvariance,
    ExpectStability,
    ExpectValue,
)
from reprokit.claim.printed import figure_of, figures
from reprokit.claim.problems import Path, Problem, suggestion
from reprokit.metrics import METRICS

_RESERVED_BANDS = {"null", "none", ""}


def expectation_problems(draft: Draft) -> Iterator[Problem]:
    """Complain about the expectation, and about the one inside `invariance` and `flip`."""
    expect, path = draft.expect, Path(("expect",))
    if isinstance(expect, ExpectInvariance | ExpectFlip):
        expect, path = expect.of, Path(("expect", "of"))
    if expect is None:
        return
    if isinstance(expect, ExpectStability):
        yield from _stability_problems(expect, path)
        return
    if expect.metric not in METRICS:
        message = f"there is no metric {expect.metric!r}"
        yield Problem((*path, "metric"), message, suggestion(expect.metric, METRICS))
    if isinstance(expect, ExpectValue):
        yield from _value_problems(expect, path)
        yield from _band_problems(expect.bands, path)
        yield from _printed_problems(expect, draft, path)
    elif isinstance(expect, ExpectGain):
        yield from _gain_problems(expect, path)


def _value_problems(expect: ExpectValue, path: Path) -> Iterator[Problem]:
    metric = METRICS.get(expect.metric)
    if metric is not None and expect.unit != metric.unit:
        message = f"{expect.metric} is measured in {metric.unit!r}, not in {expect.unit!r}"
        hint = f"Convert the value, and write unit: {metric.unit}."
        yield Problem((*path, "unit"), message, hint)


def _gain_problems(expect: ExpectGain, path: Path) -> Iterator[Problem]:
    low, high = expect.at_least, expect.at_most
    if low is None and high is None:
        message = "a gain needs a bound"
        yield Problem(path, message, "Give at_least, at_most or both, in per cent.", key=True)
    if low is not None and high is not None and low > high:
        message = f"at_least is {low:g}, which is more than at_most, {high:g}"
        yield Problem((*path, "at_least"), message, "Exchange them.")
    if low is not None and low >= 100:
        message = f"a gain of {low:g} % would take no time at all"
        hint = "A gain is 100 (1 - subject time / baseline time): twice as fast is 50."
        yield Problem((*path, "at_least"), message, hint)


def _stability_problems(expect: ExpectStability, path: Path) -> Iterator[Problem]:
    if (expect.equals is None) == (expect.at_most is None):
        found = "neither is" if expect.equals is None else "both are"
        message = f"stability needs exactly one of 'equals' and 'at_most'; {found} given"
        yield Problem(path, message, "Both are crash rates from 0 to 1.", key=True)


def _band_problems(bands: dict[str, str], path: Path) -> Iterator[Problem]:
    seen: dict[str, Band] = {}
    for name, text in bands.items():
        here = (*path, "bands", name)
        if name.strip().lower() in _RESERVED_BANDS:
            hint = "A point with no surviving row is in the band null by itself."
            yield Problem(here, f"no band can be named {name!r}", hint, key=True)
        try:
            band = parse_band(text)
        except ValueError as error:
            yield Problem(here, str(error), 'Write ">= 90", "< 5" or "80..90" (90 is not in it).')
            continue
        for other, known in seen.items():
            if band.overlaps(known):
                message = f"the bands {other!r} ({bands[other]}) and {name!r} ({text}) overlap"
                yield Problem(here, message, "A value must lie in one band at most.")
        seen[name] = band


def _printed_problems(expect: ExpectValue, draft: Draft, path: Path) -> Iterator[Problem]:
    printed = draft.source.printed if draft.source else None
    if printed is None:
        return
    figure = figure_of(printed, expect.value)
    if figure is None:
        shown = "shows no number" if not figures(printed) else "does not say so"
        yield Problem(
            (*path, "value"),
            f"the value is {expect.value:g}, but the printed figure {printed!r} {shown}",
            "source.printed is the cell of the table to the letter; one of the two is wrong.",
        )
        return
    half = figure.last_digit / 2
    if half >= figure.number * (1 - 1 / Decimal(repr(expect.margin))):
        share = float(half / figure.number)
        need = math.ceil(1000 / (1 - share)) / 1000 if share < 1 else math.inf
        yield Problem(
            (*path, "margin"),
            f"the margin {expect.margin:g} is within the rounding of the printed {printed!r} "
            f"(± {half.normalize():f})",
            f"A margin over {need:g} can be told from rounding.",
        )
