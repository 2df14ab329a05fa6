"""Rows of one cell at several stack points, made up for tests of robustness and portability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reprokit.records import (
    Arm,
    CompileDecision,
    CompileEvidence,
    Evidence,
    Row,
    RowStatus,
)
from reprokit.robustness.runs import Launch, PointRuns

ITERATIONS = 3
FELL_BACK = Evidence(compile=CompileEvidence(decision=CompileDecision.FELL_BACK, reason="seen"))


def launches(
    values: Sequence[float] = (), *, failed: int = 0, status: RowStatus = RowStatus.CRASH,
    point: str = "p", arm: Arm = Arm.SUBJECT, cell: str = "c",
) -> tuple[Launch, ...]:  # fmt: skip
    """One process per value, every iteration at that value, then `failed` processes."""
    found = []
    for index, value in enumerate([*values, *[None] * failed]):
        name = f"{point}__{cell}__{arm}__{index:03d}"
        found.append(
            Launch(
                name,
                tuple(
                    Row(
                        id=f"{name}__{iteration:03d}",
                        point=point,
                        cell=cell,
                        arm=arm,
                        invocation=index,
                        iteration=iteration,
                        status=status if value is None else RowStatus.OK,
                        values={} if value is None else {"latency_ms": value},
                        evidence=FELL_BACK if status is RowStatus.SILENT_FALLBACK else Evidence(),
                    )
                    for iteration in range(ITERATIONS)
                ),
            )
        )
    return tuple(found)


def point_of(
    name: str, subject: Sequence[float] = (), baseline: Sequence[float] = (), *,
    failed: int = 0, status: RowStatus = RowStatus.CRASH, baseline_failed: int = 0,
) -> PointRuns:  # fmt: skip
    """Both arms of one point."""
    return PointRuns(
        name,
        launches(subject, failed=failed, status=status, point=name),
        launches(baseline, failed=baseline_failed, point=name, arm=Arm.BASELINE),
    )


def points_of(subjects: Mapping[str, Sequence[float]]) -> list[PointRuns]:
    """Points without a baseline."""
    return [point_of(name, values) for name, values in subjects.items()]
