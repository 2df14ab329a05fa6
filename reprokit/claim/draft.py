"""A claim of which only the sound parts are kept, so that one mistake does not hide the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from pathlib import Path as FilePath
from typing import Any, get_type_hints

from pydantic import JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, to_json

from reprokit.adapter import Model
from reprokit.claim.explain import path_in
from reprokit.claim.model import AdapterSpec, Claim, Exclusion, Expect, Regime, Source, StackSpec
from reprokit.claim.problems import Path, Problem, outside
from reprokit.records import Scalar

_STAND_IN = "stand-in"
_STAND_INS: dict[Path, JsonValue] = {
    ("source", "commit"): "0" * 40,
    ("stack", "requirements"): [_STAND_IN],
}


@dataclass(frozen=True)
class Draft:
    """The sections of a claim that are sound by themselves; None where one is absent or is not.

    Attributes:
        guessed: paths that hold a stand-in for something wrong; what a check says about them says
            nothing about the claim.
    """

    source: Source | None = None
    expect: Expect | None = None
    regime: Regime | None = None
    model: Model | None = None
    adapter: AdapterSpec | None = None
    cells: dict[str, tuple[Scalar, ...]] | None = None
    stack: StackSpec | None = None
    sweep: dict[str, dict[str, Scalar]] | None = None
    exclude: tuple[Exclusion, ...] | None = None
    guessed: frozenset[Path] = frozenset()

    def sure(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Drop the problems that only follow from something wrong that was told already."""
        incomplete = {path[:-1] for path in self.guessed}
        for problem in outside(problems, self.guessed):
            if problem.path not in incomplete:
                yield problem


@dataclass(frozen=True)
class Surroundings:
    """What a check must know beside the claim: its folder, and what the caller allows."""

    folder: FilePath
    allow_local: bool = False


_SECTIONS = tuple(field.name for field in fields(Draft) if field.name != "guessed")


def parse(data: dict[str, JsonValue]) -> tuple[Claim | None, list[ErrorDetails]]:
    """Validate the shape of a claim: the claim, or what pydantic says against it."""
    try:
        return Claim.model_validate_json(to_json(data)), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def draft_of(claim: Claim) -> Draft:
    """Take a valid claim apart."""
    return Draft(**{name: getattr(claim, name) for name in _SECTIONS})


def partial_draft(data: dict[str, JsonValue]) -> Draft:
    """Keep what is valid in an invalid claim, with stand-ins for what is not."""
    data = deepcopy(data)
    tries: Counter[Path] = Counter()
    for _ in range(4):
        _, errors = parse(data)
        for error in errors:
            path = path_in(data, error["loc"])
            if path:
                _mend(data, path, tries[path], unknown=error["type"] == "extra_forbidden")
                tries[path] += 1
    hints = get_type_hints(Claim, include_extras=True)
    sound: dict[str, Any] = {name: _section(hints[name], data, name) for name in _SECTIONS}
    return Draft(**sound, guessed=frozenset(tries))


def _mend(data: dict[str, JsonValue], path: Path, tries: int, *, unknown: bool) -> None:
    """Try other values in turn: a text, what stands in for this path, and the default."""
    parent: Any = data
    for part in path[:-1]:
        if not isinstance(parent, dict | list):
            return  # something above it was mended before
        parent = parent[int(part)] if isinstance(parent, list) else parent[part]
    if isinstance(parent, list):
        parent[int(path[-1])] = _STAND_IN
    elif isinstance(parent, dict):
        _mend_key(parent, path, tries, unknown=unknown)


def _mend_key(parent: dict[str, JsonValue], path: Path, tries: int, *, unknown: bool) -> None:
    key = str(path[-1])
    if tries == 0 and not unknown:
        parent[key] = _STAND_IN
    elif tries == 1 and path in _STAND_INS:
        parent[key] = _STAND_INS[path]
    else:
        parent.pop(key, None)


def _section(hint: Any, data: dict[str, JsonValue], name: str) -> Any:  # noqa: ANN401
    absent: JsonValue = {} if name in {"cells", "sweep"} else None
    try:
        return TypeAdapter(hint).validate_json(to_json(data.get(name, absent)))
    except ValidationError:
        return None
