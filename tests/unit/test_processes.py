"""Cells that one process measures are no replications of each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scored_case import Case, Slot

from reprokit.plan import Plan, PlannedInvocation
from reprokit.records import Arm, Evidence, Row, RowStatus, Scalar
from reprokit.stats.logmean import LogMean, average, difference
from reprokit.stats.sample import TOO_FEW, Undefined
from reprokit.verdict import processes, units
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.units import make_units

REPEATS = 600
METRIC = "latency_ms"


def _strata(
    values: list[list[float | None]], *, shared: bool
) -> list[tuple[units.MeasuredInvocation, ...]]:
    """Values by cell and process, None for a failed one."""
    return [
        tuple(_invocation(cell, index, value, shared) for index, value in enumerate(row))
        for cell, row in enumerate(values)
    ]


def _invocation(
    cell: int, index: int, value: float | None, shared: bool
) -> units.MeasuredInvocation:
    planned = PlannedInvocation(
        id=f"p__{cell}__subject__{index:02d}", point="p", cell=str(cell), arm=Arm.SUBJECT,
        index=index, launch=f"p__subject__{index:02d}" if shared else None,
    )  # fmt: skip
    row = Row(
        id=f"{planned.id}__000", point="p", cell=str(cell), arm=Arm.SUBJECT, invocation=index,
        iteration=0, status=RowStatus.CRASH if value is None else RowStatus.OK,
        values={} if value is None else {METRIC: value}, evidence=Evidence(),
    )  # fmt: skip
    return units.MeasuredInvocation(planned, (row,), 0)


def _noisy(generator: np.random.Generator, cells: int) -> list[list[float | None]]:
    """1 % between processes, 0.2 % between the cells of one."""
    process = generator.normal(0, 0.01, 5)
    return [
        [float(10 * math.exp(level + generator.normal(0, 0.002))) for level in process]
        for _ in range(cells)
    ]


def _combined(strata: list[tuple[units.MeasuredInvocation, ...]]) -> LogMean | Undefined:
    alone = [processes.log_mean_of(METRIC, stratum) for stratum in strata]
    return processes.combined(METRIC, strata, alone)


def _estimate(found: LogMean | Undefined) -> LogMean:
    assert isinstance(found, LogMean)
    return found


def _coverage(combine: Callable[[list[list[float | None]]], LogMean | Undefined]) -> float:
    generator = np.random.default_rng(151)
    hits = 0
    for _ in range(REPEATS):
        arms = [_estimate(combine(_noisy(generator, 5))) for _ in range(2)]
        low, high = _estimate(difference(*arms)).interval(0.95)
        hits += low <= 0 <= high
    return hits / REPEATS


def test_intervals_cover_the_truth_where_cells_share_processes() -> None:
    def sound(values: list[list[float | None]]) -> LogMean | Undefined:
        return _combined(_strata(values, shared=True))

    def naive(values: list[list[float | None]]) -> LogMean | Undefined:
        strata = _strata(values, shared=False)
        return average([processes.log_mean_of(METRIC, stratum) for stratum in strata])

    assert _coverage(sound) == pytest.approx(0.95, abs=0.03)
    assert _coverage(naive) < 0.75


def test_cells_of_different_processes_are_independent() -> None:
    values: list[list[float | None]] = [[10.0, 10.1, 10.3], [20.0, 20.5, 19.9]]
    strata = _strata(values, shared=False)
    alone = average([processes.log_mean_of(METRIC, stratum) for stratum in strata])
    assert _combined(strata) == alone


def test_groups_weigh_as_much_as_they_have_cells() -> None:
    values: list[list[float | None]] = [[10.0, 10.1], [20.0, 20.5], [40.0, 40.1]]
    strata = [*_strata(values[:2], shared=True), *_strata([[]] * 2 + values[2:], shared=False)[2:]]
    found = _estimate(_combined(strata))
    logs = [sum(math.log(value or 0) for value in row) / 2 for row in values]
    assert found.value == pytest.approx(sum(logs) / 3)
    assert len(found.parts) == 2


def test_the_shared_baseline_of_two_cells_counts_once() -> None:
    (only,) = _strata([[10.0, 10.1, 10.3]], shared=False)
    once, twice = (_estimate(_combined([only] * times)) for times in (1, 2))
    assert twice.variance == pytest.approx(once.variance)
    assert twice.df == pytest.approx(once.df)


def test_only_processes_with_every_cell_are_averaged() -> None:
    values: list[list[float | None]] = [[10.0, 10.2, None], [None, 20.0, 20.4]]
    found = _combined(_strata(values, shared=True))
    assert found == Undefined(TOO_FEW), "one process has both"


def _shared(case: Case) -> Plan:
    """Let each process of an arm measure all cells."""
    plan = case.plan
    invocations = tuple(
        each.model_copy(update={"launch": f"{each.point}__{each.arm}__{each.index:02d}"})
        for each in plan.invocations
    )
    return plan.model_copy(update={"invocations": invocations})


LENGTHS: tuple[dict[str, Scalar], ...] = tuple({"token_len": n} for n in (1, 8, 32, 64))


@pytest.mark.parametrize(("limit", "outcome"), [(0.2, Outcome.INCONCLUSIVE)])
def test_four_cells_in_five_processes_are_five_launches(
    monkeypatch: pytest.MonkeyPatch, limit: float, outcome: Outcome
) -> None:
    def sound(_slot: Slot) -> float:
        return 10.0

    case = Case({"kind": "stability", "at_most": limit}, sound, axes={}, cells=LENGTHS)
    apart = case.score()
    assert apart.outcome is Outcome.REPRODUCED, "20 processes without a failure"
    shared = _shared(case)
    monkeypatch.setattr(Case, "plan", property(lambda _case: shared))
    verdict = case.score()
    assert verdict.outcome is outcome
    (survival,) = [each for each in verdict.points[0].survival if each.arm is Arm.SUBJECT]
    assert survival.crash_rate.n["invocations"] == 5
    assert (survival.planned, survival.complete) == (20, 20)
    (unit,) = make_units(case.claim, shared, [])
    assert len(processes.by_process(unit.launches(Arm.SUBJECT))) == 5
