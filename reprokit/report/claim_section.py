"""The claim and where its figure comes from."""

from __future__ import annotations

import re

from reprokit.claim.model import BuiltinSource, Claim
from reprokit.report.markup import code, table, text
from reprokit.verdict.records import Verdict

_PRINTED = "The printed figure says where the claim comes from; nothing measured is taken from it."
# Only addresses that cannot hide anything become links.
_PLAIN_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(/[A-Za-z0-9._~-]+)*/?")


def claim_section(verdict: Verdict, claim: Claim) -> list[str]:
    """Write the statement and its provenance; the printed figure is never a result."""
    source = claim.source
    rows = [
        ["claim", code(verdict.claim_id)],
        ["states", text(verdict.expected)],
        ["source", _source(claim)],
        ["document", text(source.document or "")],
        ["section", text(source.section or "")],
        ["row", ", ".join(f"{text(k)}: {text(v)}" for k, v in (source.row or {}).items())],
        ["column", text(source.column or "")],
        ["printed figure", code(source.printed or "")],
        ["hardware named", _hardware(claim)],
        ["prompt named", text(claim.regime.prompt or "") if claim.regime else ""],
        ["model", _model(claim)],
        ["claim digest", code(verdict.claim_sha256)],
    ]
    lines = ["## The claim", "", *table(["", ""], [row for row in rows if row[1]])]
    return [*lines, "", _PRINTED] if source.printed else lines


def _source(claim: Claim) -> str:
    source = claim.source
    if isinstance(source, BuiltinSource):
        return f"built in: {code(source.builtin)}"
    plain = _PLAIN_ADDRESS.fullmatch(source.repo) is not None
    repo = f"<{source.repo}>" if plain else code(source.repo)
    return f"{repo} at {code(source.commit)}"


def _hardware(claim: Claim) -> str:
    if claim.regime is None:
        return "none: any machine will do"
    stated = claim.regime.model_dump(exclude_none=True, exclude={"prompt"})
    return ", ".join(
        f"{name.replace('_', ' ')} {text(str(value))}" for name, value in stated.items()
    )


def _model(claim: Claim) -> str:
    model = claim.model
    if model is None:
        return ""
    revision = f" at {code(model.revision)}" if model.revision else ""
    return f"{code(model.id)}{revision}, {text(model.dtype)}, weights: {text(model.weights)}"
