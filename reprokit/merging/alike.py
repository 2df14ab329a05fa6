"""Are two runs of one thing? Everything that makes their rows comparable, leaf by leaf.

Left out is what merging is for (hardware, installed stack, host) and what decides nothing (title,
notes, order of the invocations).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from reprokit.claim.model import BuiltinSource
from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.merging.records import Difference
from reprokit.verdict.wording import both_ends, count, one_line

Facts = dict[str, JsonValue]

_SHOWN = 8
_LONGEST = 160
_NOT_COMPARED = frozenset({"title", "notes", "stack", "sweep"})
_COVERAGE = frozenset({"cells", "exclude"})
_HARDWARE = frozenset({"device", "gpu", "sm", "vram_gb", "power_limit_w"})


def differences(one: KeptRun, other: KeptRun, *, coverage: bool = True) -> tuple[Difference, ...]:
    """Find all that makes two runs unlike; empty for runs that may stand side by side.

    Args:
        one: a run.
        other: another run.
        coverage: compare also which points and cells were planned; without it only those that
            both planned must be the same.
    """
    facts = [_facts(run, coverage=coverage) for run in (one, other)]
    # A machine on which nothing could be prepared does not know the benchmark that it lacks.
    for part in ("benchmark",) if coverage else ("benchmark", "cells", "points"):
        _keep_shared(facts, part)
    first, second = (dict(_leaves(each)) for each in facts)
    return tuple(
        Difference(where=where, runs=(one.name, other.name), values=_told_apart(mine, its))
        for where in dict.fromkeys([*first, *second])
        if (mine := first.get(where)) != (its := second.get(where))
    )


def refuse_unlike(runs: Sequence[KeptRun], *, coverage: bool = True) -> None:
    """Compare every run with the first.

    Raises:
        UsageError: it says where each of the differences is, and what stands there.
    """
    for run in runs[1:]:
        found = differences(runs[0], run, coverage=coverage)
        if found:
            raise UsageError(
                f"{runs[0].name} and {run.name} are unlike in {count(len(found), 'place')}: "
                "nothing was merged",
                hint="\n".join([*_told(found), *_advice(found)]),
            )


def _told(found: Sequence[Difference]) -> Iterator[str]:
    for each in found[:_SHOWN]:
        pairs = zip(each.values, each.runs, strict=True)
        told = "; ".join(f"{value or 'nothing'} in {run}" for value, run in pairs)
        yield f"{each.where}: {told}"
    if len(found) > _SHOWN:
        yield f"and {count(len(found) - _SHOWN, 'more place')}"


def _advice(found: Sequence[Difference]) -> Iterator[str]:
    covered = ("cells", "points", "baselines", "claim.cells", "claim.exclude", "plan.axes")
    if all(each.where.startswith((*covered, "plan.excluded")) for each in found):
        yield "With --allow-missing, what only some of them planned counts as missing elsewhere."
    else:
        yield "Merge runs of one claim under one protocol; run it again where it differs."


def _facts(run: KeptRun, *, coverage: bool) -> Facts:
    claim: Facts = run.claim.model_dump(mode="json", by_alias=True)
    left_out = _NOT_COMPARED if coverage else _NOT_COMPARED | _COVERAGE
    regime = cast("Facts", claim.pop("regime") or {})
    facts: Facts = {
        "claim": {key: value for key, value in claim.items() if key not in left_out},
        "regime": {key: value for key, value in regime.items() if key not in _HARDWARE},
        "adapter": run.adapter or f"of reprokit {run.reprokit}",
        "plan": _plan(run, coverage=coverage),
        "points": {point.id: _point(run, point.id) for point in run.plan.points},
        "cells": {cell.id: {"axes": dict(cell.axes)} for cell in run.plan.cells},
        "benchmark": {
            ready.point: ready.tree
            for ready in run.ready.values()
            if isinstance(run.claim.source, BuiltinSource) and ready.tree is not None
        },
    }
    return facts | ({"baselines": dict(run.plan.baselines)} if coverage else {})


def _plan(run: KeptRun, *, coverage: bool) -> Facts:
    plan: Facts = run.plan.model_dump(mode="json")
    setup = cast("Facts", plan["setup"])
    kept: Facts = {
        "setup": {key: value for key, value in setup.items() if key != "device"},
        "timeout_s": plan["timeout_s"],
        "same_failure_stops": plan["same_failure_stops"],
        "invocations": _repetitions(run),
        "altered": [
            each
            for each in run.plan.altered
            if not each.startswith("device=") and (coverage or not each.startswith("cells."))
        ],
    }
    if coverage:
        kept |= {"axes": plan["axes"], "excluded": plan["excluded"]}
    return kept


def _repetitions(run: KeptRun) -> JsonValue:
    """Tell the invocations of every arm in every cell; one number where all have as many."""
    indices: dict[tuple[str, str, str], int] = {}
    for planned in run.plan.invocations:
        key = (planned.point, planned.cell, planned.arm.value)
        indices[key] = indices.get(key, 0) + 1
    return cast("JsonValue", sorted(set(indices.values())))


def _point(run: KeptRun, point_id: str) -> Facts:
    """What the labels of a point mean; what was installed for it is the regime's."""
    point = run.plan.point(point_id)
    return {
        "axes": dict(point.axes),
        "commit": point.commit,
        "overrides": list[JsonValue](sorted(point.overrides)),
    }


def _keep_shared(facts: Sequence[Facts], part: str) -> None:
    """Leave what only one of two runs has out of the comparison."""
    maps = [cast("Facts", each[part]) for each in facts]
    shared = set.intersection(*(set(each) for each in maps))
    for each, mine in zip(facts, maps, strict=True):
        each[part] = {key: value for key, value in mine.items() if key in shared}


def _leaves(value: Mapping[str, JsonValue], path: str = "") -> Iterator[tuple[str, JsonValue]]:
    for key, inner in value.items():
        where = f"{path}.{key}" if path else key
        if isinstance(inner, dict) and inner:
            yield from _leaves(inner, where)
        else:
            yield where, inner


def _told_apart(one: JsonValue, other: JsonValue) -> tuple[str | None, str | None]:
    """Write two different values; of two lists only what the other lacks, where that tells."""
    if isinstance(one, list) and isinstance(other, list):
        only = [each for each in one if each not in other], [x for x in other if x not in one]
        if any(only) and max(len(one), len(other)) > 1:
            return _only(only[0], len(one)), _only(only[1], len(other))
    return _text(one), _text(other)


def _only(values: Sequence[JsonValue], of: int) -> str:
    told = ", ".join(_text(each) or "null" for each in values)
    return one_line(f"{told or 'none more'} ({of} in all)", _LONGEST)


def _text(value: JsonValue) -> str | None:
    return None if value is None else both_ends(json.dumps(value, ensure_ascii=False), _LONGEST)
