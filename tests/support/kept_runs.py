"""Kept runs made up from a case: in memory, and as directories that are closed by a manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from scored_case import Behaviour, Case, steady

from reprokit.atomic_files import write_atomic
from reprokit.kept.records import KeptRun
from reprokit.plan import Plan
from reprokit.records import Arm, GpuRecord, GpuState, Row
from reprokit.report.markdown import render_markdown
from reprokit.rows import write_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.manifest import write_manifest
from reprokit.verdict.score import score

GAIN: dict[str, Any] = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
FASTER = steady(10, 5.5)
ADA, A100 = "NVIDIA RTX 6000 Ada Generation", "NVIDIA A100-SXM4-80GB"
GPU = {"sm": "sm_90", "memory_mib": 143771, "power_limit_w": 700.0, "driver": "570.1", "mig": False}


def gain_case(
    behaviour: Behaviour = FASTER, expect: dict[str, Any] | None = None, **more: Any
) -> Case:
    """Return a case whose subject gains 45 %, where nothing else is said."""
    return Case(expect or GAIN, behaviour, **more)


def kept(case: Case, name: str, *, gpu: str | None = None, **seen: Any) -> KeptRun:
    """A run of a case; on a GPU of this name, of which `seen` says more, or else on a CPU."""
    plan, rows = measured_on(case, gpu, **seen)
    return KeptRun(
        name=name,
        created="2026-01-01T00:00:00+00:00",
        reprokit="1",
        adapter="reprokit 1",
        host={"processor": "a CPU", "cpus": 8},
        claim_text="",
        claim=case.claim,
        plan=plan,
        ready=case.ready_points,
        rows=rows,
        verdict=score(case.claim, plan, case.ready_points, rows),
        manifest=name,
        planned=name,
    )


def measured_on(case: Case, gpu: str | None, **seen: Any) -> tuple[Plan, tuple[Row, ...]]:
    """Plan and rows of a case, on a GPU where it is named."""
    if gpu is None:
        return case.plan, tuple(case.rows)
    record = GpuRecord(state=GpuState.CLEAN, name=gpu, **{**GPU, **seen})
    plan = case.plan
    setup = plan.setup.model_copy(update={"device": "cuda"})
    rows = tuple(
        row.model_copy(
            update={
                "gpu": record,
                "evidence": row.evidence.model_copy(update={"device": "cuda"}),
            }
        )
        for row in case.rows
    )
    return plan.model_copy(update={"setup": setup}), rows


def without_baseline(run: KeptRun) -> KeptRun:
    """The same run, whose plan has no baseline."""
    subject = tuple(each for each in run.plan.invocations if each.arm is Arm.SUBJECT)
    rows = tuple(row for row in run.rows if row.arm is Arm.SUBJECT)
    return replace(run, plan=run.plan.model_copy(update={"invocations": subject}), rows=rows)


def saved(case: Case, runs: Path, *, gpu: str | None = None, text: str = "id: case\n") -> Path:
    """Write a run of a case as `verify` leaves it, but for the logs of its invocations."""
    plan, rows = measured_on(case, gpu)
    run = RunDirectory.create(
        runs, plan=plan, claim=case.claim, claim_text=text.encode(), claim_file="claim.yaml"
    )
    ready = case.ready_points
    for point in ready.values():
        run.write_point(point)
    write_rows(run, rows)
    verdict = score(case.claim, plan, ready, rows)
    write_atomic(run.verdict, [verdict.to_json().encode()])
    write_atomic(run.report, [render_markdown(verdict, case.claim, plan, ready, rows).encode()])
    write_manifest(run.path)
    return run.path
