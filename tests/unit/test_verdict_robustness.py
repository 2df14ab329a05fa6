"""Robustness of a scored run: which axes perturb, what drives a class, that it decides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, CompileDecision, GpuRecord, GpuState, RowStatus, Scalar
from reprokit.report.markdown import render_markdown
from reprokit.report.robustness_section import robustness_line, robustness_section
from reprokit.report.terminal import render_terminal
from reprokit.robustness.records import RobustnessClass
from reprokit.verdict.records import Verdict
from reprokit.verdict.robustness_records import AxisRobustness, CellIndices
from reprokit.verdict.score import score

GAIN: dict[str, Any] = {"kind": "gain", "metric": "latency_ms", "at_least": 10.0}
TRITON: dict[str, tuple[Scalar, ...]] = {"triton": ("3.3", "3.4", "3.6")}
BOTH: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3", "3.4", "3.6")}


def _axis(verdict: Verdict, axis: str | None) -> AxisRobustness:
    assert verdict.robustness is not None
    return next(each for each in verdict.robustness.axes if each.axis == axis)


def _only(verdict: Verdict, axis: str | None) -> CellIndices:
    (cell,) = _axis(verdict, axis).cells
    return cell


def _slower(factor: float, **where: str) -> Any:
    """The subject takes `factor` as long at one place of the stack."""
    usual = steady(10.0, 5.0)

    def behave(slot: Slot) -> float | RowStatus:
        value = usual(slot)
        assert not isinstance(value, RowStatus)
        at_place = all(slot.axes.get(name) == label for name, label in where.items())
        return value * (factor if slot.arm is Arm.SUBJECT and at_place else 1.0)

    return behave


def _crash(**where: str) -> Any:
    def when(slot: Slot) -> bool:
        there = all(slot.axes.get(name) == label for name, label in where.items())
        return slot.arm is Arm.SUBJECT and there

    return broken(when, RowStatus.CRASH, steady(10.0, 5.0))


@pytest.mark.parametrize(
    ("factor", "robustness"),
    [(1.0, "robust"), (1.06, "sensitive"), (1.3, "fragile"), (1.8, "catastrophic")],
)
def test_both_indices_along_a_stack_axis(factor: float, robustness: str) -> None:
    verdict = Case(expect=GAIN, behaviour=_slower(factor, triton="3.6"), axes=TRITON).score()
    cell = _only(verdict, "triton")
    assert (cell.robustness, _axis(verdict, "triton").kind) == (robustness, "stack")
    assert cell.index.value == pytest.approx(factor)
    assert cell.index.low is not None
    assert cell.cri_d.index.n["iterations"] == 45
    changed = robustness != "robust"
    assert cell.driven_by == ("latency" if changed else None)
    assert (cell.between is not None and cell.between[1] == "triton-3.6") is changed


def test_the_code_is_an_axis_of_its_own() -> None:
    verdict = Case(expect=GAIN, behaviour=_crash(sha="pinned"), axes=BOTH).score()
    code = _axis(verdict, "sha")
    assert (code.kind, code.robustness) == ("code", "catastrophic")
    assert [each.held for each in code.cells] == [{"triton": each} for each in BOTH["triton"]]
    for each in code.cells:
        assert each.driven_by == "survival"
        assert each.between == (f"sha-head_triton-{each.held['triton']}", each.points[0])
        assert each.cri_d.robustness == "invalid"
        assert each.cri_d.reason == "need >= 2 stack points, got 1"
    stack = {each.held["sha"]: each for each in _axis(verdict, "triton").cells}
    assert stack["head"].robustness == "robust"
    assert (stack["pinned"].robustness, stack["pinned"].reason) == ("invalid", "no_survivors")
    assert stack["pinned"].cri_d.reason == "need >= 2 stack points, got 0"


def test_all_stack_points_are_compared_for_one_code_at_a_time() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {**BOTH, "torch": ("2.7", "2.8")}
    behaviour = _slower(1.3, sha="head", triton="3.6", torch="2.8")
    verdict = Case(expect=GAIN, behaviour=behaviour, axes=axes).score()
    every = _axis(verdict, None)
    assert every.kind == "all"
    assert [(each.held, len(each.points)) for each in every.cells] == [
        ({"sha": "pinned"}, 6), ({"sha": "head"}, 6),
    ]  # fmt: skip
    assert [each.robustness for each in every.cells] == ["robust", "fragile"]
    assert _axis(verdict, "triton").robustness == "fragile"


def test_cells_are_never_perturbations() -> None:
    def behave(slot: Slot) -> float | RowStatus:
        value = steady(10.0, 5.0)(slot)
        assert not isinstance(value, RowStatus)
        return value * (20.0 if slot.cell["token_len"] == 512 else 1.0)

    axes: dict[str, tuple[Scalar, ...]] = {**TRITON, "token_len": (1, 512)}
    cells: tuple[dict[str, Scalar], ...] = ({"token_len": 1}, {"token_len": 512})
    verdict = Case(expect=GAIN, behaviour=behave, axes=axes, cells=cells).score()
    assert verdict.robustness is not None
    assert [each.axis for each in verdict.robustness.axes] == ["triton"]
    found = _axis(verdict, "triton").cells
    assert [(each.cell, each.robustness) for each in found] == [("1", "robust"), ("512", "robust")]


@pytest.mark.parametrize("axes", [{}, {"token_len": (1, 512)}, {"sha": ("pinned",)}])
def test_one_stack_point_is_no_robustness(axes: dict[str, Any]) -> None:
    cells = [{"token_len": each} for each in axes.get("token_len", (1,))]
    case = Case(expect=GAIN, behaviour=steady(10.0, 5.0), axes=axes, cells=cells)
    verdict = case.score()
    assert verdict.robustness is not None
    assert verdict.robustness.reason == "need >= 2 stack points, got 1"
    assert verdict.robustness.axes == ()
    assert robustness_line(verdict) is None
    assert "need &gt;= 2 stack points, got 1" in "\n".join(robustness_section(verdict))


def test_a_setting_with_one_point_is_left_out() -> None:
    def keep(axes: Any) -> bool:
        return bool(axes["sha"] == "pinned" or axes["triton"] == "3.3")

    verdict = Case(expect=GAIN, behaviour=steady(10.0, 5.0), axes=BOTH, keep=keep).score()
    assert [each.held for each in _axis(verdict, "triton").cells] == [{"sha": "pinned"}]
    assert [each.held for each in _axis(verdict, "sha").cells] == [{"triton": "3.3"}]


def test_the_margin_of_the_claim_is_the_first_band() -> None:
    expect = {"kind": "equivalence", "metric": "latency_ms", "margin": 1.4}
    verdict = Case(expect=expect, behaviour=_slower(1.2, triton="3.6"), axes=TRITON).score()
    assert verdict.robustness is not None
    assert verdict.robustness.bands.robust == 1.4
    assert _only(verdict, "triton").robustness == "robust"


def test_a_fallback_without_proof_is_no_failure() -> None:
    def when(slot: Slot) -> bool:
        return slot.arm is Arm.SUBJECT and slot.axes["triton"] == "3.6"

    def of(fallback: CompileDecision) -> CellIndices:
        behaviour = broken(when, RowStatus.SILENT_FALLBACK, steady(10.0, 5.0))
        case = Case(expect=GAIN, behaviour=behaviour, axes=TRITON, fallback=fallback)
        return _only(case.score(), "triton")

    assert of(CompileDecision.FELL_BACK).robustness == "catastrophic"
    unproven = of(CompileDecision.UNKNOWN)
    assert (unproven.robustness, unproven.reason) == ("unresolved", "points_missing")
    assert unproven.fates == {"triton-3.6": "unknown"}


def test_a_row_without_the_metric_is_missing() -> None:
    case = Case(expect=GAIN, behaviour=steady(10.0, 5.0), axes=TRITON)
    rows = [
        row.model_copy(update={"values": {}}) if row.point == "triton-3.6" else row
        for row in case.rows
    ]
    verdict = score(case.claim, case.plan, case.ready_points, rows)
    assert _only(verdict, "triton").robustness == "unresolved"


def test_different_hardware_leaves_nothing_to_compare() -> None:
    case = Case(expect=GAIN, behaviour=steady(10.0, 5.0), axes=TRITON)

    def seen(point: str) -> GpuRecord:
        last = point == "triton-3.6"
        return GpuRecord(state=GpuState.CLEAN, uuid=f"GPU-{last}", name="other" if last else "same")

    rows = [row.model_copy(update={"gpu": seen(row.point)}) for row in case.rows]
    verdict = score(case.claim, case.plan, case.ready_points, rows)
    cell = _only(verdict, "triton")
    assert (cell.robustness, cell.reason, cell.at_most) == ("invalid", "mixed_devices", None)
    assert verdict.robustness is not None
    assert verdict.robustness.caveats == ("several_gpus",)
    assert "several GPUs of one kind" in "\n".join(robustness_section(verdict))


def test_a_claim_on_crashes_takes_a_metric_that_was_measured() -> None:
    expect = {"kind": "stability", "equals": 0.0}
    verdict = Case(expect=expect, behaviour=_crash(triton="3.6"), axes=TRITON).score()
    assert verdict.robustness is not None
    assert verdict.robustness.metric == "latency_ms"
    assert _only(verdict, "triton").driven_by == "survival"


def test_noise_in_one_of_many_cells_is_not_shown_of_the_axis() -> None:
    def behave(slot: Slot) -> float | RowStatus:
        usual = steady(10.0, 5.0)(slot)
        assert not isinstance(usual, RowStatus)
        moved = slot.cell["batch"] == 0 and slot.axes["triton"] == "3.6"
        return usual * (1.065 if moved and slot.arm is Arm.SUBJECT else 1.0)

    def of(cells: int) -> AxisRobustness:
        case = Case(
            expect=GAIN, behaviour=behave, axes=TRITON, invocations=3,
            cells=[{"batch": each} for each in range(cells)],
        )  # fmt: skip
        return _axis(case.score(), "triton")

    assert of(1).cells[0].robustness == of(1).robustness == "sensitive"
    many = of(40)
    assert many.cells[0].robustness == "sensitive"
    assert many.robustness == "unresolved"


@pytest.mark.parametrize(
    "behaviour", [_slower(1.0), _slower(1.8, triton="3.6"), _crash(triton="3.6")]
)
def test_it_decides_nothing(monkeypatch: pytest.MonkeyPatch, behaviour: Any) -> None:
    case = Case(expect=GAIN, behaviour=behaviour, axes=TRITON)
    verdict = case.score()
    monkeypatch.setattr("reprokit.verdict.score.robustness_of_run", lambda *_: None)
    without = case.score()
    changed = {"robustness": None}
    assert verdict.model_copy(update=changed) == without


def test_an_identical_arm_is_never_fragile() -> None:
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: "eager"}
    case = Case(expect=GAIN, behaviour=steady(10.0, 10.0), axes=TRITON, arms=arms)
    bad = {RobustnessClass.FRAGILE, RobustnessClass.CATASTROPHIC}
    assert _axis(case.score(), "triton").robustness not in bad


def test_report_and_terminal_say_it() -> None:
    case = Case(expect=GAIN, behaviour=_crash(sha="pinned"), axes=BOTH)
    verdict = case.score()
    page = render_markdown(verdict, case.claim, case.plan, case.ready_points, case.rows)
    assert "## Robustness over the stack" in page
    assert "**`sha`** (the code): catastrophic (3 comparisons: 3 catastrophic)" in page
    assert "survives at `head`, fails at `pinned`" in page
    assert "invalid (need &gt;= 2 stack points, got 1)" in page
    console = Console(width=300)
    with console.capture() as shown:
        console.print(render_terminal(verdict))
    line = next(each for each in shown.get().splitlines() if each.startswith("Robustness"))
    assert "sha catastrophic (3 comparisons: 3 catastrophic)" in line


def test_many_cells_are_folded_away_the_worst_first() -> None:
    def behave(slot: Slot) -> float | RowStatus:
        value = _slower(1.3 if slot.cell["batch"] == 19 else 1.0, triton="3.6")(slot)
        assert isinstance(value, float)
        return value

    cells: list[dict[str, Scalar]] = [{"batch": each} for each in range(20)]
    verdict = Case(expect=GAIN, behaviour=behave, axes=TRITON, cells=cells, invocations=4).score()
    lines = robustness_section(verdict)
    first = next(line for line in lines if line.startswith("| `"))
    assert first.startswith("| `19` | **fragile** |")
    assert "`3.3` against `3.6`" in first
    assert any("8 more cells" in line for line in lines)
