"""What a verdict calls its points: only what lies in the stack is a stack point."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, RowStatus, Scalar
from reprokit.verdict.attribution import attribute
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Verdict
from reprokit.verdict.sentence import sentence_of
from reprokit.verdict.wording import headline_words

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
_TRITON_AND_PHASE: dict[str, tuple[Scalar, ...]] = {
    "triton": ("3.3.1", "3.6.0"),
    "phase": ("prefill", "decode"),
}
_PHASES: list[dict[str, Scalar]] = [{"phase": phase} for phase in _TRITON_AND_PHASE["phase"]]


def _subject_dies(**where: Scalar) -> Any:
    return broken(
        lambda slot: (
            slot.arm is Arm.SUBJECT
            and any({**slot.axes, **slot.cell}[name] == value for name, value in where.items())
        ),
        RowStatus.CRASH,
        steady(10, 5.5),
    )


def _disturbed(slot: Slot) -> RowStatus | float:
    return RowStatus.CONTAMINATED if slot.cell["phase"] == "decode" else steady(10, 9.5)(slot)


@pytest.mark.parametrize(
    ("axes", "behaviour", "told"),
    [
        (("phase",), steady(10, 5.5), "reproduced, at both points: compiled takes"),
        (("phase",), steady(10, 9.5), "falls short of it, at both points: compiled takes"),
        (("triton", "phase"), steady(10, 5.5), "reproduced, at all 4 points: compiled takes"),
        (("triton",), steady(10, 5.5), "reproduced, at both stack points: compiled takes"),
        (
            ("phase",),
            _disturbed,
            "The verdict is open: falls short at phase prefill;",
        ),
    ],
)
def test_points_of_a_cell_axis_are_not_stack_points(
    axes: tuple[str, ...], behaviour: Any, told: str
) -> None:
    swept = {name: _TRITON_AND_PHASE[name] for name in axes}
    cells = _PHASES if "phase" in axes else [{}]
    verdict = Case(GAIN, behaviour, axes=swept, cells=cells).score()
    assert told in verdict.sentence
    assert ("stack point" in verdict.sentence) == (axes == ("triton",))
    assert {each.axis: each.kind for each in verdict.axes} == {
        name: "cell" if name == "phase" else "stack" for name in axes
    }


def test_many_points_are_counted_as_what_they_are() -> None:
    lengths: tuple[Scalar, ...] = (1, 2, 4, 8, 16, 32)
    cells: list[dict[str, Scalar]] = [{"token_len": length} for length in lengths]
    case = Case(GAIN, _subject_dies(token_len=32), axes={"token_len": lengths}, cells=cells)
    assert "reproduced at 5 points (token len 1; token len 2; ...)" in case.score().sentence


def test_failing_differently_in_two_phases_is_told_of_points() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        if slot.arm is Arm.SUBJECT and slot.cell["phase"] == "decode":
            return RowStatus.CRASH
        return steady(10, 9.5)(slot)

    phases = {"phase": _TRITON_AND_PHASE["phase"]}
    verdict = Case(GAIN, behave, axes=phases, cells=_PHASES).score()
    assert verdict.sentence.startswith(
        "The claim is reproduced at neither point; only how it fails depends on phase: at phase "
    )


def test_no_single_axis_is_told_of_points() -> None:
    axes = {name: values[:1] for name, values in _TRITON_AND_PHASE.items()}
    case = Case(GAIN, _subject_dies(phase="decode"), axes=_TRITON_AND_PHASE, cells=_PHASES)
    verdict = case.score()
    apart = [
        point
        for point in verdict.points
        if (point.axes["triton"] == axes["triton"][0]) == (point.axes["phase"] == "prefill")
    ]
    told = sentence_of(
        case.claim, Outcome.DEPENDS, apart, attribute(apart, _TRITON_AND_PHASE, {"triton"}), ()
    )
    assert told.startswith("The outcome differs between points, and no single axis explains it")
    told = sentence_of(
        case.claim, Outcome.DEPENDS, apart, attribute(apart, _TRITON_AND_PHASE, axes), ()
    )
    assert told.startswith("The outcome differs between stack points, and no single axis")


@pytest.mark.parametrize(
    ("dies", "told"),
    [
        ({"triton": "3.3.1"}, "depends on the stack"),
        ({"phase": "decode"}, "depends on phase"),
        ({"triton": "3.3.1", "phase": "decode"}, "depends on triton and phase"),
    ],
)
def test_only_what_lies_in_the_stack_depends_on_it(dies: dict[str, Scalar], told: str) -> None:
    case = Case(GAIN, _subject_dies(**dies), axes=_TRITON_AND_PHASE, cells=_PHASES)
    verdict = case.score()
    assert verdict.outcome is Outcome.DEPENDS
    assert headline_words(verdict) == told


def test_a_verdict_that_does_not_say_what_its_axes_are_claims_nothing_of_the_stack() -> None:
    triton = {"triton": _TRITON_AND_PHASE["triton"]}
    document = json.loads(Case(GAIN, _subject_dies(triton="3.3.1"), axes=triton).score().to_json())
    for axis in document["axes"]:
        del axis["kind"]
    older = Verdict.model_validate_json(json.dumps(document))
    assert headline_words(older) == "depends on triton"


def test_a_conclusion_along_an_axis_depends_on_the_other_ones() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        dies = slot.axes["triton"] == "3.6.0" and slot.cell["phase"] == "decode"
        if dies and slot.arm is Arm.SUBJECT:
            return RowStatus.CRASH
        return steady(10, 5.5)(slot)

    for axis, told in (("triton", "depends on phase"), ("phase", "depends on the stack")):
        expect = {"kind": "flip", "axis": axis, "of": GAIN}
        verdict = Case(expect, behave, axes=_TRITON_AND_PHASE, cells=_PHASES).score()
        assert verdict.outcome is Outcome.DEPENDS
        assert headline_words(verdict) == told
