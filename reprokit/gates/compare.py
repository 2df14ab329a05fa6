"""Two documents of one verdict compared: every leaf that differs, and where it stands."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

TOLERANCE: Final = 1e-9
"""Relative: another machine's mathematical library may differ in the last digits."""

_NAMED_BY = ("name", "point", "cell", "axis", "arm", "gate", "fingerprint")
_LONGEST = 60


def leaves(document: object) -> int:
    """Count the numbers of a JSON document; true and false are none."""
    if isinstance(document, Mapping):
        return sum(leaves(each) for each in document.values())
    if isinstance(document, list):
        return sum(leaves(each) for each in document)
    return int(isinstance(document, int | float) and not isinstance(document, bool))


@dataclass(frozen=True)
class Difference:
    """One leaf that differs; `number` tells that both stand there and one of them is a number."""

    says: str
    number: bool


def differences(kept: object, expected: object, where: str = "") -> Iterator[Difference]:
    """Name every leaf of `kept` that is not the one of `expected`, in the order of `expected`.

    Args:
        kept: a JSON document as it lies on the disk.
        expected: the same, computed from the rows.
        where: path of both, as it is to be named.
    """
    if isinstance(kept, Mapping) and isinstance(expected, Mapping):
        yield from _mappings(kept, expected, where)
    elif isinstance(kept, list) and isinstance(expected, list):
        yield from _lists(kept, expected, where)
    elif not _equal(kept, expected):
        says = f"{where}: it says {_brief(kept)}, and the rows give {_brief(expected)}"
        yield Difference(says, number=bool(leaves([kept, expected])))


def _mappings(
    kept: Mapping[str, Any], expected: Mapping[str, Any], where: str
) -> Iterator[Difference]:
    for name in dict.fromkeys([*expected, *kept]):
        place = f"{where}.{name}" if where else name
        if name not in kept:
            says = f"{place}: it is missing, and the rows give {_brief(expected[name])}"
            yield Difference(says, number=False)
        elif name not in expected:
            says = f"{place}: it says {_brief(kept[name])}, and the rows give nothing of the name"
            yield Difference(says, number=False)
        else:
            yield from differences(kept[name], expected[name], place)


def _lists(kept: list[Any], expected: list[Any], where: str) -> Iterator[Difference]:
    """Compare entries that name themselves by their names, others by their places."""
    if len(kept) != len(expected):
        says = f"{where}: it has {len(kept)} entries, and the rows give {len(expected)}"
        yield Difference(says, number=False)
    mine, its = _by_name(kept), _by_name(expected)
    if mine is None or its is None:
        for index, (one, other) in enumerate(zip(kept, expected, strict=False)):
            yield from differences(one, other, f"{where}[{_name(other, index)}]")
        return
    for index, (name, entry) in enumerate(its.items()):
        place = f"{where}[{_name(entry, index)}]"
        if name in mine:
            yield from differences(mine[name], entry, place)
        else:
            yield Difference(f"{place}: it is missing", number=False)
    for index, (name, entry) in enumerate(mine.items()):
        if name not in its:
            says = f"{where}[{_name(entry, index)}]: the rows give nothing of the name"
            yield Difference(says, number=False)
    if [name for name in mine if name in its] != [name for name in its if name in mine]:
        yield Difference(f"{where}: its entries are in another order", number=False)


def _by_name(entries: list[Any]) -> dict[str, Any] | None:
    """Key entries by all that they call themselves; None where that does not tell them apart."""
    named = {}
    for entry in entries:
        if not isinstance(entry, Mapping):
            return None
        own = {key: entry[key] for key in (*_NAMED_BY, "axes") if key in entry}
        named[json.dumps(own, sort_keys=True)] = entry
    return named if len(named) == len(entries) else None


def _name(entry: object, index: int) -> str:
    """Name an entry by what it calls itself, so that a reader finds it."""
    if not isinstance(entry, Mapping):
        return str(index)
    named = next((entry[key] for key in _NAMED_BY if isinstance(entry.get(key), str)), None)
    axes = entry.get("axes")
    if isinstance(axes, Mapping) and axes:
        named = ", ".join(f"{name} {value}" for name, value in axes.items())
    return str(index) if named is None else str(named)


def _equal(kept: object, expected: object) -> bool:
    numbers = (int, float)
    if isinstance(kept, bool) or isinstance(expected, bool):
        return kept is expected
    if isinstance(kept, numbers) and isinstance(expected, numbers):
        return kept == expected or math.isclose(kept, expected, rel_tol=TOLERANCE, abs_tol=0.0)
    return type(kept) is type(expected) and kept == expected


def _brief(value: object) -> str:
    told = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return told if len(told) <= _LONGEST else f"{told[: _LONGEST - 3]}..."
