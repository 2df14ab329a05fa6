"""Gives the values of a sweep their labels: `[3.3.1, 3.6.0]` is short for a mapping."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from pydantic import JsonValue

from reprokit.claim.document import Document
from reprokit.claim.problems import Path, Problem

_Place = TypeVar("_Place")


def with_labels(document: Document) -> Document:
    """Turn every axis of `sweep` that is written as a list into a mapping of label to value.

    A value's label is its own text. Positions follow their values.
    """
    sweep = document.data.get("sweep")
    if not isinstance(sweep, dict):
        return document
    moved: dict[Path, Path] = {}
    problems: list[Problem] = []
    labelled = {axis: _labelled(axis, listed, moved, problems) for axis, listed in sweep.items()}
    return replace(
        document,
        data={**document.data, "sweep": labelled},
        values=_follow(document.values, moved),
        raw=_follow(document.raw, moved),
        origins=_follow(document.origins, moved),
        unsure=document.unsure | {moved[path] for path in document.unsure if path in moved},
        problems=(*document.problems, *document.sure(problems)),
    )


def _labelled(
    axis: str, listed: JsonValue, moved: dict[Path, Path], problems: list[Problem]
) -> JsonValue:
    if not isinstance(listed, list):
        return listed
    mapping: dict[str, JsonValue] = {}
    for index, value in enumerate(listed):
        old = ("sweep", axis, index)
        if isinstance(value, dict | list) or value is None:
            problems.append(Problem(old, f"{axis}: expected one value", "Write text or a number."))
        elif str(value) in mapping:
            problems.append(Problem(old, f"{axis}: {value!r} is given twice"))
        else:
            mapping[str(value)] = value
            moved[old] = ("sweep", axis, str(value))
    return mapping


def _follow(places: dict[Path, _Place], moved: dict[Path, Path]) -> dict[Path, _Place]:
    followed = {new: places[old] for old, new in moved.items() if old in places}
    return {**places, **followed}
