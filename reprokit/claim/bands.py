"""Named ranges of a metric: ">= 90", "< 5", "80..90" (80 is in, 90 is not)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"\s*(>=|>|<=|<)\s*({_NUMBER})\s*")
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")


@dataclass(frozen=True)
class Band:
    """A range of numbers in the metric's unit; an open end is infinite.

    Attributes:
        low_in: whether `low` itself belongs to it. `high_in` is the same for `high`.
    """

    low: float
    high: float
    low_in: bool
    high_in: bool

    def __contains__(self, value: float) -> bool:
        above = value > self.low or (self.low_in and value == self.low)
        below = value < self.high or (self.high_in and value == self.high)
        return above and below

    def overlaps(self, other: Band) -> bool:
        """Tell whether any number lies in both."""
        first, second = sorted((self, other), key=lambda band: (band.low, not band.low_in))
        if first.high == second.low:
            return first.high_in and second.low_in
        return first.high > second.low


def parse_band(text: str) -> Band:
    """Read a band.

    Raises:
        ValueError: the text is no band, or one that holds no number.
    """
    if bound := _BOUND.fullmatch(text):
        sign, number = bound.group(1), _finite(bound.group(2))
        if sign.startswith(">"):
            return Band(number, math.inf, low_in=sign == ">=", high_in=False)
        return Band(-math.inf, number, low_in=False, high_in=sign == "<=")
    if ends := _RANGE.fullmatch(text):
        low, high = _finite(ends.group(1)), _finite(ends.group(2))
        if low >= high:
            raise ValueError(f"{text!r} holds no number: it ends where it begins or before")
        return Band(low, high, low_in=True, high_in=False)
    raise ValueError(f"{text!r} is not a band")


def band_of(bands: Mapping[str, str], value: float) -> str | None:
    """Name the band that a value lies in; bands of one claim never overlap."""
    for name, text in bands.items():
        if value in parse_band(text):
            return name
    return None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number
