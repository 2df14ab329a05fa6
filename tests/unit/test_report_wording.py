"""Words that a reader could take for more than was measured."""

from __future__ import annotations

from typing import Any

import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, CompileDecision, CompileEvidence, Row, RowStatus, Scalar
from reprokit.report.markdown import render_markdown
from reprokit.report.wording import status_words
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.score import score
from reprokit.verdict.wording import headline_words, outcome_words, slice_of

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
ELSEWHERE: dict[str, Any] = {"regime": {"device": "cuda", "gpu": "A100"}, "axes": {}}
CELLS: list[dict[str, Scalar]] = [
    {"cache": cache, "phase": "prefill"} for cache in ("DynamicCache", "StaticCache")
]


def _told(case: Case, *altered: str, rows: list[Row] | None = None) -> tuple[str, str, str]:
    """Score and report a case whose plan departs from the claim: headline, sentence, report."""
    rows = rows or case.rows
    plan = case.plan.model_copy(update={"altered": altered})
    verdict = score(case.claim, plan, case.ready_points, rows)
    report = render_markdown(verdict, case.claim, plan, case.ready_points, rows)
    return headline_words(verdict), verdict.sentence, report


@pytest.mark.parametrize(
    ("altered", "named"),
    [
        (("model=tiny", "model.id = tiny-llama (model=tiny)"), "model tiny"),
        (("model.id=gpt2-25m",), "model.id gpt2-25m"),
        (("model.dtype=float32", "cells.model=[a]"), "model.dtype float32 and cells.model [a]"),
        (("protocol.invocations=3", "device=cpu"), None),
        (("model.weights=synthetic", "adapter.options.model=1"), None),
    ],
)
def test_another_model_is_another_claim(altered: tuple[str, ...], named: str | None) -> None:
    assert slice_of(altered) == named


@pytest.mark.parametrize("behaviour", [steady(10, 5.5), steady(10, 9), steady(10, 11)])
@pytest.mark.parametrize("more", [ELSEWHERE, {"axes": {}}, {}])
def test_a_slice_is_told_first_and_the_claim_is_never_said_to_hold(
    behaviour: Any, more: dict[str, Any]
) -> None:
    headline, sentence, report = _told(Case(GAIN, behaviour, **more), "model=tiny")
    before = "A slice of the claim (model tiny), not the claim itself: "
    assert sentence.startswith(before)
    rest = sentence.removeprefix(before)
    assert "claim holds" not in rest.lower()
    assert "claim is" not in rest.lower()
    assert "transfer" not in f"{headline} {rest}"
    assert "transfers to" not in report.split("Reasons:")[0]


def test_the_claim_itself_is_told_as_before() -> None:
    headline, sentence, _ = _told(Case(GAIN, steady(10, 5.5), **ELSEWHERE))
    assert headline == outcome_words(Outcome.TRANSFERS, ()) == "transfers to this hardware"
    assert sentence.startswith("The claim holds here, on other hardware than it names: ")


def test_the_remark_of_the_proof_is_in_the_report() -> None:
    remark = "compiled code ran; there are no CUDA graphs on a CPU"
    proof = CompileEvidence(decision=CompileDecision.COMPILED, reason=remark)
    case = Case(GAIN, steady(10, 5.5), axes={})

    def edit(row: Row) -> Row:
        evidence = row.evidence.model_copy(update={"compile": proof})
        return row.model_copy(update={"evidence": evidence}) if row.arm is Arm.SUBJECT else row

    report = _told(case, rows=[edit(row) for row in case.rows])[2]
    assert f"compiled, 15 iterations: `compiled`: {remark}" in report


def test_a_mean_over_cells_is_said_to_be_one() -> None:
    case = Case(GAIN, steady(10, 5.5), axes={}, cells=CELLS)
    assert "(mean over the cells of cache)" in _told(case)[1]
    assert "mean over" not in _told(Case(GAIN, steady(10, 5.5), axes={}))[1]


def test_only_pooled_numbers_are_said_to_decide_nothing() -> None:
    report = _told(Case(GAIN, steady(10, 5.5), axes={}, cells=CELLS))[2]
    figures = report.split("## Figures")[1].split("## Invocations")[0]
    alone = figures.split("Of this cell alone")[1].split("Pooled iterations")
    assert "| gain |" in alone[0]
    assert "| gain |" not in alone[1]


def test_what_some_runs_failed_by_is_named_in_the_sentence() -> None:
    def some(slot: Slot) -> bool:
        return slot.arm is Arm.SUBJECT and slot.invocation == 0

    case = Case(GAIN, broken(some, RowStatus.WRONG_OUTPUT, steady(10, 5.5)), axes={})
    sentence = _told(case)[1]
    assert "only 4 of 5 invocations survived whole (wrong_output: it failed)" in sentence


def test_several_were_and_one_was() -> None:
    assert status_words(RowStatus.CONTAMINATED, many=True) == "were disturbed"
    assert status_words(RowStatus.CONTAMINATED) == "was disturbed"
    assert status_words(RowStatus.UNSUPPORTED, many=True).startswith("are not supported")
    assert status_words(RowStatus.CRASH, many=True) == "crashed"
