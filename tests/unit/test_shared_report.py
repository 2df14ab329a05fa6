"""What a report says where cells share their baseline or a process: nothing twice, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness_claim import GAIN_IN_EVERY_MODE, loaded

from reprokit.claim.load import LoadedClaim
from reprokit.plan import Plan
from reprokit.records import (
    Arm,
    CompileDecision,
    CompileEvidence,
    Evidence,
    Failure,
    Row,
    RowStatus,
)
from reprokit.report.evidence_section import failures_section, invocations_section
from reprokit.report.limits_section import limits_section
from reprokit.stack import ReadyPoint
from reprokit.sweep import make_plan
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

CLAIM = (
    GAIN_IN_EVERY_MODE
    + """\
cells:
  compile_mode: [default, reduce-overhead, max-autotune]
protocol: {invocations: 4, samples: 2, share_process: true}
"""
)
BOOM = Failure(exception="RuntimeError", message="boom", frame=None, fingerprint="f" * 12, log="l")
ONCE, TOGETHER = "The baseline was measured once for", "The cells of an arm were measured in one"


@dataclass(frozen=True)
class Told:
    """A claim whose baseline crashed in its first two invocations."""

    loaded: LoadedClaim
    plan: Plan

    def rows(self) -> list[Row]:
        return [
            self._row(each.id, iteration)
            for each in self.plan.invocations
            for iteration in range(2)
        ]  # fmt: skip

    def _row(self, name: str, iteration: int) -> Row:
        planned = next(each for each in self.plan.invocations if each.id == name)
        eager = planned.arm is Arm.BASELINE
        bad = eager and planned.index < 2
        value = (10.0 if eager else 5.0) + 0.01 * planned.index + 0.001 * iteration
        proof = CompileEvidence(decision=CompileDecision.COMPILED, reason="seen")
        return Row(
            id=f"{name}__{iteration:03d}", point=planned.point, cell=planned.cell,
            arm=planned.arm, invocation=planned.index, iteration=iteration,
            status=RowStatus.CRASH if bad else RowStatus.OK, failure=BOOM if bad else None,
            reason="exited" if bad else None, values={} if bad else {"latency_ms": value},
            evidence=Evidence(device="cpu", compile=None if eager else proof),
        )  # fmt: skip

    def verdict(self) -> Verdict:
        ready = {
            point.id: ReadyPoint(point=point.id, identity=point.identity(), python="/p")
            for point in self.plan.points
        }
        return score(self.loaded.claim, self.plan, ready, self.rows())

    def limits(self, verdict: Verdict) -> str:
        return "\n".join(limits_section(verdict, self.loaded.claim, self.plan))


def told(tmp_path: Path, *sweeps: str, text: str = CLAIM) -> Told:
    claim = loaded(tmp_path, text)
    return Told(claim, make_plan(claim, sweeps=sweeps))


def test_a_failure_of_a_shared_baseline_is_counted_once(tmp_path: Path) -> None:
    verdict = told(tmp_path, "compile_mode").verdict()
    assert len(verdict.points) == 3
    text = "\n".join(failures_section(verdict))
    assert "- **eager**, 2 invocations (4 iterations) crashed" in text
    (where,) = [line for line in text.splitlines() if line.startswith("  - at ")]
    for mode in ("default", "reduce-overhead", "max-autotune"):
        assert mode in where
    assert where.endswith(": 2 invocations, log `l`")


def test_failures_of_invocations_of_their_own_are_added_up(tmp_path: Path) -> None:
    """One baseline for each point of the stack: what is equal is told once and counted twice."""
    text = CLAIM + 'sweep: {transformers: {old: "4.46.3", new: "4.57.6"}}\n'
    report = "\n".join(failures_section(told(tmp_path, "transformers", text=text).verdict()))
    assert "- **eager**, 12 invocations (24 iterations) crashed" in report
    assert report.count("\n  - at ") == 2


def test_means_of_a_shared_baseline_are_told_once_and_in_its_own_cell(tmp_path: Path) -> None:
    made = told(tmp_path, "compile_mode")
    rows = [line for line in invocations_section(made.verdict()) if "| eager |" in line]
    assert len(rows) == 1
    (owner,) = {each.cell for each in made.plan.invocations if each.arm is Arm.BASELINE}
    _, where, cell, *_ = rows[0].split("|")
    assert cell.strip() == f"`{owner}`"
    assert where.count("compile mode") == 3, "every point that uses it"


def test_what_is_shared_is_said_among_the_limits(tmp_path: Path) -> None:
    made = told(tmp_path, "compile_mode")
    verdict = made.verdict()
    both = made.limits(verdict)
    assert f"{ONCE} all values of `compile_mode`" in both
    assert TOGETHER not in both, "each of the modes has a process of its own"
    cells = CLAIM.replace("cells:", "cells:\n  token_len: [8, 16]")
    assert TOGETHER in told(tmp_path, "compile_mode", text=cells).limits(verdict)
    alone = cells.replace("share_process: true", "share_process: false")
    assert TOGETHER not in told(tmp_path, "compile_mode", text=alone).limits(verdict)
    assert ONCE not in told(tmp_path).limits(verdict), "strata have baselines of their own"
