"""A small claim, plan and rows for tests of the verdict; every test states what differs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from reprokit.adapter import Setup
from reprokit.claim.model import Claim
from reprokit.plan import Cell, Plan, PlannedInvocation
from reprokit.records import (
    Arm,
    CompileDecision,
    CompileEvidence,
    Evidence,
    Failure,
    Frame,
    Row,
    RowStatus,
    Scalar,
)
from reprokit.stack import Distribution, Probe, ReadyPoint, StackPoint
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

PINNED = "d" * 40
HEAD = "6" * 40
# Invocation effects that have mean zero and a standard deviation near 1 %.
WOBBLE = (0.010, -0.012, 0.004, -0.009, 0.007, 0.003, -0.003, 0.011, -0.008, -0.003)
FAILURE = Failure(
    exception="AssertionError",
    message="no config matches",
    frame=Frame(file="model.py", line=43, function="from_name"),
    fingerprint="f" * 16,
    log="invocations/x/stderr.log",
)

Outcome = RowStatus | float
Behaviour = Callable[["Slot"], Outcome]


@dataclass(frozen=True)
class Slot:
    """One planned iteration, for a function that says what becomes of it."""

    axes: Mapping[str, Scalar]
    cell: Mapping[str, Scalar]
    arm: Arm
    invocation: int
    iteration: int


@dataclass
class Case:
    """A claim with its sweep; `behaviour` gives each iteration's value or status.

    `fallback` is the proof of iterations that fell back; None leaves them without evidence.
    """

    expect: dict[str, Any]
    behaviour: Behaviour
    axes: dict[str, tuple[Scalar, ...]] = field(default_factory=lambda: {"sha": ("pinned", "head")})
    cells: Sequence[dict[str, Scalar]] = ({},)
    invocations: int = 5
    samples: int = 3
    regime: dict[str, Any] | None = None
    claim_extra: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=lambda: {"type": "cpu", "name": "some CPU"})
    ready: dict[str, dict[str, Any]] = field(default_factory=dict)
    cold_first: bool = False
    labels: tuple[str, ...] = ()
    arms: dict[Arm, str] = field(
        default_factory=lambda: {Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"}
    )
    fallback: CompileDecision | None = CompileDecision.FELL_BACK
    keep: Callable[[Mapping[str, Scalar]], bool] = lambda axes: True

    @property
    def claim(self) -> Claim:
        body = {
            "schema": "reprokit/claim/v1",
            "id": "case",
            "title": "A case",
            "source": {"repo": "https://example.org/r", "commit": PINNED},
            "expect": self.expect,
            "adapter": {"name": "command", "baseline": "eager", "subject": "compiled"},
            "stack": {"requirements": ("torch==2.7.1",)},
            **({"regime": self.regime} if self.regime else {}),
            **self.claim_extra,
        }
        return Claim.model_validate(body)

    @property
    def points(self) -> tuple[StackPoint, ...]:
        found: list[StackPoint] = []
        for values in product(*self.axes.values()):
            axes = dict(zip(self.axes, values, strict=True))
            stack = {name: value for name, value in axes.items() if name not in _CELL_AXES}
            if not self.keep(axes) or stack in [point.axes for point in found]:
                continue
            found.append(
                StackPoint(
                    id="_".join(f"{name}-{value}" for name, value in stack.items()) or "point",
                    axes=stack,
                    commit=HEAD if axes.get("sha") == "head" else PINNED,
                    python="3.11",
                    requirements=("torch==2.7.1",),
                )
            )
        return tuple(found)

    @property
    def plan(self) -> Plan:
        cells = tuple(
            Cell(id="_".join(map(str, cell.values())) or "all", axes=cell) for cell in self.cells
        )
        return Plan(
            claim_id="case",
            claim_digest=self.claim.digest(),
            design="full",
            seed=42,
            axes=self.axes,
            base={name: values[0] for name, values in self.axes.items()},
            points=self.points,
            cells=cells,
            setup=Setup(
                model=None,
                arms=self.arms,
                options={},
                device="cpu",
                samples=self.samples,
                warmup=0,
                seed=42,
            ),
            timeout_s=60.0,
            invocations=tuple(
                PlannedInvocation(
                    id=f"{point.id}__{cell.id}__{arm}__{index:02d}",
                    point=point.id,
                    cell=cell.id,
                    arm=arm,
                    index=index,
                )
                for index in range(self.invocations)
                for point in self.points
                for cell in cells
                for arm in self.arms
            ),
        )

    @property
    def rows(self) -> list[Row]:
        plan = self.plan
        return [
            self._row(plan, planned, row_id, iteration)
            for planned in plan.invocations
            for iteration, row_id in enumerate(planned.row_ids(self.samples))
        ]

    def _row(self, plan: Plan, planned: PlannedInvocation, row_id: str, iteration: int) -> Row:
        slot = Slot(
            plan.point(planned.point).axes,
            plan.cell(planned.cell).axes,
            planned.arm,
            planned.index,
            iteration,
        )
        outcome = self.behaviour(slot)
        ok = not isinstance(outcome, RowStatus)
        decision: CompileDecision | None = CompileDecision.UNKNOWN
        if ok:
            decision = CompileDecision.COMPILED
        elif outcome is RowStatus.SILENT_FALLBACK:
            decision = self.fallback
        proof = CompileEvidence(decision=decision, reason="seen") if decision else None
        inner = self.expect.get("of", self.expect)
        return Row(
            id=row_id,
            point=planned.point,
            cell=planned.cell,
            arm=planned.arm,
            invocation=planned.index,
            iteration=iteration,
            status=outcome if isinstance(outcome, RowStatus) else RowStatus.OK,
            reason=None if ok else "it failed",
            values={inner.get("metric", "latency_ms"): float(outcome)} if ok else {},
            cold=self.cold_first and iteration == 0 and ok,
            labels=self.labels,
            evidence=Evidence(device="cpu", compile=proof if planned.arm is Arm.SUBJECT else None),
            failure=FAILURE if outcome in _WITH_FAILURE else None,
        )

    @property
    def ready_points(self) -> dict[str, ReadyPoint]:
        return {point.id: self._ready(point) for point in self.points}

    def _ready(self, point: StackPoint) -> ReadyPoint:
        probe = Probe(
            python="3.11.7",
            executable="python",
            distributions=(Distribution(name="torch", version="2.7.1", record_sha256="a" * 64),),
            device=self.device,
        )
        facts: dict[str, Any] = {
            "point": point.id,
            "identity": point.identity(),
            "commit": point.commit,
            "probe": probe,
            **self.ready.get(point.id, {}),
        }
        return ReadyPoint(**facts)

    def score(self) -> Verdict:
        return score(self.claim, self.plan, self.ready_points, self.rows)


_CELL_AXES = {"phase", "token_len", "compile_mode", "batch"}
_WITH_FAILURE = {RowStatus.CRASH, RowStatus.UNSUPPORTED}


def steady(baseline: float, subject: float) -> Behaviour:
    """Timings with 1 % between invocations and 0.2 % inside them, without chance."""

    def behave(slot: Slot) -> Outcome:
        base = baseline if slot.arm is Arm.BASELINE else subject
        shift = WOBBLE[(slot.invocation + (3 if slot.arm is Arm.SUBJECT else 0)) % len(WOBBLE)]
        return base * (1 + shift + 0.002 * (slot.iteration % 3 - 1))

    return behave


def broken(when: Callable[[Slot], bool], status: RowStatus, otherwise: Behaviour) -> Behaviour:
    """`status` where `when` says so."""
    return lambda slot: status if when(slot) else otherwise(slot)
