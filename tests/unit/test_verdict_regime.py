"""Hardware: on any other than the claim's, or on one that cannot be told, nothing is reproduced."""

from __future__ import annotations

from typing import Any

import pytest
from scored_case import Case, broken, steady

from reprokit.records import Arm, Evidence, RowStatus
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import PointVerdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
A100 = {
    "type": "cuda",
    "name": "NVIDIA A100-SXM4-80GB",
    "sm": "sm_80",
    "memory_bytes": 85_094_825_984,
    "power_limit_w": 330.0,
}
H200 = {"type": "cuda", "name": "NVIDIA H200", "sm": "sm_90", "memory_bytes": 150_000_000_000}
CLAIMED = {"gpu": "A100-SXM4-80GB", "sm": "sm_80", "vram_gb": 80.0, "power_limit_w": 330.0}


def _score(
    subject: float,
    device: dict[str, Any],
    regime: dict[str, Any] | None = None,
    *,
    ran_on: str | None = "cuda",
    expect: dict[str, Any] | None = None,
    baseline: float = 10.0,
    options: dict[str, Any] | None = None,
) -> PointVerdict:
    case = Case(
        expect or VALUE,
        steady(baseline, subject),
        axes={},
        device=device,
        regime=CLAIMED if regime is None else regime,
    )
    rows = [
        row.model_copy(update={"evidence": Evidence(device=ran_on, compile=row.evidence.compile)})
        for row in case.rows
    ]
    setup = case.plan.setup.model_copy(update={"device": "cuda", "options": options or {}})
    plan = case.plan.model_copy(update={"setup": setup})
    (point,) = score(case.claim, plan, case.ready_points, rows).points
    return point


def test_the_claims_own_hardware_reproduces() -> None:
    point = _score(105.0, A100)
    assert point.outcome is Outcome.REPRODUCED
    assert {part.status for part in point.regime} == {"match"}


def test_a_claim_without_a_regime_is_about_any_machine() -> None:
    assert Case(VALUE, steady(10, 105), axes={}, device={}).score().outcome == "reproduced"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("name", "NVIDIA A100-PCIE-40GB"),
        ("sm", "sm_90"),
        ("memory_bytes", 42_000_000_000),
        ("power_limit_w", 400.0),
        ("type", "cpu"),
    ],
)
def test_one_differing_part_is_enough(part: str, value: Any) -> None:
    ran_on = "cpu" if part == "type" else "cuda"
    point = _score(105.0, {**A100, part: value}, ran_on=ran_on)
    assert point.outcome is Outcome.TRANSFERS
    assert point.reasons[0] == "other_regime"
    assert point.on_figures is Outcome.REPRODUCED


@pytest.mark.parametrize("part", ["name", "sm", "memory_bytes", "power_limit_w"])
def test_cannot_tell_is_not_a_match(part: str) -> None:
    device = {key: value for key, value in A100.items() if key != part}
    point = _score(105.0, device)
    assert point.outcome is Outcome.TRANSFERS
    assert point.reasons[0] == "regime_unknown"


def test_a_silent_benchmark_on_a_machine_with_a_gpu_cannot_be_told() -> None:
    assert _score(105.0, A100, ran_on=None).reasons[0] == "regime_unknown"


def test_a_run_on_the_cpu_of_a_machine_with_the_right_gpu_does_not_match() -> None:
    assert _score(105.0, A100, ran_on="cpu").outcome is Outcome.TRANSFERS
    assert _score(105.0, A100, {"device": "cpu"}, ran_on="cpu").outcome is Outcome.REPRODUCED


@pytest.mark.parametrize(
    ("claimed", "measured", "same"),
    [
        ("A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB", True),
        ("A100", "NVIDIA A100-PCIE-40GB", True),
        ("NVIDIA A100 80 GB", "NVIDIA A100-SXM4-80GB", True),
        ("H100", "NVIDIA H100 80GB HBM3", True),
        ("A100-SXM4-80GB", "NVIDIA A100-PCIE-40GB", False),
        ("H100", "NVIDIA H200", False),
        ("RTX 4080", "NVIDIA GeForce RTX 4080 SUPER", False),
        ("RTX 4080", "NVIDIA GeForce RTX 4080 Laptop GPU", False),
        ("RTX 4080 SUPER", "NVIDIA GeForce RTX 4080 SUPER", True),
    ],
)
def test_names_of_gpus(claimed: str, measured: str, same: bool) -> None:
    point = _score(105.0, {"type": "cuda", "name": measured}, {"gpu": claimed})
    assert (point.outcome is Outcome.REPRODUCED) is same


@pytest.mark.parametrize(
    ("options", "outcome"),
    [({"batch_size": 1}, "reproduced"), ({"batch_size": 8}, "transfers"), ({}, "transfers")],
)
def test_the_batch_belongs_to_the_regime(options: dict[str, Any], outcome: str) -> None:
    assert _score(105.0, A100, {**CLAIMED, "batch": 1}, options=options).outcome == outcome


def test_a_claimed_speed_up_that_is_a_slow_down_here() -> None:
    expect = {"kind": "gain", "metric": "tokps", "at_least": 0.0}
    assert _score(50.0, H200, expect=expect, baseline=60.0).outcome == "does_not_transfer"


def test_the_benchmarks_own_word_on_the_batch_comes_first() -> None:
    case = Case(VALUE, steady(10, 105), axes={}, regime={"device": "cpu", "batch": 1})
    setup = case.plan.setup.model_copy(update={"options": {"batch_size": 1}})
    plan = case.plan.model_copy(update={"setup": setup})
    evidence = Evidence(device="cpu", extra={"batch": 4})
    rows = [row.model_copy(update={"evidence": evidence}) for row in case.rows]
    (point,) = score(case.claim, plan, case.ready_points, rows).points
    assert point.outcome is Outcome.TRANSFERS


def test_another_figure_with_the_advantage_kept() -> None:
    point = _score(190.0, H200)
    assert point.outcome is Outcome.TRANSFERS_SHIFTED
    assert "exceeds" in point.reasons


def test_another_figure_without_the_advantage() -> None:
    assert _score(60.0, H200, baseline=100.0).outcome is Outcome.DOES_NOT_TRANSFER


def test_an_open_advantage_is_not_decided() -> None:
    point = _score(60.0, H200, baseline=60.0)
    assert point.outcome is Outcome.INCONCLUSIVE
    assert point.reasons[0] == "speedup_unclear"


@pytest.mark.parametrize(
    ("expect", "outcome"),
    [
        ({"kind": "gain", "metric": "tokps", "at_least": 95.0}, "transfers_shifted"),
        ({"kind": "gain", "metric": "tokps", "at_most": -3.0}, "does_not_transfer"),
        ({"kind": "gain", "metric": "tokps", "at_most": 0.0}, "does_not_transfer"),
        (
            {"kind": "gain", "metric": "tokps", "at_least": -5.0, "at_most": 5.0},
            "transfers_shifted",
        ),
        ({"kind": "gain", "metric": "tokps", "at_least": 0.0}, "transfers"),
        ({"kind": "equivalence", "metric": "tokps"}, "does_not_transfer"),
        ({"kind": "stability", "equals": 0.0}, "transfers"),
        ({"kind": "stability", "equals": 1.0}, "does_not_transfer"),
    ],
)
def test_other_kinds_on_other_hardware(expect: dict[str, Any], outcome: str) -> None:
    assert _score(105.0, H200, expect=expect).outcome == outcome


def test_nothing_is_reproduced_elsewhere() -> None:
    for subject in (50.0, 104.9, 107.5, 200.0):
        assert _score(subject, H200).outcome is not Outcome.REPRODUCED


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (RowStatus.CRASH, Outcome.DOES_NOT_TRANSFER),
        (RowStatus.SILENT_FALLBACK, Outcome.SILENT_FALLBACK),
        (RowStatus.CONTAMINATED, Outcome.INVALID),
    ],
)
def test_failures_elsewhere(status: RowStatus, outcome: Outcome) -> None:
    behaviour = broken(lambda slot: slot.arm is Arm.SUBJECT, status, steady(10, 105))
    (point,) = Case(VALUE, behaviour, axes={}, regime=CLAIMED, device=H200).score().points
    assert point.outcome is outcome


def test_the_identity_shows_asked_beside_measured() -> None:
    point = _score(105.0, H200)
    identity = {part.name: part for part in point.identity}
    assert list(identity) == ["gpu", "triton", "torch", "cache", "compile mode", "code"]
    assert (identity["gpu"].asked, identity["gpu"].measured) == ("A100-SXM4-80GB", "NVIDIA H200")
    assert identity["gpu"].status == "differs"
    assert identity["torch"].status == "match"
    assert identity["code"].status == "match"
    assert identity["compile mode"].measured == "compiled"


def test_a_version_that_is_not_the_one_asked_for_is_told() -> None:
    case = Case(VALUE, steady(10, 105), axes={})
    ready = case.ready_points["point"]
    assert ready.probe is not None
    other = ready.probe.distributions[0].model_copy(update={"version": "2.8.0"})
    probe = ready.probe.model_copy(update={"distributions": (other,)})
    changed = {"point": ready.model_copy(update={"probe": probe, "commit": "0" * 40})}
    (point,) = score(case.claim, case.plan, changed, case.rows).points
    identity = {part.name: part.status for part in point.identity}
    assert (identity["torch"], identity["code"]) == ("differs", "differs")
