"""Turns what pydantic says about a claim into problems that a person can act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import JsonValue
from pydantic_core import ErrorDetails

from reprokit.claim.document import Document
from reprokit.claim.model import Claim
from reprokit.claim.problems import Path, Problem, dotted, nearest, suggestion
from reprokit.claim.sha import sha_complaint
from reprokit.records import Record

_SCALAR_BRANCHES = frozenset({"str", "int", "float", "bool"})

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "tuple_type": "a list",
}

_PATTERNS = {
    "id": "lower-case letters, digits, '.', '_' and '-', at most 80, a letter or digit first",
    "title": "text on one line",
    "sm": "a compute capability such as sm_80",
}


def explain(errors: Iterable[ErrorDetails], document: Document) -> list[Problem]:
    """Make one problem of each fault: a union complains once, a typo is no missing key as well."""
    problems: dict[tuple[Path, str], Problem] = {}
    typos: set[Path] = set()
    missing: list[Problem] = []
    for error in errors:
        fault = _Fault(error, document)
        problem = fault.problem()
        if error["type"] == "missing":
            missing.append(problem)
            continue
        if error["type"] == "extra_forbidden" and (meant := nearest(fault.name, fault.siblings)):
            typos.add((*fault.path[:-1], meant))
        problems.setdefault((problem.path, problem.message), problem)
    return [*problems.values(), *(problem for problem in missing if problem.path not in typos)]


def path_in(data: JsonValue, location: tuple[int | str, ...]) -> Path:
    """Find where in the data of a claim an error of pydantic lies."""
    return _resolve(location, data)[0]


class _Fault:
    """One error of pydantic, and where in the document and in the model it lies."""

    def __init__(self, error: ErrorDetails, document: Document) -> None:
        self.error = error
        self.document = document
        self.context: dict[str, Any] = error.get("ctx") or {}
        self.path, self.siblings, self.in_scalar = _resolve(error["loc"], document.data)
        self.name = str(self.path[-1]) if self.path else ""

    def problem(self) -> Problem:
        """Say what is wrong, and what to do."""
        kind = self.error["type"]
        if self.in_scalar:
            return self._wrong_type("text, a number or true/false")
        if kind in _EXPECTED:
            return self._wrong_type(_EXPECTED[kind])
        if kind.startswith("union_tag"):
            return self._no_branch()
        special = {
            "missing": self._missing,
            "extra_forbidden": self._unknown,
            "literal_error": self._not_one_of,
            "string_pattern_mismatch": self._pattern,
        }
        if kind in special:
            return special[kind]()
        return Problem(self.path, f"{dotted(self.path)}: {self._limit(kind)}")

    def _missing(self) -> Problem:
        inside = f" in {dotted(self.path[:-1])!r}" if len(self.path) > 1 else ""
        return Problem(self.path, f"key {self.name!r} is missing{inside}")

    def _unknown(self) -> Problem:
        inside = f" in {dotted(self.path[:-1])!r}" if len(self.path) > 1 else ""
        hint = suggestion(self.name, self.siblings, label="Known here")
        parent = _value_at(self.document.data, self.path[:-1])
        if isinstance(parent, dict) and {"repo", "builtin"} <= parent.keys():
            hint = "A source has either 'repo' (a Git repository) or 'builtin', not both."
        return Problem(self.path, f"unknown key {self.name!r}{inside}", hint, key=True)

    def _wrong_type(self, expected: str) -> Problem:
        value = _value_at(self.document.data, self.path)
        raw = self.document.raw.get(self.path)
        message = f"{dotted(self.path)}: expected {expected}, found {_describe(value, raw)}"
        hint = ""
        if expected.startswith("a ") and expected.endswith("number") and _is_number(value):
            hint = "Write it without quotes."
        elif expected == "a list" and not isinstance(value, dict | list | None):
            hint = f"Write a list, even of one: [{value}]."
        return Problem(self.path, message, hint, quote=expected == "text")

    def _no_branch(self) -> Problem:
        value = _value_at(self.document.data, self.path)
        if not isinstance(value, dict):
            return self._wrong_type("a mapping")
        kinds = [_tag(record) for record in _records_at(self.error["loc"])]
        where = dotted(self.path)
        if "GitSource" in kinds:
            return Problem(
                self.path,
                f"{where!r} has neither 'repo' nor 'builtin'",
                "Give 'repo' and 'commit' of a Git repository, or a benchmark's name as 'builtin'.",
                key=True,
            )
        if "kind" not in value:
            hint = f"One of: {', '.join(kinds)}."
            return Problem((*self.path, "kind"), f"key 'kind' is missing in {where!r}", hint)
        message = f"{where}.kind: there is no kind {value['kind']!r}"
        return Problem((*self.path, "kind"), message, suggestion(str(value["kind"]), kinds))

    def _not_one_of(self) -> Problem:
        known = re.findall(r"'([^']*)'", str(self.context.get("expected", "")))
        value = _value_at(self.document.data, self.path)
        message = f"{dotted(self.path)}: {value!r} is not one of {', '.join(map(repr, known))}"
        near = nearest(str(value), known)
        return Problem(self.path, message, f"Did you mean {near!r}?" if near else "")

    def _pattern(self) -> Problem:
        value = str(_value_at(self.document.data, self.path))
        if self.name == "commit" and (complaint := sha_complaint(value)):
            return complaint.at(*self.path)
        wanted = _PATTERNS.get(self.name, f"text that matches {self.context.get('pattern')}")
        return Problem(self.path, f"{dotted(self.path)}: {value!r} is not {wanted}")

    def _limit(self, kind: str) -> str:
        value = _value_at(self.document.data, self.path)
        found = self.document.raw.get(self.path, repr(value))
        texts = {
            "greater_than": "must be greater than {gt:g}, found {found}",
            "greater_than_equal": "must be at least {ge:g}, found {found}",
            "less_than": "must be less than {lt:g}, found {found}",
            "less_than_equal": "must be at most {le:g}, found {found}",
            "too_short": "must not be empty",
            "string_too_short": "must not be empty",
            "string_too_long": "must have at most {max_length} characters",
        }
        if kind in texts:
            return texts[kind].format(**{**self.context, "found": found})
        return self.error["msg"]


def _resolve(
    location: tuple[int | str, ...], data: JsonValue
) -> tuple[Path, tuple[str, ...], bool]:
    """Find the path in the document, the keys known beside it, and whether it is in a scalar.

    pydantic puts the names of union branches between keys: one follows every field that may hold
    one of several records, and one names a type inside a scalar.
    """
    path: list[str | int] = []
    current = data
    records: tuple[type[Record], ...] = (Claim,)
    siblings: tuple[str, ...] = ()
    for part in location:
        if len(records) > 1:
            records = tuple(record for record in records if _tag(record) == part)
            continue
        if part in _SCALAR_BRANCHES and not records and not _has(current, part):
            return tuple(path), (), True
        path.append(part)
        current = _value_at(current, (part,))
        if isinstance(part, str):
            siblings = _keys(records[0]) if records else ()
            records = _records_of(records[0], part) if records else ()
    return tuple(path), siblings, False


def _records_at(location: tuple[int | str, ...]) -> tuple[type[Record], ...]:
    """Find the records that may stand at a location, before one is chosen."""
    records: tuple[type[Record], ...] = (Claim,)
    for part in location:
        if len(records) > 1:
            records = tuple(record for record in records if _tag(record) == part)
        elif isinstance(part, str) and records:
            records = _records_of(records[0], part)
    return records


def _records_of(record: type[Record], key: str) -> tuple[type[Record], ...]:
    for name, field in record.model_fields.items():
        if key == (field.alias or name):
            return tuple(_records_in(field.annotation))
    return ()


def _records_in(annotation: object) -> Iterator[type[Record]]:
    if isinstance(annotation, type) and issubclass(annotation, Record):
        yield annotation
    elif get_origin(annotation) in {Annotated, Union, UnionType, tuple}:
        for argument in get_args(annotation):
            yield from _records_in(argument)


def _tag(record: type[Record]) -> str:
    """Name the branch of a record as pydantic does: by its `kind`, or by its class."""
    kind = record.model_fields.get("kind")
    if kind is not None and get_origin(kind.annotation) is Literal:
        return str(get_args(kind.annotation)[0])
    return record.__name__


def _keys(record: type[Record]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in record.model_fields.items())


def _has(container: JsonValue, key: int | str) -> bool:
    return isinstance(container, dict) and key in container


def _value_at(data: JsonValue, path: Path) -> JsonValue:
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) is not None


def _describe(value: JsonValue, raw: str | None) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {value!r}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(raw or value).lower()
    return f"the number {raw or value}"
