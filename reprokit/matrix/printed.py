"""From a printed cell of a table to what a claim expects, with the rounding of its last digit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from pydantic import JsonValue

from reprokit.matrix.model import Reading

_NUMBER = re.compile(r"(?P<sign>[+\u2212-]?)(?P<digits>\d[\d,]*(?:\.\d+)?)")
_RATIO = re.compile(r"(\d+)/(\d+)")
_EQUIVALENCE_MARGIN = 1.03
_UNITS = {"tokps": "tok/s", "bandwidth_gbps": "GB/s", "latency_ms": "ms"}


@dataclass(frozen=True)
class PrintedNumber:
    """The first number of a text, and half the unit of its last printed digit."""

    number: Decimal
    half: Decimal


def first_number(printed: str) -> PrintedNumber:
    """Read the first number, with its sign.

    Raises:
        ValueError: there is none.
    """
    found = _NUMBER.search(printed)
    if found is None:
        raise ValueError(f"{printed!r} shows no number")
    number = Decimal(found["digits"].replace(",", ""))
    half = Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
    return PrintedNumber(-number if found["sign"] in {"-", "\u2212"} else number, half)


def expectation(
    read: Reading, printed: str, *, statistic: str, tolerance_pp: float
) -> dict[str, JsonValue]:
    """Say what a printed figure claims, as the `expect` of a claim.

    Args:
        read: what kind of figure it is.
        printed: the cell of the table, to the letter.
        statistic: mean or median, for values.
        tolerance_pp: percentage points that a gain may differ beyond its rounding.

    Raises:
        ValueError: the text cannot be read as such a figure.
    """
    if read == "equivalence":
        return _equivalence(printed)
    if read == "crash_rate":
        return {"kind": "stability", "equals": _rate(printed)}
    if read in {"gain", "delta"}:
        return _gain(first_number(printed), Decimal(repr(tolerance_pp)), flip=read == "delta")
    value = float(first_number(printed).number)
    return {
        "kind": "value", "metric": read, "value": value, "unit": _UNITS[read],
        "statistic": statistic, "margin": 1.03,
    }  # fmt: skip


def _gain(found: PrintedNumber, tolerance: Decimal, *, flip: bool) -> dict[str, JsonValue]:
    number = -found.number if flip else found.number
    width = found.half + tolerance
    return {
        "kind": "gain",
        "metric": "latency_ms",
        "at_least": float(number - width),
        "at_most": float(number + width),
    }


def _rate(printed: str) -> float:
    if found := _RATIO.search(printed):
        return round(int(found[1]) / int(found[2]), 6)
    return float(first_number(printed).number)


def _equivalence(printed: str) -> dict[str, JsonValue]:
    """A "No" of TOST says that equivalence was not shown; the study adds where it lies."""
    if printed.startswith("Yes"):
        return {"kind": "equivalence", "metric": "latency_ms", "margin": _EQUIVALENCE_MARGIN}
    if printed == "No (exceeds upper bound)":
        return {"kind": "gain", "metric": "latency_ms", "at_most": -3.0}
    raise ValueError(f"{printed!r} is neither Yes nor No (exceeds upper bound)")
