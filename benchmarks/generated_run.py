"""A finished run of any size, generated from a seed: what `score` gets, without a disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from typing import Any

import numpy as np

from reprokit.adapter import Setup
from reprokit.claim.model import Claim
from reprokit.kept.records import KeptRun
from reprokit.plan import Cell, Plan, PlannedInvocation
from reprokit.records import (
    Arm,
    CompileDecision,
    CompileEvidence,
    Evidence,
    Row,
    RowStatus,
    Scalar,
)
from reprokit.stack import Distribution, Probe, ReadyPoint, StackPoint
from reprokit.verdict.records import Verdict

TRITONS = ("3.3.1", "3.4.0", "3.6.0")
INVOCATIONS, ITERATIONS = 5, 12
ROWS_PER_PAIR = 2 * INVOCATIONS * ITERATIONS
_METRIC = "latency_ms"
_COMMIT = "d" * 40
_ARMS = {Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"}
_PROOF = Evidence(
    device="cpu", compile=CompileEvidence(decision=CompileDecision.COMPILED, reason="seen")
)
_EAGER = Evidence(device="cpu")


def make_claim() -> Claim:
    """Claim that both arms take the same time, which asks for TOST in every cell."""
    return Claim.model_validate(
        {
            "schema": "reprokit/claim/v1",
            "id": "generated",
            "title": "Compiled and eager latency are the same",
            "source": {"repo": "https://example.org/r", "commit": _COMMIT},
            "expect": {"kind": "equivalence", "metric": _METRIC},
            "adapter": {"name": "command", "baseline": "eager", "subject": "compiled"},
            "stack": {"requirements": ("torch==2.7.1",)},
        }
    )


def make_plan(claim: Claim, rows: int) -> Plan:
    """Plan at least this many rows: cells of 2 x 5 x 12 over three Triton versions."""
    pairs = -(-rows // ROWS_PER_PAIR)
    points = tuple(_point(version) for version in TRITONS)
    axes = _axes(-(-pairs // len(points)))
    settings = product(*axes.values())
    cells = tuple(
        Cell(id="_".join(map(str, values)), axes=dict(zip(axes, values, strict=True)))
        for values in settings
    )
    measured = islice(product(cells, points), pairs)
    return Plan(
        claim_id=claim.id,
        claim_digest=claim.digest(),
        design="full",
        seed=42,
        axes={"triton": TRITONS, **axes},
        base={"triton": TRITONS[0]},
        points=points,
        cells=cells,
        setup=Setup(
            model=None, arms=_ARMS, options={}, device="cpu", samples=ITERATIONS, warmup=3, seed=42
        ),
        timeout_s=60.0,
        invocations=tuple(
            PlannedInvocation(
                id=f"{point.id}__{cell.id}__{arm}__{index:02d}",
                point=point.id, cell=cell.id, arm=arm, index=index,
            )
            for cell, point in measured
            for index in range(INVOCATIONS)
            for arm in _ARMS
        ),
    )  # fmt: skip


def _axes(cells: int) -> dict[str, tuple[Scalar, ...]]:
    """Cell axes of TR147, with as many lengths and batches as make this many cells."""
    per_setting = -(-cells // 8)
    batches = -(-per_setting // 64)
    lengths = -(-per_setting // batches)
    return {
        "phase": ("prefill", "kv_decode"),
        "cache": ("DynamicCache", "StaticCache"),
        "compile_mode": ("default", "reduce-overhead"),
        "token_len": tuple(8 * (1 + place) for place in range(lengths)),
        "batch": tuple(1 + place for place in range(batches)),
    }


def _point(version: str) -> StackPoint:
    return StackPoint(
        id=f"triton-{version}", axes={"triton": version}, commit=_COMMIT, python="3.11",
        requirements=("torch==2.7.1", f"triton=={version}"),
    )  # fmt: skip


def make_ready(point: StackPoint) -> ReadyPoint:
    """Prepare a point whose environment was verified on the disk."""
    triton = str(point.axes["triton"])
    facts: dict[str, Any] = {
        "python": "3.11.7", "executable": "python", "unverified": {},
        "distributions": tuple(
            Distribution(name=name, version=version, record_sha256="a" * 64, content_sha256="b")
            for name, version in (("torch", "2.7.1"), ("triton", triton))
        ),
        "torch": {"version": "2.7.1", "git_version": "e" * 40, "cuda": None},
        "triton": {"version": triton, "distribution": triton},
        "device": {"type": "cpu", "name": "some CPU"},
        "platform": {"system": "Linux", "release": "6.1", "processor": "some CPU"},
    }  # fmt: skip
    return ReadyPoint(
        point=point.id, identity=point.identity(), commit=_COMMIT, probe=Probe(**facts)
    )


def make_rows(plan: Plan, seed: int = 147) -> Iterator[Row]:
    """Draw latencies: 1 % between processes, 0.5 % inside them, both arms alike."""
    generator = np.random.default_rng(seed)
    for planned in plan.invocations:
        level = generator.normal(0.0, 0.01)
        times = 10.0 * np.exp(level + generator.normal(0.0, 0.005, ITERATIONS))
        evidence = _PROOF if planned.arm is Arm.SUBJECT else _EAGER
        for iteration, (name, value) in enumerate(
            zip(planned.row_ids(ITERATIONS), times.tolist(), strict=True)
        ):
            yield Row(
                id=name, point=planned.point, cell=planned.cell, arm=planned.arm,
                invocation=planned.index, iteration=iteration, status=RowStatus.OK,
                values={_METRIC: value}, evidence=evidence,
            )  # fmt: skip


def keep(
    claim: Claim,
    plan: Plan,
    ready: dict[str, ReadyPoint],
    rows: tuple[Row, ...],
    verdict: Verdict,
) -> KeptRun:
    """Return the run as commands over several runs read it."""
    return KeptRun(
        name="generated", created="2026-01-01T00:00:00+00:00", reprokit="1", adapter=None, host={},
        claim_text="", claim=claim, plan=plan, ready=ready, rows=rows, verdict=verdict,
        manifest="generated", planned="generated",
    )  # fmt: skip
