"""The record of a gate, as verdict.json holds it; `reprokit/gates` judges them."""

from __future__ import annotations

from typing import Literal

from reprokit.records import Record

GateName = Literal[
    "phase_separation",
    "environment_attribution",
    "artifact_evidence",
    "surfaced_identity",
    "cross_regime",
]
"""The gates in their order (TR147, SS10.3)."""


class GateVerdict(Record):
    """One of the five gates: whether what is printed can be relied on (docs/decisions/0014).

    Attributes:
        verdict: `fail` where the evidence contradicts the gate, `open` where it cannot tell.
        evidence: what was found, in short sentences, what decided it first.
    """

    gate: GateName
    verdict: Literal["pass", "fail", "open"]
    evidence: tuple[str, ...]
