"""Two texts compared line by line: which lines differ, and the first word that does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

_DIGIT = re.compile(r"\d")
_NOTHING = "nothing"
_LONGEST = 60
_MOST_ALIGNED = 2000


def differing_lines(kept: str, expected: str, name: str) -> Iterator[str]:
    """Name every line of `kept` that is not as expected, by its number from 1.

    A line that is not there is named at the place where it should be.
    """
    ours, theirs = kept.splitlines(), expected.splitlines()
    if len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True), start=1):
            if one != other:
                yield _difference(f"{name}:{number}", one, other)
        return
    begin = _shared(ours, theirs)
    end = _shared(ours[begin:][::-1], theirs[begin:][::-1])
    inner, outer = ours[begin : len(ours) - end], theirs[begin : len(theirs) - end]
    if max(len(inner), len(outer)) > _MOST_ALIGNED:
        yield f"{name}: it has {len(ours)} lines, and the rows give {len(theirs)}"
        return
    for kind, low, high, other_low, other_high in SequenceMatcher(
        None, inner, outer, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            pairs = zip_longest(inner[low:high], outer[other_low:other_high])
            for offset, (mine, other) in enumerate(pairs):
                yield _difference(f"{name}:{begin + low + offset + 1}", mine, other)


def _difference(where: str, kept: str | None, expected: str | None) -> str:
    """Say the first words that differ; a number that differs says more than a word that does."""
    one, other = kept, expected
    if kept is not None and expected is not None:
        pairs = list(zip_longest(kept.split(), expected.split()))
        differing = [(mine, its) for mine, its in pairs if mine != its] or [(kept, expected)]
        number = _DIGIT.findall(kept) != _DIGIT.findall(expected)
        one, other = next(
            ((a, b) for a, b in differing if number and _DIGIT.search(f"{a} {b}")), differing[0]
        )
    return f"{where}: it says {_brief(one)}, and the rows give {_brief(other)}"


def _brief(words: str | None) -> str:
    if words is None:
        return _NOTHING
    return repr(words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3]}...")


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the equal lines at the beginning."""
    for index, (first, second) in enumerate(zip(one, other, strict=False)):
        if first != second:
            return index
    return min(len(one), len(other))
