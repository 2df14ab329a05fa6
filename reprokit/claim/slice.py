"""`--set model=NAME`: a claim on another model, and for some names on a machine without a GPU.

What a name stands for is the adapter's to say (`reprokit.adapter.Slices`): several values of the
claim at once. They are departures like every other and are listed one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import JsonValue
from pydantic_core import to_json

from reprokit.adapter import Adapter, Slice, Slices
from reprokit.claim.check import Adapters, find_adapter
from reprokit.claim.document import Document
from reprokit.claim.draft import partial_draft
from reprokit.claim.override import with_overrides
from reprokit.claim.problems import InvalidClaimError, LocatedProblem, Path, suggestion
from reprokit.claim.scalars import without_forbidden

_PATH = "model"
_NOTHING = frozenset({"", "null", "~"})
_INSTEAD = "Set what is meant by its path, for example model.id=NAME."

_Place = TypeVar("_Place")


@dataclass(frozen=True)
class Sliced:
    """A document in which a slice was set, and the overrides that are left: they win over it.

    Attributes:
        altered: every value that the slice set, as "path = value (model=NAME)".
        device: to measure on.
    """

    document: Document
    overrides: tuple[str, ...]
    altered: tuple[str, ...] = ()
    device: str | None = None


def with_slice(document: Document, overrides: tuple[str, ...], adapters: Adapters) -> Sliced:
    """Set what `model=NAME` among the overrides stands for; nothing where there is none.

    Raises:
        InvalidClaimError: the adapter has no such model, or two names are given.
    """
    asked = [text for text in overrides if _is_slice(text)]
    if not asked:
        return Sliced(document, overrides)
    left = tuple(text for text in overrides if text not in asked)
    origin = f"--set {without_forbidden(asked[0])}"
    if len(set(asked)) > 1:
        others = ", ".join(map(without_forbidden, asked[1:]))
        raise _invalid(origin, f"another model is set too: {others}", "Set one model.")
    chosen = with_overrides(document, left)
    adapter, _ = find_adapter(partial_draft(chosen.data), adapters)
    found = _slice(origin, asked[0].partition("=")[2].strip().strip("'\""), adapter, chosen.data)
    marked = without_forbidden(asked[0])
    return Sliced(
        document=_apply(document, found.changes, origin),
        overrides=left,
        altered=tuple(f"{path} = {_shown(value)} ({marked})" for path, value in
                      sorted(found.changes.items())),
        device=found.device,
    )  # fmt: skip


def _is_slice(text: str) -> bool:
    name, equals, value = text.partition("=")
    return bool(equals) and name.strip() == _PATH and value.strip().lower() not in _NOTHING


def _slice(
    origin: str, name: str, adapter: Adapter | None, claim: Mapping[str, JsonValue]
) -> Slice:
    if adapter is None:
        message = "the adapter of this claim is not known, and only it knows its models"
        raise _invalid(origin, message, _INSTEAD)
    if not isinstance(adapter, Slices):
        message = f"the adapter {adapter.name!r} has no models of its own"
        raise _invalid(origin, message, _INSTEAD)
    if name not in adapter.slices():
        known = ", ".join(adapter.slices())
        near = suggestion(name, adapter.slices())
        hint = near if near.startswith("Did") else ""
        message = f"the adapter {adapter.name!r} has no model {without_forbidden(name)!r}"
        raise _invalid(origin, message, f"{hint} It has {known}.".strip())
    return adapter.slice(name, claim)


def _invalid(origin: str, message: str, hint: str) -> InvalidClaimError:
    return InvalidClaimError([LocatedProblem(origin, message, hint)])


def _apply(document: Document, changes: Mapping[str, JsonValue], origin: str) -> Document:
    """Set the values of a slice; what stood there loses its place in the file."""
    data = deepcopy(document.data)
    paths: list[Path] = []
    for dotted, value in changes.items():
        path = tuple(dotted.split("."))
        _put(data, path, value)
        paths.append(path)
    return replace(
        document,
        data=data,
        keys=_without(document.keys, paths),
        values=_without(document.values, paths),
        raw=_without(document.raw, paths),
        origins={**document.origins, **dict.fromkeys(paths, origin)},
        unsure=frozenset(path for path in document.unsure if not _below(path, paths)),
    )


def _put(data: dict[str, JsonValue], path: tuple[str, ...], value: JsonValue) -> None:
    current = data
    for part in path[:-1]:
        inner = current.get(part)
        if not isinstance(inner, dict):
            if value is None:
                return
            inner = {}
            current[part] = inner
        current = inner
    if value is None:
        current.pop(path[-1], None)
    else:
        current[path[-1]] = deepcopy(value)


def _without(places: dict[Path, _Place], paths: list[Path]) -> dict[Path, _Place]:
    return {path: place for path, place in places.items() if not _below(path, paths)}


def _below(path: Path, paths: list[Path]) -> bool:
    return any(path[: len(each)] == each for each in paths)


def _shown(value: JsonValue) -> str:
    if value is None:
        return "nothing"
    return value if isinstance(value, str) else to_json(value).decode()
