"""All five gates of one run, and what a failed one means for the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from reprokit.errors import ExitCode
from reprokit.gates.artifacts import Kept, judge_artifacts
from reprokit.gates.attribution import judge_attribution
from reprokit.gates.cross_regime import judge_regimes, own_regime
from reprokit.gates.phase_separation import judge_phases
from reprokit.gates.surfaced import judge_surfaced
from reprokit.plan import Plan
from reprokit.records import Row
from reprokit.stack import Alteration, ReadyPoint
from reprokit.verdict.collecting import without_collecting
from reprokit.verdict.gate import GateName, GateVerdict
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.records import Verdict
from reprokit.verdict.wording import series

GATES: Final[tuple[GateName, ...]] = (
    "phase_separation",
    "environment_attribution",
    "artifact_evidence",
    "surfaced_identity",
    "cross_regime",
)
"""In their order; the first is gate 1."""

_DECISIVE: Final = frozenset(GATES[:4])
"""Gates without which a figure shows nothing; the fifth is about other machines."""


@dataclass(frozen=True)
class Judged:
    """What the gates of one run are judged by, beside its verdict.

    Attributes:
        rows: as they were read from rows.jsonl.
        altered: what benchmarks were found to have changed, by stack point.
    """

    plan: Plan
    ready: Mapping[str, ReadyPoint]
    rows: Sequence[Row]
    altered: Mapping[str, Alteration] = field(default_factory=dict)


@without_collecting
def judge(
    verdict: Verdict, run: Judged, report: str | None, kept: Kept | None = None
) -> tuple[GateVerdict, ...]:
    """Judge the five gates of one run, in their order.

    Args:
        verdict: what `score` drew from the rows.
        run: what it was drawn from.
        report: the report, or those of its sections that print estimates; None where there is none.
        kept: what a kept run was found to be; None while it is being scored.
    """
    return (
        judge_phases(verdict, run.plan, run.rows),
        judge_attribution(run.plan, run.ready, run.rows, run.altered),
        judge_artifacts(run.plan, run.rows, verdict, report, kept),
        judge_surfaced(verdict, run.plan),
        judge_regimes(own_regime(verdict)),
    )


def with_gates(verdict: Verdict, gates: Sequence[GateVerdict]) -> Verdict:
    """Put the gates into a verdict; where one of the first four fails, nothing is decided.

    What the figures would have said stays in the sentence and at the points.
    """
    failed = [gate for gate in gates if gate.verdict == "fail" and gate.gate in _DECISIVE]
    judged = verdict.model_copy(update={"gates": tuple(gates)})
    if not failed:
        return judged
    undecided = not verdict.outcome.decided
    infrastructure = verdict.exit_code == ExitCode.INFRASTRUCTURE
    return judged.model_copy(
        update={
            "outcome": verdict.outcome if undecided else Outcome.INVALID,
            "exit_code": int(ExitCode.INFRASTRUCTURE if infrastructure else ExitCode.UNDECIDED),
            "reasons": (Reason.GATE_FAILED.value, *verdict.reasons),
            "sentence": f"{_failure_words(failed)} Without that: {verdict.sentence}",
        }
    )


def gate_words(gate: GateVerdict) -> str:
    """Name a gate: "gate 2 (environment attribution)"."""
    return f"gate {GATES.index(gate.gate) + 1} ({gate.gate.replace('_', ' ')})"


def _failure_words(failed: Sequence[GateVerdict]) -> str:
    names = series([gate_words(gate) for gate in failed])
    verb = "fails" if len(failed) == 1 else "fail"
    told = " ".join(gate.evidence[0] for gate in failed)
    return f"{names[0].upper()}{names[1:]} {verb}, so the figures decide nothing. {told}"
