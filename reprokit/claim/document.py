"""A claim file as plain data in which every key and every value knows its line and column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from reprokit.claim.problems import InvalidClaimError, LocatedProblem, Path, Problem, outside


@dataclass(frozen=True)
class Position:
    """A place in a file; both count from 1, columns in characters."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


@dataclass(frozen=True)
class Document:
    """A claim file as it was written.

    Attributes:
        name: the file as the user named it.
        data: its content as plain mappings, lists and scalars.
        keys: where each key stands.
        values: where each value begins.
        raw: unquoted text of every value that is read as a number, a truth value or null.
        origins: paths that something else than the file has set ("--set a.b=1").
        problems: what is wrong with the YAML itself.
        unsure: paths whose value was replaced because of such a problem; complaints about what
            lies there would only repeat it.
    """

    name: str
    text: str
    data: dict[str, JsonValue]
    keys: dict[Path, Position] = field(default_factory=dict)
    values: dict[Path, Position] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    unsure: frozenset[Path] = frozenset()

    def invalid(self, problems: Iterable[Problem]) -> InvalidClaimError:
        """Make one error of all problems, in the order of the file."""
        ordered = sorted(problems, key=self._order)
        return InvalidClaimError(
            dict.fromkeys(
                LocatedProblem(self._place(problem), problem.message, self._hint(problem))
                for problem in ordered
            )
        )

    def sure(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Drop the problems that only follow from a problem with the YAML."""
        return outside(problems, self.unsure)

    def _hint(self, problem: Problem) -> str:
        raw = self.raw.get(problem.path)
        return f'Write it in quotes: "{raw}".' if problem.quote and raw else problem.hint

    def _place(self, problem: Problem) -> str:
        """Name the place of a problem; of its nearest ancestor where it is not in the file."""
        for path in _upwards(problem.path):
            if path in self.origins:
                return self.origins[path]
            if position := self._position(path, key=problem.key or path != problem.path):
                return f"{self.name}:{position}"
        return f"{self.name}:1:1"

    def _position(self, path: Path, *, key: bool) -> Position | None:
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        return first.get(path) or second.get(path)

    def _order(self, problem: Problem) -> tuple[int, int]:
        for path in _upwards(problem.path):
            if position := self._position(path, key=problem.key or path != problem.path):
                return (position.line, position.column)
        return (0, 0)


def _upwards(path: Path) -> Iterator[Path]:
    for length in range(len(path), -1, -1):
        yield path[:length]
