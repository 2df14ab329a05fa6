"""Runs of a scored case on the disk, closed with report and manifest, for tests of the gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scored_case import Case, steady

from reprokit.finish import report_run, score_run
from reprokit.gates.artifacts import Kept
from reprokit.gates.judge import Judged, judge, with_gates
from reprokit.progress import nobody
from reprokit.records import Row, Scalar
from reprokit.report.markdown import render_figures
from reprokit.rows import write_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.manifest import write_manifest
from reprokit.stack import Distribution, Probe
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

GAIN: dict[str, Any] = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
PHASES: tuple[dict[str, Scalar], ...] = ({"phase": "prefill"}, {"phase": "kv_decode"})
PLATFORM: dict[str, Any] = {"system": "Linux", "release": "6.1", "processor": "some CPU"}
TORCH = Distribution(name="torch", version="2.7.1", record_sha256="a" * 64, content_sha256="b")
TRITON = Distribution(name="triton", version="3.3.1", record_sha256="c" * 64, content_sha256="d")


def probed(**changes: Any) -> Probe:
    """Return a probe of a whole environment on a CPU."""
    facts: dict[str, Any] = {
        "python": "3.11.7", "executable": "python", "distributions": (TORCH, TRITON),
        "torch": {"version": "2.7.1", "git_version": "e" * 40, "cuda": None},
        "triton": {"version": "3.3.1", "distribution": "3.3.1"}, "unverified": {},
        "device": {"type": "cpu", "name": "some CPU"}, "platform": PLATFORM,
    }  # fmt: skip
    return Probe(**{**facts, **changes})


def sound_case(**changes: Any) -> Case:
    """Return a case all of whose first four gates pass."""
    facts: dict[str, Any] = {
        "expect": GAIN, "behaviour": steady(10, 5.5), "axes": {"phase": ("prefill", "kv_decode")},
        "cells": tuple({**cell, "cache": "StaticCache"} for cell in PHASES),
        "ready": {"point": {"probe": probed()}}, "invocations": 5, "samples": 2,
    }  # fmt: skip
    return Case(**{**facts, **changes})


def judged(
    case: Case, *, rows: list[Row] | None = None, verdict: Verdict | None = None, **run: Any
) -> dict[str, GateVerdict]:
    """Judge a case that was scored; gates by name."""
    rows = case.rows if rows is None else rows
    verdict = verdict or score(case.claim, case.plan, case.ready_points, rows)
    kept: Kept | None = run.pop("kept", None)
    report = run.pop("report", None) or render_figures(verdict)
    facts = Judged(**{"plan": case.plan, "ready": case.ready_points, "rows": rows, **run})
    return {gate.gate: gate for gate in judge(verdict, facts, report, kept)}


def with_its_gates(case: Case) -> Verdict:
    """Score a case and put its gates into the verdict."""
    verdict = case.score()
    return with_gates(verdict, tuple(judged(case, verdict=verdict).values()))


def kept_run(case: Case, runs: Path) -> RunDirectory:
    """Write a case as a run that was measured, scored, reported and closed."""
    run = RunDirectory.create(
        runs, plan=case.plan, claim=case.claim, claim_text=b"id: case\n", claim_file="case.yaml"
    )
    for ready in case.ready_points.values():
        run.write_point(ready)
    write_rows(run, case.rows)
    score_run(run, nobody)
    report_run(run)
    return run


def close_anew(run: RunDirectory) -> None:
    """Write the manifest over files that were altered, as somebody who hides it would."""
    write_manifest(run.path)


def edit_json(path: Path, change: Any) -> None:
    """Change a JSON file in place."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
