"""Sensitivity of kept runs: seed, warm-up, token length, repetition (TR147, C.1-C.6)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept_runs import kept, saved, without_baseline
from scored_case import WOBBLE, Case, Slot, broken, steady

from reprokit.cli.main import invoke
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.sensitivity import render_sensitivity
from reprokit.sensitivity.examine import examine
from reprokit.sensitivity.lengths import pattern
from reprokit.sensitivity.measured import process_values
from reprokit.sensitivity.records import RunSensitivity, Sensitivity
from reprokit.sensitivity.seeds import SEEDS
from reprokit.stats.bootstrap import bootstrap_contrast
from reprokit.stats.published import pooled_mean_bootstrap
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.units import make_units

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
CELLS: list[dict[str, Scalar]] = [{"token_len": length} for length in (1, 8, 32)]


def _of(behaviour: Any, expect: dict[str, Any] | None = None, **more: Any) -> RunSensitivity:
    drop = more.pop("drop", None)
    more.setdefault("axes", {})
    return examine([kept(Case(expect or GAIN, behaviour, **more), "run")], drop=drop).runs[0]


# C.1


def test_bounds_move_with_the_seed_and_values_do_not() -> None:
    found = _of(steady(10, 5.5))
    kinds = {(row.arm, row.interval) for row in found.seeds}
    assert len(kinds) == len(found.seeds) == 5
    for row in found.seeds:
        assert row.value is not None
        assert row.change is not None
        assert 0 < row.change < 2
    contrast = next(row for row in found.seeds if row.arm is None)
    assert contrast.sides == dict.fromkeys(SEEDS, "inside")
    assert contrast.changes is False
    assert contrast.decides is False  # 5 invocations: the t interval decides


def test_the_published_move_is_the_largest_of_any_two_seeds() -> None:
    found = _of(steady(10, 5.5), samples=3)
    row = next(
        each for each in found.seeds if each.arm is Arm.SUBJECT and "published" in each.interval
    )
    case = Case(GAIN, steady(10, 5.5), axes={})
    values = [each.values["latency_ms"] for each in case.rows if each.arm is Arm.SUBJECT]
    intervals = [pooled_mean_bootstrap("latency_ms", np.array(values), seed=at) for at in SEEDS]
    lows, highs = ([getattr(each, end) for each in intervals] for end in ("low", "high"))
    largest = max(max(lows) - min(lows), max(highs) - min(highs))
    assert row.change == pytest.approx(100 * largest / np.mean(values))


def test_a_conclusion_at_the_edge_changes_with_the_seed() -> None:
    """Put the claim's bound between the bounds of two seeds: exactly one side is `open` then."""
    behaviour = steady(10, 5.5)
    first = _of(behaviour, invocations=10)
    row = next(each for each in first.seeds if each.arm is None)
    assert row.decides is True
    run = kept(Case(GAIN, behaviour, axes={}, invocations=10), "run")
    (unit,) = make_units(run.claim, run.plan, run.rows)
    subject, baseline = (
        process_values("latency_ms", unit.strata[0].launches[arm])
        for arm in (Arm.SUBJECT, Arm.BASELINE)
    )
    highs = sorted(
        bootstrap_contrast("latency_ms", subject, baseline, seed=seed).high or 0 for seed in SEEDS
    )
    edge = 100 * (1 - (highs[0] + highs[-1]) / 2)
    found = _of(behaviour, {**GAIN, "at_least": edge}, invocations=10)
    row = next(each for each in found.seeds if each.arm is None)
    assert row.changes is True
    assert set(row.sides.values()) == {"inside", "open"}


def test_one_process_has_a_reason_and_no_conclusion() -> None:
    found = _of(steady(10, 5.5), invocations=1)
    for row in found.seeds:
        if "hierarchical" in row.interval:
            assert (row.change, row.changes) == (None, None)
            assert row.reason == "too_few_invocations"


# C.2


def _warming(slot: Slot) -> float:
    """The first two iterations of the subject are slow."""
    warm = 1.0 if slot.iteration >= 2 or slot.arm is Arm.BASELINE else 1.6
    return warm * (10 if slot.arm is Arm.BASELINE else 5.5) * (1 + WOBBLE[slot.invocation])


def test_dropping_a_warm_up_changes_mean_and_outcome() -> None:
    found = _of(_warming, samples=6, drop=3)
    row = next(each for each in found.warmup if each.arm is Arm.SUBJECT)
    assert set(row.means) == {0, 1, 2, 3}
    assert row.means[2] == pytest.approx(row.means[3])
    assert row.change == pytest.approx(100 * (1 - 1 / 1.2), abs=0.01)
    assert row.at in {2, 3}
    assert row.label == "warmup"
    (outcome,) = found.warmup_outcomes
    assert outcome.outcomes[0] is Outcome.FALLS_SHORT
    assert outcome.outcomes[3] is Outcome.REPRODUCED
    assert outcome.changes is True


def test_a_steady_run_changes_nothing() -> None:
    found = _of(steady(10, 5.5), samples=6)
    assert all(row.change is not None and row.change < 0.5 for row in found.warmup)
    (outcome,) = found.warmup_outcomes
    assert outcome.outcomes == {0: Outcome.REPRODUCED, 1: Outcome.REPRODUCED}
    assert outcome.changes is False


def test_one_iteration_is_never_dropped() -> None:
    found = _of(steady(10, 5.5), samples=1, drop=5)
    assert all(set(row.means) == {0} and row.change is None for row in found.warmup)
    assert found.warmup_outcomes[0].outcomes == {0: Outcome.REPRODUCED}


def test_an_undecided_point_is_not_said_to_stay() -> None:
    found = _of(lambda slot: RowStatus.CONTAMINATED)
    assert found.warmup_outcomes[0].changes is None
    assert all(row.change is None and row.steady is None for row in found.warmup)


# C.3


def test_the_pattern_of_tr147_decomposes_by_length() -> None:
    behaviour = broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.cell["token_len"] != 1,
        RowStatus.CRASH,
        steady(10, 5.5),
    )
    (row,) = _of(behaviour, cells=CELLS).lengths
    assert [(each.failed, each.attempted) for each in row.lengths] == [(0, 15), (15, 15), (15, 15)]
    assert pattern(row) == "1: faster, 8: fails, 32: fails"
    assert row.changes is True
    assert row.change is None
    assert row.together.reason == "no_data"


def test_a_gain_that_depends_on_the_length_is_told() -> None:
    def behave(slot: Slot) -> RowStatus | float:
        return steady(10, {1: 5, 8: 10, 32: 20}[int(slot.cell["token_len"])])(slot)

    (row,) = _of(behave, cells=CELLS).lengths
    assert pattern(row) == "1: faster, 8: same, 32: slower"
    assert row.changes is True
    assert row.change == pytest.approx(100, abs=3)
    assert row.together.value == pytest.approx(1.0, abs=0.02)


def test_equal_lengths_open_ones_and_single_ones() -> None:
    (row,) = _of(steady(10, 5.5), cells=CELLS).lengths
    assert (row.changes, pattern(row)) == (False, "1: faster, 8: faster, 32: faster")
    half = broken(lambda slot: slot.cell["token_len"] == 8, RowStatus.NOT_RUN, steady(10, 5.5))
    (row,) = _of(half, cells=CELLS).lengths
    assert (row.changes, row.lengths[1].found) == (None, "open")
    assert _of(steady(10, 5.5), cells=CELLS[:1]).lengths == ()


# C.5, C.6, and the whole.


def test_only_alike_runs_of_one_regime_are_compared() -> None:
    case = Case(GAIN, steady(10, 5.5), axes={})
    runs = [
        kept(case, "a", gpu="A100"),
        kept(case, "b", gpu="A100"),
        kept(Case(GAIN, steady(10, 5.5), axes={}, samples=4), "c", gpu="A100"),
        kept(case, "d", gpu="H100"),
    ]
    found = examine(runs)
    assert [set(each.means) for each in found.repeats] == [{"a", "b"}]
    assert any("a and c are not repeats: they differ in" in note for note in found.not_compared)
    assert any("different regimes" in note for note in found.not_compared)
    assert "One run" in examine(runs[:1]).not_compared[0]


def test_hardware_that_cannot_be_told_stops_the_comparison_and_nothing_else() -> None:
    run = kept(Case(GAIN, steady(10, 5.5), axes={}), "a", gpu="A100")
    rows = tuple(row.model_copy(update={"gpu": None}) for row in run.rows)
    found = examine([replace(run, rows=rows), replace(run, rows=rows, name="b")])
    assert found.repeats == ()
    assert "neither rows nor probes name" in found.not_compared[0]
    assert len(found.runs) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        steady(10, 5.5),
        lambda slot: RowStatus.CRASH,
        lambda slot: RowStatus.NOT_RUN,
        lambda slot: 5.0,
        lambda slot: float("nan"),
        lambda slot: float("inf"),
        lambda slot: 0.0,
        lambda slot: 1e-300 * (1 + slot.iteration),
    ],
)
@pytest.mark.parametrize(
    "expect",
    [
        GAIN,
        {"kind": "stability", "equals": 0.0},
        {"kind": "value", "metric": "latency_ms", "value": 5.5, "unit": "ms"},
        {"kind": "equivalence", "metric": "latency_ms"},
        {"kind": "invariance", "axis": "token_len", "of": GAIN},
    ],
)
def test_anything_can_be_examined_and_reported(expect: dict[str, Any], behaviour: Any) -> None:
    run = kept(Case(expect, behaviour, axes={}, cells=CELLS), "run")
    for each in (run, without_baseline(run)):
        found = examine([each])
        assert Sensitivity.model_validate_json(found.to_json()) == found
        report = render_sensitivity(found)
        assert " nan" not in report
        assert "inf " not in report


def test_the_command_prints_tables_or_writes_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = saved(Case(GAIN, steady(10, 5.5)), tmp_path / "runs")
    assert invoke(["sensitivity", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "warm-up (C.2)" in printed
    assert invoke(["sensitivity", str(run), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "sensitivity.md").read_text() == printed
    capsys.readouterr()
    assert invoke(["sensitivity", str(run), "--json", "--drop", "0"]) == 0
    assert Sensitivity.model_validate_json(capsys.readouterr().out).seeds == SEEDS
