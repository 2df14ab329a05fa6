"""The verdict on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from scored_case import Case, broken, steady

from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.terminal import render_terminal, style
from reprokit.verdict.outcome import Outcome

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}


def _shown(case: Case) -> str:
    out = io.StringIO()
    Console(file=out, width=160, color_system=None).print(render_terminal(case.score()))
    return out.getvalue()


def test_table_and_sentence() -> None:
    behaviour = broken(
        lambda slot: slot.axes["sha"] == "pinned" and slot.arm is Arm.SUBJECT,
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    shown = _shown(Case(GAIN, behaviour))
    assert "nothing survived" in shown
    assert "0/5" in shown
    assert "44.90 % [44.17, 45.62]" in shown
    assert "DEPENDS ON THE STACK. The outcome depends on sha" in " ".join(shown.split())


def test_what_varies_inside_a_stack_point_is_not_called_the_stack() -> None:
    phases: tuple[Scalar, ...] = ("prefill", "decode")
    behaviour = broken(
        lambda slot: slot.cell["phase"] == "decode" and slot.arm is Arm.SUBJECT,
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    cells: list[dict[str, Scalar]] = [{"phase": phase} for phase in phases]
    shown = _shown(Case(GAIN, behaviour, axes={"phase": phases}, cells=cells))
    assert "DEPENDS ON PHASE. The outcome depends on phase" in " ".join(shown.split())


def test_random_weights_are_told_with_the_figure_and_why_they_may_do() -> None:
    case = Case(GAIN, steady(10, 5.5), labels=("synthetic_weights",))
    shown = " ".join(_shown(case).split())
    assert "The weights are random." in shown
    for exception in ("early stopping", "mixtures of experts", "sparsity"):
        assert exception in shown
    assert "random" not in _shown(Case(GAIN, steady(10, 5.5)))


def test_markup_in_a_claim_is_not_read_as_markup() -> None:
    extra = {"title": "[bold red]T[/] \x1b[31m"}
    shown = _shown(Case(GAIN, steady(10, 5.5), claim_extra=extra))
    assert "[bold red]T[/]" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_what_holds_is_green(outcome: Outcome) -> None:
    green = "green" in style(outcome)
    assert green == (outcome in {Outcome.REPRODUCED, Outcome.TRANSFERS})
    assert ("yellow" in style(outcome)) == (not outcome.decided)
