"""What is known of compilation: the remark of the proof, not only that there is one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reprokit.records import Arm, CompileDecision, Row
from reprokit.report.markup import code, text
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import count

_MOST = 8
_LONGEST = 400


def proof_section(verdict: Verdict, rows: Sequence[Row]) -> list[str]:
    """Write what the proof says of the arms that were to compile, equal remarks once.

    A mode that asks for CUDA graphs is measured without them where there are none: the proof
    remarks that, and the figures are then not those of such graphs.
    """
    told: Counter[tuple[Arm, CompileDecision, str]] = Counter()
    for row in rows:
        proof = row.evidence.compile
        if proof is not None and proof.decision is not CompileDecision.NOT_ASKED:
            told[row.arm, proof.decision, proof.reason] += 1
    lines = [
        f"- {text(verdict.arms.get(arm, arm))}, {count(number, 'iteration')}: "
        f"{code(decision)}: {text(reason, _LONGEST)}"
        for (arm, decision, reason), number in told.most_common(_MOST)
    ]
    if len(told) > _MOST:
        lines.append(f"- and {count(len(told) - _MOST, 'more remark')}, in rows.jsonl")
    return ["## Proof of compilation", "", *lines] if lines else []
