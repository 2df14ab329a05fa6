"""The estimates that report.md prints, read back and compared with those of the verdict.

Reads the tables whose header begins with `estimate | value | n`. It shares no code with what wrote
them: a number is right when the verdict's value, rounded to as many digits as are printed, is it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from reprokit.records import Estimate, RowStatus
from reprokit.stats.sample import NO_DATA
from reprokit.verdict.records import PointVerdict, Survival, Verdict

_FIGURES: Final = re.compile(r"<details><summary>Figures of (.*)</summary>")
_CELL: Final = re.compile(r"(?<!\\)\|")
_ESCAPED: Final = re.compile(r"\\(.)")
_ZERO_WIDTH: Final = "&#8203;"
_HEADER: Final = ["estimate", "value", "n"]
_VALUE: Final = re.compile(
    r"(?P<value>-?(?:inf|[0-9.]+(?:e[+-]?\d+)?))(?: (?P<unit>[^\[\]]+?))?"
    r"(?: \[(?P<low>[^,\]]+), (?P<high>[^,\]]+)\])?"
)
_LEVELS: Final = re.compile(r"(\d+) ([^,]+)")


@dataclass(frozen=True)
class PrintedRow:
    """One row of an estimate table; `line` counts from 1."""

    line: int
    block: int
    place: str
    name: str
    value: str
    n: str


def printed_rows(report: str) -> tuple[PrintedRow, ...]:
    """Read every row of the estimate tables of a report, in order."""
    found: list[PrintedRow] = []
    block, place, in_table = -1, "", False
    for number, line in enumerate(report.splitlines(), start=1):
        summary = _FIGURES.match(line)
        if summary is not None:
            block, place = block + 1, _plain(summary.group(1))
        if not line.startswith("|"):
            in_table = False
            continue
        cells = [_plain(cell).strip() for cell in _CELL.split(line)[1:-1]]
        if cells[:3] == _HEADER:
            in_table = True
        elif in_table and len(cells) >= 3 and not set(cells[0]) <= {"-"}:
            found.append(PrintedRow(number, block, place, *cells[:3]))
    return tuple(found)


def compare_printed(report: str, verdict: Verdict) -> tuple[int, tuple[str, ...]]:
    """Compare a report's estimates with a verdict's.

    Returns:
        the number of numbers that were compared, and what is wrong: line, name, both values.
    """
    rows = printed_rows(report)
    points = [point for point in verdict.points if _measured(point)]
    blocks: dict[int, list[PrintedRow]] = {}
    for row in rows:
        blocks.setdefault(row.block, []).append(row)
    wrong = [
        f"report.md:{mine[0].line}: figures of {mine[0].place}, and the verdict has no such point"
        for block, mine in blocks.items()
        if not 0 <= block < len(points)
    ]
    for index, point in enumerate(points):
        wrong += _point(point, blocks.get(index, []))
    return sum(len(_numbers(row)) for row in rows), tuple(wrong)


def agrees(printed: str, value: float) -> bool:
    """Tell whether a value rounds to a number as printed: half a unit of its last digit."""
    digits = printed.partition(".")[2]
    if math.isfinite(value) and "e" not in digits and f"{value:.{len(digits)}f}" == printed:
        return True  # as most are; what is written otherwise is compared exactly
    try:
        number, exact = Decimal(printed), Decimal(value)
    except (InvalidOperation, ValueError):
        return False
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or not exact.is_finite():
        return number.is_infinite() and number == exact
    half = Decimal(1).scaleb(exponent) / 2
    return abs(exact - number) <= half * (1 + Decimal("1e-9"))


def _point(point: PointVerdict, rows: Sequence[PrintedRow]) -> Iterator[str]:
    """Take estimates of one name in the order in which the verdict holds them."""
    known: dict[str, list[Estimate]] = {}
    for name, estimate in _estimates(point):
        known.setdefault(name.replace("_", " "), []).append(estimate)
    for row in rows:
        where = f"report.md:{row.line}: {row.name} of {row.place}"
        yield from (f"{where}: {says}" for says in _taken(row, known.get(row.name, [])))
    there = {row.name for row in rows}
    for name in _must_be_printed(point):
        if name not in there:
            yield f"report.md: {name} of {_where(point, rows)} is not printed"


def _taken(row: PrintedRow, waiting: list[Estimate]) -> list[str]:
    """Compare a row with the next estimate of its name, and take that out of those that wait.

    Estimates without data need not be printed, so they may be passed over; no others.
    """
    wrong = ["the verdict has no such estimate"]
    while waiting:
        estimate = waiting.pop(0)
        wrong = list(_wrong(row, estimate))
        if not wrong or estimate.reason != NO_DATA:
            break
    return wrong


def _wrong(row: PrintedRow, estimate: Estimate) -> Iterator[str]:
    """Say what of a printed row is not the estimate."""
    if (row.value.startswith("none (")) != (estimate.value is None):
        yield f"it prints {row.value}, and the rows give {estimate.value}"
    elif estimate.value is not None:
        found = _VALUE.fullmatch(row.value)
        if found is None:
            yield f"{row.value!r} cannot be read"
            return
        for part in ("value", "low", "high"):
            yield from _differs(part, found.group(part), getattr(estimate, part))
    levels = {name: int(count) for count, name in _LEVELS.findall(row.n)}
    if levels != estimate.n:
        yield f"it prints n = {row.n}, and the rows give {estimate.n}"


def _differs(part: str, printed: str | None, value: float | None) -> Iterator[str]:
    """Compare one number; "..." is an open end, "> 1000" one that is too far to matter."""
    open_end = printed in {None, "..."}
    if open_end and value is None:
        return
    if printed is not None and value is not None:
        beyond = re.fullmatch(r"([<>]) (-?\d+)", printed)
        if beyond is None and agrees(printed, value):
            return
        if beyond is not None:
            bound = float(beyond.group(2))
            if (value < bound) if beyond.group(1) == "<" else (value > bound):
                return
    yield f"it prints {printed or 'nothing'} as its {part}, and the rows give {value}"


def _numbers(row: PrintedRow) -> list[str]:
    found = _VALUE.fullmatch(row.value)
    ends = [found.group(part) for part in ("value", "low", "high")] if found else []
    return [each for each in ends if each is not None] + [n for n, _ in _LEVELS.findall(row.n)]


def _estimates(part: Any) -> Iterator[tuple[str, Estimate]]:  # noqa: ANN401 - records nest freely
    """Walk all estimates of a record in the order of its fields; rates are named by their arm."""
    if isinstance(part, Estimate):
        yield part.name, part
    elif isinstance(part, Survival):
        for estimate in (part.rate, part.crash_rate, part.crash_rate_as_published):
            yield f"{part.arm}_{estimate.name}", estimate
    elif isinstance(part, tuple | list):
        for each in part:
            yield from _estimates(each)
    elif isinstance(part, dict):
        for each in part.values():
            yield from _estimates(each)
    elif hasattr(type(part), "model_fields"):
        for field in filter(_nests, vars(part).values()):
            yield from _estimates(field)


def _nests(field: object) -> bool:
    return not isinstance(field, str | int | float | None)


def _must_be_printed(point: PointVerdict) -> list[str]:
    decisive = [each.name for each in point.estimates if each.reason != NO_DATA]
    rates = [name for each in point.survival for name, _ in _estimates(each)]
    return [name.replace("_", " ") for name in (*decisive, *rates)]


def _measured(point: PointVerdict) -> bool:
    return any(each.statuses.get(RowStatus.OK) for each in point.survival)


def _where(point: PointVerdict, rows: Sequence[PrintedRow]) -> str:
    return rows[0].place if rows else point.point


def _plain(cell: str) -> str:
    """Undo what makes foreign text harmless in Markdown."""
    if "&" in cell:
        cell = html.unescape(cell.replace(_ZERO_WIDTH, ""))
    return _ESCAPED.sub(r"\1", cell) if "\\" in cell else cell
