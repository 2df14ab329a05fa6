"""Figures as documents print them: which number a text shows, and how finely it was rounded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain

# Not inside a word or another number: the 2 of "Llama-2" and of "v2.1" are no figures, nor are
# the digits of "int8".
_FIGURE = re.compile(
    r"(?<![\w.,])(?<![A-Za-z]-)"
    r"(?P<digits>\d{1,3}(?:[,'_\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+)"
    r"(?P<exponent>[eE][-+]?\d{1,3})?"
    r"(?![\d,.]*\d)"
)
_GROUPS = re.compile(r"\d{1,3}(?:[,'_\u00a0\u2009\u202f]\d{3})+(?:\.\d+)?")

_UNIT_STEPS = tuple(Decimal(10) ** power for power in (0, 3, -3, 6, -6))
"""A document may print seconds where the metric is milliseconds, or "1.2k"."""


@dataclass(frozen=True)
class Figure:
    """One number of a text, with the unit of its last printed digit."""

    number: Decimal
    last_digit: Decimal


def figures(printed: str) -> tuple[tuple[Figure, ...], ...]:
    """Find the numbers that a text shows, each with its readings, the likeliest first.

    "1,397" is 1397 in English and 1.397 elsewhere; any other number has one reading.
    """
    return tuple(
        tuple(_readings(found.group("digits"), found.group("exponent") or ""))
        for found in _FIGURE.finditer(printed)
    )


def figure_of(printed: str, value: float) -> Figure | None:
    """Find the figure that says `value`, in the value's unit (a factor of 1000 is a unit)."""
    wanted = Decimal(repr(value))
    for step in _UNIT_STEPS:
        for figure in chain.from_iterable(figures(printed)):
            if figure.number * step == wanted:
                return Figure(wanted, figure.last_digit * step)
    return None


def rounding_half_width(printed: str, value: float | None = None) -> Decimal | None:
    """Half of the last printed digit: "104.9" may stand for anything within 0.05 of it.

    Args:
        printed: the figure as the document prints it.
        value: the number it is known to say, where the text has several ("14.2 ± 0.3").

    Returns:
        The half-width in the unit of `value`, or of the only figure; None where the text has no
        figure, or several and nothing says which.
    """
    if value is not None:
        figure = figure_of(printed, value)
        return figure.last_digit / 2 if figure else None
    found = {readings[0] for readings in figures(printed)}
    return found.pop().last_digit / 2 if len(found) == 1 else None


def _readings(digits: str, exponent: str) -> Iterator[Figure]:
    texts = []
    if _GROUPS.fullmatch(digits):
        texts.append(re.sub(r"[^\d.]", "", digits))
    if digits.count(",") == 1 and re.fullmatch(r"\d+,\d+", digits):
        texts.append(digits.replace(",", "."))
    for text in texts or [digits]:
        number = Decimal(text + exponent)
        yield Figure(number, Decimal(1).scaleb(int(number.as_tuple().exponent)))
