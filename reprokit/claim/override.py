"""Departures from a claim file that the command line asks for: `--set protocol.samples=3`."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from pydantic import JsonValue

from reprokit.claim.document import Document
from reprokit.claim.problems import InvalidClaimError, LocatedProblem, Path
from reprokit.claim.scalars import forbidden_character, read_scalar, without_forbidden

_HOW = "Write it as a.b=value, for example protocol.samples=3."


def with_overrides(document: Document, overrides: tuple[str, ...]) -> Document:
    """Set values in a document; what they are wrong with is found when the claim is checked.

    Args:
        document: a claim file.
        overrides: "path=value": keys joined by dots, numbers for places in a list; the value is a
            YAML scalar, read as text where the claim needs text.

    Raises:
        InvalidClaimError: an override is not of this form, or its path leads nowhere.
    """
    data = deepcopy(document.data)
    raw, origins = dict(document.raw), dict(document.origins)
    faults: list[LocatedProblem] = []
    leaves: set[Path] = set()
    for text in overrides:
        origin = f"--set {without_forbidden(text)}"
        try:
            steps, value, value_text = _parse(text)
            path = _put(data, steps, value)
        except _OverrideError as error:
            faults.append(LocatedProblem(origin, str(error), _HOW))
            continue
        if path in leaves:
            faults.append(LocatedProblem(origin, f"this is set already by {origins[path]}"))
        leaves.add(path)
        raw[path] = value_text
        for length in range(1, len(path) + 1):
            if length == len(path) or path[:length] not in document.values:
                origins[path[:length]] = origin
    if faults:
        raise InvalidClaimError(faults)
    hidden = [path for path in document.unsure if path in origins]
    return replace(
        document,
        data=data,
        raw=raw,
        origins=origins,
        unsure=document.unsure.difference(hidden),
    )


def as_text(document: Document, paths: list[Path]) -> Document:
    """Read those overridden values as text that were read as something else."""
    data = deepcopy(document.data)
    for path in paths:
        _put(data, tuple(str(part) for part in path), document.raw[path])
    return replace(document, data=data)


class _OverrideError(Exception):
    """What is wrong with one override."""


def _parse(text: str) -> tuple[tuple[str, ...], JsonValue, str]:
    name, equals, value_text = text.partition("=")
    path = tuple(part.strip() for part in name.split("."))
    if not equals or not all(path):
        raise _OverrideError("this does not say what to set to what")
    if found := forbidden_character(text):
        raise _OverrideError(f"it contains the control character {found[1]}")
    value_text = value_text.strip()
    if len(value_text) >= 2 and value_text[0] == value_text[-1] and value_text[0] in "'\"":
        return path, value_text[1:-1], value_text
    if value_text[:1] in {"[", "{", "&", "*", "!", "|", ">"}:
        raise _OverrideError("only single values can be set, not lists, mappings or the like")
    try:
        return path, read_scalar(value_text), value_text
    except ValueError as error:
        raise _OverrideError(str(error)) from None


def _put(data: dict[str, JsonValue], path: tuple[str, ...], value: JsonValue) -> Path:
    """Set a value; mappings on the way are made, list places must exist. Returns the whole path."""
    current: JsonValue = data
    whole: list[str | int] = []
    for part in path[:-1]:
        whole.append(_key(current, part, whole))
        current = _descend(current, whole[-1])
    last = _key(current, path[-1], whole)
    if isinstance(current, list):
        current[int(last)] = value
    elif isinstance(current, dict):
        current[str(last)] = value
    return (*whole, last)


def _key(container: JsonValue, part: str, above: list[str | int]) -> str | int:
    where = ".".join(str(step) for step in above)
    if isinstance(container, list):
        if not part.isascii() or not part.isdigit() or int(part) >= len(container):
            raise _OverrideError(f"{where} is a list of {len(container)}; {part!r} is not in it")
        return int(part)
    if not isinstance(container, dict):
        raise _OverrideError(f"{where} is a single value; nothing lies below it")
    return part


def _descend(container: JsonValue, key: str | int) -> JsonValue:
    if isinstance(container, list):
        return container[int(key)]
    assert isinstance(container, dict), "_key has refused everything else"
    if container.get(str(key)) is None:
        container[str(key)] = {}
    return container[str(key)]
