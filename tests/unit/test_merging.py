"""Merging runs over machines: what is refused, what is a regime, what is told of conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from kept_runs import A100, ADA, FASTER, GAIN, gain_case, kept, without_baseline
from scored_case import Behaviour, Case, Slot, broken, steady

from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.merging.alike import differences
from reprokit.merging.merge import merge
from reprokit.merging.records import Merged
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.merge import render_merge
from reprokit.verdict.outcome import Outcome


def _lengths(*lengths: int) -> list[dict[str, Scalar]]:
    return [{"token_len": length} for length in lengths]


# TR147's combined bundle (SS5.2), from rows.


def _combined(ada: bool) -> Case:
    """94 conditions of one arm: 70 only on Ada, 8 only on the A100, 16 on both."""

    def behave(slot: Slot) -> RowStatus | float:
        cell = int(slot.cell["token_len"])
        if 79 <= cell < 86:
            return RowStatus.CRASH
        slower = 1.0 if ada else 1.02 if cell == 86 else 1.5
        return steady(10 * slower, 5 * slower)(slot)

    mine = [*range(70), *range(78, 94)] if ada else [*range(70, 94)]
    # 78 and 87..93 shift, 79..85 crash on both, 86 is similar.
    mine = [cell for cell in mine if ada or cell >= 70]
    return gain_case(behave, cells=_lengths(*mine), axes={})


def test_the_count_table_of_tr147_from_rows() -> None:
    runs = [
        without_baseline(kept(_combined(ada=True), "ada", gpu=ADA)),
        without_baseline(kept(_combined(ada=False), "a100", gpu=A100)),
    ]
    merged = merge(runs, allow_missing=True)
    assert len(merged.conditions) == 94
    assert merged.counts == {
        f"missing_{A100}": 70,
        "portable_latency_shift": 8,
        f"missing_{ADA}": 8,
        "confirmed_crash_both": 7,
        "portable_similar_latency": 1,
    }
    assert sum(merged.counts_by_arm[Arm.BASELINE].values()) == 0
    assert "70" in render_merge(merged)


# Unlike runs.


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"claim_extra": {"id": "other"}}, "claim.id"),
        ({"expect": {**GAIN, "at_least": 30.0}}, "claim.expect.at_least"),
        ({"expect": {**GAIN, "metric": "wall_ms"}}, "claim.expect.metric"),
        ({"invocations": 6}, "plan.invocations"),
        ({"samples": 4}, "plan.setup.samples"),
        ({"claim_extra": {"protocol": {"level": 0.9}}}, "claim.protocol.level"),
        ({"cells": _lengths(1)}, "cells."),
        ({"axes": {"sha": ("pinned",)}}, "plan.axes.sha"),
        ({"arms": {Arm.BASELINE: "eager", Arm.SUBJECT: "default"}}, "plan.setup.arms.subject"),
    ],
)
def test_unlike_runs_are_refused_with_what_differs_and_where(
    change: dict[str, Any], where: str
) -> None:
    expect = change.pop("expect", GAIN)
    other = gain_case(expect=expect, **change)
    change["expect"] = expect
    runs = [kept(gain_case(), "one", gpu=ADA), kept(other, "two", gpu=A100)]
    found = differences(*runs)
    assert any(each.where.startswith(where) for each in found), found
    with pytest.raises(UsageError, match="unlike") as error:
        merge(runs)
    assert where in error.value.hint
    assert " in one" in error.value.hint
    assert " in two" in error.value.hint


def _with(run: KeptRun, **plan: Any) -> KeptRun:
    return replace(run, plan=run.plan.model_copy(update=plan))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda run: replace(run, adapter="reprokit 2"), "adapter"),
        (lambda run: _with(run, timeout_s=1.0), "plan.timeout_s"),
        (lambda run: _with(run, altered=("model.weights=synthetic",)), "plan.altered"),
        (
            lambda run: _with(
                run, setup=run.plan.setup.model_copy(update={"options": {"max_new_tokens": 9}})
            ),
            "plan.setup.options.max_new_tokens",
        ),
        (
            lambda run: _with(
                run,
                points=tuple(
                    each.model_copy(update={"overrides": ("triton==9",)})
                    for each in run.plan.points
                ),
            ),
            "points.sha-pinned.overrides",
        ),
    ],
)
def test_other_departures_are_found(change: Callable[[KeptRun], KeptRun], where: str) -> None:
    one = kept(gain_case(), "one")
    assert where in [each.where for each in differences(one, change(one))]


def test_long_values_that_differ_at_their_end_only_are_different() -> None:
    one = kept(gain_case(), "one")
    long = {"prompt": "x" * 1000}

    def told(tail: str) -> KeptRun:
        options = {**long, "prompt": long["prompt"] + tail}
        return _with(one, setup=one.plan.setup.model_copy(update={"options": options}))

    assert len(differences(told("a"), told("b"))) == 1


def test_hardware_stack_host_and_order_are_no_difference() -> None:
    one = kept(gain_case(), "one", gpu=ADA)
    claim = one.claim.model_copy(
        update={
            "title": "Another title",
            "stack": one.claim.stack.model_copy(update={"requirements": ("torch==2.8.0",)}),
        }
    )
    other = replace(_with(one, seed=7, host="/bin/python"), claim=claim, host={}, name="two")
    assert differences(one, other) == ()


def test_what_only_one_run_planned_is_missing_when_that_is_allowed() -> None:
    runs = [
        kept(gain_case(cells=_lengths(1, 8), axes={}), "one", gpu=ADA),
        kept(gain_case(cells=_lengths(8, 32), axes={}), "two", gpu=A100),
    ]
    with pytest.raises(UsageError, match="unlike") as error:
        merge(runs)
    assert "--allow-missing" in error.value.hint
    merged = merge(runs, allow_missing=True)
    verdicts = {each.id: each.portability.verdict for each in merged.conditions}
    assert verdicts["token_len 1, subject"] == f"missing_{A100}"
    assert verdicts["token_len 8, subject"] == "portable_similar_latency"
    assert verdicts["token_len 32, baseline"] == f"missing_{ADA}"
    other = kept(gain_case(cells=_lengths(8), axes={}, samples=4), "x", gpu=A100)
    with pytest.raises(UsageError, match="unlike"):
        merge([runs[0], other], allow_missing=True)


# What is said.


def _merged(*behaviours: Any, **more: Any) -> Merged:
    gpus = (ADA, A100)
    return merge(
        [
            kept(gain_case(each, **more), f"run{place}", gpu=gpus[place])
            for place, each in enumerate(behaviours)
        ]
    )


DIES = broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.CRASH, FASTER)
ALL_DIE = broken(lambda slot: True, RowStatus.CRASH, FASTER)
SLOWER = steady(10, 12)


@pytest.mark.parametrize(
    ("behaviours", "verdict", "quality", "gate"),
    [
        ((FASTER, FASTER), "portable_similar_latency", "held", "held"),
        ((FASTER, steady(20, 11)), "portable_latency_shift", "held", "held"),
        ((FASTER, SLOWER), "qualitative_flip", "changed", "changed"),
        ((FASTER, DIES), "crash_one", "changed", "changed"),
        ((DIES, DIES), "confirmed_crash_both", "held", "held"),
        ((DIES, ALL_DIE), "confirmed_crash_both", "open", "open"),
        ((FASTER, ALL_DIE), "crash_one", "open", "open"),
        ((FASTER, steady(10, 10.3)), "portable_latency_shift", "open", "open"),
        (
            (FASTER, lambda slot: RowStatus.NOT_RUN),
            f"missing_{A100}",
            "open",
            "open",
        ),
    ],
)
def test_conditions_over_two_regimes(
    behaviours: tuple[Any, Any], verdict: str, quality: str, gate: str
) -> None:
    merged = _merged(*behaviours, axes={})
    subject = next(each for each in merged.conditions if each.arm is Arm.SUBJECT)
    assert (subject.portability.verdict, subject.qualitative) == (verdict, quality)
    assert merged.cross_regime.status == gate
    assert f"Conditions: {gate}." in render_merge(merged)


def test_gate_5_is_judged_by_the_verdicts_of_the_runs() -> None:
    same, flip, single = (
        _merged(FASTER, FASTER),
        _merged(FASTER, SLOWER),
        merge([kept(gain_case(), "a"), kept(gain_case(), "b")]),
    )
    assert [each.gate.verdict for each in (same, flip, single)] == ["pass", "pass", "open"]
    assert "changes, and is stated" in flip.gate.evidence[0]
    assert "Gate 5 (cross regime): pass" in render_merge(same)


def test_a_run_whose_gate_fails_shows_nothing() -> None:
    run = kept(gain_case(axes={}), "bad", gpu=ADA)
    verdict = run.verdict.model_copy(
        update={"reasons": ("gate_failed",), "outcome": Outcome.INVALID}
    )
    merged = merge([replace(run, verdict=verdict), kept(gain_case(axes={}), "good", gpu=A100)])
    assert merged.cross_regime.status == "open"
    assert merged.gate.verdict == "open"
    assert any("A gate of bad fails" in note for note in merged.notes)


def test_one_regime_leaves_the_gate_open_and_compares_repeats() -> None:
    merged = merge([kept(gain_case(axes={}), "a"), kept(gain_case(axes={}), "b")])
    assert merged.conditions == ()
    assert merged.cross_regime.status == "open"
    (repeats,) = merged.repeats
    assert repeats.guard.status == "equivalent"
    assert repeats.spread.value == pytest.approx(0.0, abs=1e-9)


def test_a_baseline_that_moves_between_runs_drifts() -> None:
    runs = [kept(gain_case(steady(mean, 5.5), axes={}), f"r{mean}") for mean in (20.493, 22.183)]
    (repeats,) = merge(runs).repeats
    assert repeats.guard.status == "drift"
    assert repeats.spread.value == pytest.approx(100 * (22.183 / 20.493 - 1), abs=1e-6)


def _always(mean: float) -> Behaviour:
    return lambda slot: mean


def test_the_spread_of_c6_as_published() -> None:
    runs = [kept(gain_case(_always(mean), axes={}), f"r{mean}") for mean in (24.609, 24.628)]
    (repeats,) = merge(runs).repeats
    assert repeats.spread.value == pytest.approx(0.08, abs=0.005)
    assert repeats.guard.status == "open"  # no spread over invocations: nothing is shown


def test_a_crash_in_one_repeat_is_a_crash_of_the_regime() -> None:
    runs = [
        kept(gain_case(axes={}), "a", gpu=ADA),
        kept(gain_case(DIES, axes={}), "b", gpu=ADA),
        kept(gain_case(axes={}), "c", gpu=A100),
    ]
    merged = merge(runs)
    subject = next(each for each in merged.conditions if each.arm is Arm.SUBJECT)
    assert subject.portability.verdict == "crash_one"
    assert subject.portability.crash_rates == {ADA: 0.5, A100: 0.0}


def test_repeats_do_not_share_processes() -> None:
    runs = [
        kept(gain_case(axes={}), name, gpu=gpu)
        for name, gpu in (("a", ADA), ("b", ADA), ("c", A100))
    ]
    subject = next(each for each in merge(runs).conditions if each.arm is Arm.SUBJECT)
    assert subject.portability.ratio.n["invocations"] == 15


def test_the_record_reads_back_and_is_the_same_every_time() -> None:
    merged = _merged(FASTER, SLOWER)
    assert Merged.model_validate_json(merged.to_json()) == merged
    assert merged.to_json() == _merged(FASTER, SLOWER).to_json()
