"""What is wrong with a claim file: problems with a place, collected and raised together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from reprokit.errors import ClaimError

Path = tuple[str | int, ...]
"""Where a value lies in a claim: ("stack", "requirements", 0)."""

_MOST_SHOWN = 50


@dataclass(frozen=True)
class Complaint:
    """What is wrong with one value, and what to do about it; the place is known to the caller."""

    message: str
    hint: str = ""
    quote: bool = False

    def at(self, *path: str | int, key: bool = False) -> Problem:
        """Give the complaint its place."""
        return Problem(path, self.message, self.hint, key=key, quote=self.quote)


@dataclass(frozen=True)
class Problem:
    """A complaint about the value at `path`.

    Attributes:
        key: the key that leads to the value is meant, not the value.
        quote: text was expected; where a number or the like stands, advise to write it in quotes.
    """

    path: Path
    message: str
    hint: str = ""
    key: bool = False
    quote: bool = False


@dataclass(frozen=True)
class LocatedProblem:
    """A problem as the user sees it; `place` is file:line:column, or the option that set it."""

    place: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}"
        return f"{text}\n  {self.hint}" if self.hint else text


class InvalidClaimError(ClaimError):
    """A claim file with everything that is wrong with it, in the order of the file."""

    def __init__(self, problems: Iterable[LocatedProblem]) -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            (only,) = self.problems
            super().__init__(f"{only.place}: {only.message}", hint=only.hint)
            return
        shown = [str(problem) for problem in self.problems[:_MOST_SHOWN]]
        if len(self.problems) > _MOST_SHOWN:
            shown.append(f"... and {len(self.problems) - _MOST_SHOWN} more")
        super().__init__("\n".join(shown))


def outside(problems: Iterable[Problem], paths: Iterable[Path]) -> Iterator[Problem]:
    """Drop the problems that lie at or below any of the paths."""
    dropped = set(paths)
    for problem in problems:
        lengths = range(len(problem.path) + 1)
        if not any(problem.path[:length] in dropped for length in lengths):
            yield problem


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that was probably meant, if any is near enough."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], *, label: str = "Known") -> str:
    """Say which known word was probably meant, or else which words are known."""
    names = list(known)
    if near := nearest(word, names):
        return f"Did you mean {near!r}?"
    return f"{label}: {', '.join(names)}." if names else ""


def dotted(path: Path) -> str:
    """Write a path as a person reads it: stack.requirements[0]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
