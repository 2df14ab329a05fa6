"""The five gates: whether what is printed can be relied on, with the evidence."""

from __future__ import annotations

from collections.abc import Sequence

from reprokit.report.markup import table, text
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict

GATE_WORDS = {
    "phase_separation": "no number mixes prefill and decode",
    "environment_attribution": "what it was measured on is known, Triton verified on disk",
    "artifact_evidence": "every printed number is recomputed from rows",
    "surfaced_identity": "cache, mode and Triton stand beside every figure",
    "cross_regime": "the outcome held over regimes, or its change is stated",
}
_LONGEST = 400
_HOW = (
    "`pass`: the evidence shows it. `fail`: the evidence contradicts it; where one of the first "
    "four fails, nothing is decided. `open`: it cannot be told. `reprokit check RUN` judges them "
    "again from the files."
)


def gates_section(verdict: Verdict) -> list[str]:
    """Write one row per gate; nothing where they were not judged."""
    if not verdict.gates:
        return []
    rows = [
        [
            f"{number}: {GATE_WORDS[gate.gate]}",
            f"**{gate.verdict}**" if gate.verdict == "fail" else gate.verdict,
            " ".join(text(each, _LONGEST) for each in gate.evidence),
        ]
        for number, gate in enumerate(verdict.gates, start=1)
    ]
    return ["## Gates", "", *table(["gate", "", "evidence"], rows), "", _HOW]


def gates_line(gates: Sequence[GateVerdict]) -> str:
    """Say the gates in one line: "gates: 1 pass, 2 pass, 3 fail (artifact evidence), ...".

    Only what is not passed is named.
    """
    told = [
        f"{number} {gate.verdict}"
        + ("" if gate.verdict == "pass" else f" ({gate.gate.replace('_', ' ')})")
        for number, gate in enumerate(gates, start=1)
    ]
    return f"gates: {', '.join(told)}"
