"""Plans whose cells share processes or baselines."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from harness_claim import GAIN_IN_EVERY_MODE, loaded

from reprokit.plan import Design, Plan, PlannedInvocation
from reprokit.records import Arm, Row, RowStatus
from reprokit.sweep import make_plan
from reprokit.sweep.order import Block, interleaved
from reprokit.verdict.units import make_units

CLAIM = (
    GAIN_IN_EVERY_MODE
    + """\
cells:
  compile_mode: [default, reduce-overhead]
  phase: [prefill, kv_decode]
  token_len: [8, 16]
protocol: {invocations: 3, samples: 2, share_process: true}
sweep: {transformers: {old: "4.46.3", new: "4.57.6"}}
"""
)


def planned(tmp_path: Path, *sweeps: str, text: str = CLAIM, design: Design = "full") -> Plan:
    return make_plan(loaded(tmp_path, text), sweeps=sweeps, design=design)


def processes(plan: Plan) -> dict[str, list[PlannedInvocation]]:
    found: dict[str, list[PlannedInvocation]] = defaultdict(list)
    for each in plan.invocations:
        found[each.launch or each.id].append(each)
    return found


def test_a_process_measures_all_cells_of_one_arm_and_mode(tmp_path: Path) -> None:
    plan = planned(tmp_path, "compile_mode")
    found = processes(plan)
    assert len(found) == 3 * 3, "eager, default and reduce-overhead, in three rounds"
    for mine in found.values():
        assert {each.arm for each in mine} == {mine[0].arm}
        assert {each.index for each in mine} == {mine[0].index}
        assert len(mine) == 4


def test_invocations_of_a_process_follow_each_other(tmp_path: Path) -> None:
    plan = planned(tmp_path, "compile_mode", "transformers")
    launches = [each.launch for each in plan.invocations]
    changes = sum(one != other for one, other in pairwise(launches))
    assert changes == len(set(launches)) - 1
    assert {each.point for each in plan.invocations} == {"transformers-old", "transformers-new"}


def test_without_asking_every_cell_has_its_own_process(tmp_path: Path) -> None:
    plan = planned(tmp_path, "compile_mode", text=CLAIM.replace(", share_process: true", ""))
    assert {each.launch for each in plan.invocations} == {None}


def test_the_baseline_is_measured_once_for_all_modes(tmp_path: Path) -> None:
    plan = planned(tmp_path, "compile_mode")
    baseline = {each.cell for each in plan.invocations if each.arm is Arm.BASELINE}
    subject = {each.cell for each in plan.invocations if each.arm is Arm.SUBJECT}
    assert (len(baseline), len(subject)) == (4, 8)
    for cell in plan.cells:
        owner = plan.cell(plan.baseline_cell(cell.id))
        assert owner.id in baseline
        assert {**owner.axes, "compile_mode": ""} == {**cell.axes, "compile_mode": ""}


@pytest.mark.parametrize(
    ("sweeps", "text", "design"),
    [
        ((), CLAIM, "full"),  # the modes are strata of one decision
        (("compile_mode", "transformers"), CLAIM, "one-at-a-time"),
        (
            ("compile_mode",),
            CLAIM + "exclude: [{when: {token_len: 8, compile_mode: default}, reason: none}]\n",
            "full",
        ),
    ],
)
def test_where_a_baseline_could_count_twice_or_be_missing_each_cell_has_its_own(
    tmp_path: Path, sweeps: tuple[str, ...], text: str, design: Design
) -> None:
    plan = planned(tmp_path, *sweeps, text=text, design=design)
    assert plan.baselines == {}
    for arm in Arm:
        assert {each.cell for each in plan.invocations if each.arm is arm} == {
            cell.id for cell in plan.cells
        }


def test_decisions_of_every_mode_see_the_one_baseline(tmp_path: Path) -> None:
    claim = loaded(tmp_path, CLAIM)
    plan = make_plan(claim, sweeps=("compile_mode",))
    rows = [
        Row(
            id=row_id, point=each.point, cell=each.cell, arm=each.arm, invocation=each.index,
            iteration=iteration, status=RowStatus.OK, values={"latency_ms": 1.0},
        )
        for each in plan.invocations
        for iteration, row_id in enumerate(each.row_ids(2))
    ]  # fmt: skip
    units = make_units(claim.claim, plan, rows)
    assert len(units) == 2 * 2, "modes and phases are decided apart"
    for unit in units:
        assert len(unit.strata) == 2
        for arm in Arm:
            assert len(unit.launches(arm)) == 2 * 3
            assert sum(1 for _ in unit.rows(arm)) == 2 * 3 * 2


@pytest.mark.parametrize(
    ("expect", "stops"),
    [
        ("{kind: gain, metric: latency_ms, at_least: 0}", 3),
        ("{kind: stability, equals: 0.8}", 0),
        ("{kind: flip, axis: transformers, of: {kind: stability, at_most: 0}}", 0),
    ],
)
def test_a_rate_of_failures_is_measured_to_the_end(tmp_path: Path, expect: str, stops: int) -> None:
    text = CLAIM.replace("{kind: gain, metric: latency_ms, at_least: 0}", expect)
    assert planned(tmp_path, text=text).same_failure_stops == stops


@pytest.mark.parametrize(
    ("expect", "asked", "noted"),
    [
        ("{kind: stability, equals: 0.8}", 2, True),
        ("{kind: stability, equals: 0.8}", 3, True),  # the default, but somebody wrote it
        ("{kind: stability, equals: 0.8}", 0, False),
        ("{kind: stability, equals: 0.8}", None, False),
        ("{kind: gain, metric: latency_ms, at_least: 0}", 2, False),
    ],
)
def test_a_stop_that_does_not_apply_is_noted(
    tmp_path: Path, expect: str, asked: int | None, noted: bool
) -> None:
    text = CLAIM.replace("{kind: gain, metric: latency_ms, at_least: 0}", expect)
    if asked is not None:
        text = text.replace("samples: 2", f"samples: 2, same_failure_stops: {asked}")
    notes = planned(tmp_path, text=text).notes
    told = f"protocol.same_failure_stops: {asked} does not apply: a rate of failures is measured"
    assert any(note.startswith(told) for note in notes) is noted
    assert any("same_failure_stops" in note for note in notes) is noted


def test_a_cell_that_is_not_planned_is_no_unit(tmp_path: Path) -> None:
    """A baseline that belongs to another cell makes none; one of its own is a gap to tell."""
    claim = loaded(tmp_path, CLAIM)
    plan = make_plan(claim, sweeps=("compile_mode",))

    def strata(*dropped: str) -> dict[str, int]:
        kept = tuple(
            each
            for each in plan.invocations
            if each.cell not in dropped or each.arm is Arm.BASELINE
        )
        units = make_units(claim.claim, plan.model_copy(update={"invocations": kept}), ())
        return {each.cell.id: len(unit.strata) for unit in units for each in unit.strata}

    borrowing, owning = next(iter(plan.baselines.items()))
    assert len(strata()) == len(plan.cells)
    assert set(strata(borrowing)) == {each.id for each in plan.cells} - {borrowing}
    assert set(strata(owning)) == {each.id for each in plan.cells}


def test_every_round_has_an_order_of_its_own() -> None:
    cells = [f"c{number}" for number in range(6)]
    blocks = [Block("p", Arm.SUBJECT, f"k{number}", [f"{number}"]) for number in range(6)]
    blocks.append(Block("p", Arm.BASELINE, "shared", cells))
    rounds = 8
    found = list(interleaved(blocks, rounds, seed=7))
    alone = [
        tuple(each.cell for each in found if each.launch is None and each.index == index)
        for index in range(rounds)
    ]
    shared = [
        tuple(each.cell for each in found if each.launch is not None and each.index == index)
        for index in range(rounds)
    ]
    for orders in (alone, shared):
        assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(orders[0]))}
        assert len(set(orders)) > rounds // 2, "drift within a round must not hit one cell always"
