"""Is a run of a claim id a run of that claim? An edited or altered claim is another statement."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from reprokit.claim.source import parse_document
from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim
from reprokit.merging.regimes import hardware_of
from reprokit.verdict.wording import slice_of

_STATEMENT = ("source", "expect", "regime", "model", "adapter", "cells")
_CHANGES_IT = ("source", "expect", "regime", "adapter", "cells")


def departure(run: KeptRun, published: MatrixClaim | None) -> str | None:
    """Say why a run is none of the study's claim of its id; None where it is one.

    Random weights, other depths of measurement and other packages are no other claim: they are
    said beside it.
    """
    if published is None:
        return "no claim of the study"
    if (model := slice_of(run.plan.altered)) is not None:
        return f"a slice: {model}"
    for change in run.plan.altered:
        if change.startswith(_CHANGES_IT):
            return f"altered: {change}"
    kept, meant = _statement(run.claim_text), _statement(published.text)
    edited = [key for key in _STATEMENT if kept.get(key) != meant.get(key)]
    return f"edited: {', '.join(edited)}" if edited else None


def hardware_name(run: KeptRun) -> str | None:
    """Name what a run was measured on; None where that cannot be told."""
    try:
        return hardware_of(run).name
    except UsageError:
        return None


def elsewhere(run: KeptRun) -> bool:
    """Tell whether a run's hardware is not shown to be the claim's."""
    return any(part.status != "match" for point in run.verdict.points for part in point.regime)


def _statement(text: str) -> Mapping[str, JsonValue]:
    return parse_document(text, "claim.yaml").data
