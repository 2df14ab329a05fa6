"""Gate 1: no number mixes prefill and decode; what holds both is named so."""

from __future__ import annotations

from typing import Any

import pytest
from gated_run import GAIN, judged, sound_case
from hypothesis import given
from hypothesis import strategies as st
from scored_case import Case, broken, steady

from reprokit.records import Arm, Row, RowStatus
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Verdict

WITHOUT_PHASE: dict[str, Any] = {"axes": {}, "cells": ({},)}


def labelled(rows: list[Row], label: str, every: int = 1, **only: Any) -> list[Row]:
    """Put a label on every n-th of the rows that fit."""
    fits = [row for row in rows if all(getattr(row, key) == value for key, value in only.items())]
    chosen = {row.id for row in fits[::every]}
    return [
        row.model_copy(update={"labels": (label,)}) if row.id in chosen else row for row in rows
    ]


def told(gate: GateVerdict) -> tuple[str, str]:
    return gate.verdict, gate.evidence[0]


def changed_point(verdict: Verdict, **changes: Any) -> Verdict:
    first, *rest = verdict.points
    return verdict.model_copy(update={"points": (first.model_copy(update=changes), *rest)})


@given(st.lists(st.sampled_from([0, 1]), min_size=1, max_size=2, unique=True))
def test_a_figure_pools_phases_exactly_when_its_cells_are_of_several(chosen: list[int]) -> None:
    case = sound_case(invocations=2, samples=1)
    cells = [case.plan.cells[index].id for index in chosen]
    verdict = changed_point(case.score(), cells=tuple(cells), strata=())
    gate = judged(case, verdict=verdict)["phase_separation"]
    assert (gate.verdict == "fail") is (len(chosen) > 1)
    if len(chosen) > 1:
        assert "cells of the phases kv_decode and prefill" in gate.evidence[0]


def test_a_stratum_of_another_phase_is_found() -> None:
    case = sound_case()
    verdict = case.score()
    strata = verdict.points[0].strata + verdict.points[1].strata
    gate = judged(case, verdict=changed_point(verdict, strata=strata))["phase_separation"]
    assert gate.verdict == "fail"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"axes": {"phase": "kv_decode"}}, "named kv_decode, and its cell measures prefill"),
        ({"cell": "elsewhere"}, "elsewhere, no cell of the plan"),
    ],
)
def test_a_stratum_that_is_not_what_it_says_is_found(change: dict[str, Any], says: str) -> None:
    case = sound_case()
    verdict = case.score()
    strata = (verdict.points[0].strata[0].model_copy(update=change),)
    gate = judged(case, verdict=changed_point(verdict, strata=strata))["phase_separation"]
    assert gate.verdict == "fail"
    assert says in gate.evidence[0]


def test_a_baseline_of_another_phase_is_found() -> None:
    case = sound_case()
    prefill, decode = (cell.id for cell in case.plan.cells)
    plan = case.plan.model_copy(update={"baselines": {decode: prefill}})
    gate = judged(case, verdict=case.score(), plan=plan)["phase_separation"]
    assert gate.verdict == "fail"
    assert "named kv_decode is compared with a baseline of prefill" in gate.evidence[0]


@pytest.mark.parametrize(
    ("label", "state", "says"),
    [
        ({"every": 2, "cell": "prefill_StaticCache"}, "fail", "with and without the processing"),
        ({"cell": "prefill_StaticCache", "arm": Arm.SUBJECT}, "fail", "with and without"),
        ({"cell": "kv_decode_StaticCache"}, "fail", "named kv_decode includes the processing"),
        ({"cell": "prefill_StaticCache"}, "pass", "of the phase prefill alone"),
    ],
)
def test_iterations_with_the_prompt_belong_to_no_number_without_it(
    label: dict[str, Any], state: str, says: str
) -> None:
    case = sound_case()
    gate = judged(case, rows=labelled(case.rows, "includes_prefill", **label))["phase_separation"]
    assert gate.verdict == state
    assert says in gate.evidence[0]


@pytest.mark.parametrize(
    ("case", "state", "says"),
    [
        (sound_case(**WITHOUT_PHASE), "open", "Nothing says whether latency_ms is of prefill"),
        (
            sound_case(**WITHOUT_PHASE, labels=("includes_prefill",)),
            "pass",
            "The figure in latency_ms includes the processing of the prompt, and is labelled so.",
        ),
        (
            sound_case(axes={}, cells=({"phase": "e2e_kv"},)),
            "pass",
            "prefill and decode together, and is named so",
        ),
        (
            sound_case(**WITHOUT_PHASE, expect={"kind": "stability", "equals": 0}),
            "pass",
            "a crash rate of whole iterations, and no time",
        ),
        (
            sound_case(
                **WITHOUT_PHASE, expect={**GAIN, "metric": "ttft_ms"}
            ),
            "pass",
            "prefill by definition",
        ),
        (
            sound_case(
                **WITHOUT_PHASE,
                behaviour=broken(lambda slot: True, RowStatus.CRASH, steady(1, 1)),
            ),
            "pass",
            "No time was measured",
        ),
    ],
    ids=["unnamed", "label", "e2e_kv", "crash rate", "ttft", "nothing timed"],
)  # fmt: skip
def test_what_holds_both_phases_must_be_named_so(case: Case, state: str, says: str) -> None:
    gate = judged(case)["phase_separation"]
    assert gate.verdict == state
    assert says in gate.evidence[0]


def test_the_phase_may_be_an_option_of_the_adapter() -> None:
    case = sound_case(**WITHOUT_PHASE)
    setup = case.plan.setup.model_copy(update={"options": {"phase": "prefill"}})
    gate = judged(case, plan=case.plan.model_copy(update={"setup": setup}))["phase_separation"]
    assert told(gate) == ("pass", "Every number is of the phase prefill alone.")
