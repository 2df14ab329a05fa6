"""A verdict from rows that a GPU was watched for: regime as measured, shares, energy, reports."""

from __future__ import annotations

from typing import Any

import pytest
from scored_case import Case, steady

from reprokit.records import Arm, Energy, Evidence, GpuRecord, GpuState, Row, RowStatus
from reprokit.report.markdown import render_markdown
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

VALUE = {"kind": "value", "metric": "tokps", "value": 104.9, "unit": "tok/s"}
CLAIMED = {"gpu": "A100-80GB", "sm": "sm_80", "vram_gb": 80.0, "power_limit_w": 330.0}
A100: dict[str, Any] = {
    "state": GpuState.CLEAN, "uuid": "GPU-1", "name": "NVIDIA A100-SXM4-80GB", "sm": "sm_80",
    "memory_mib": 81920, "power_limit_w": 330.0, "copy_gbps": 1700.0,
}  # fmt: skip
H200 = {**A100, "name": "NVIDIA H200", "sm": "sm_90", "memory_mib": 143771, "power_limit_w": 700.0}


class Watched:
    """A case measured on a GPU; `gpu` is what every row saw, changed by `each` per row."""

    def __init__(
        self,
        subject: float,
        gpu: dict[str, Any] | None,
        *,
        baseline: float = 10.0,
        regime: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
        each: Any = None,
    ) -> None:
        device = {"type": "cuda", "name": gpu["name"]} if gpu else {"type": "cuda"}
        self.case = Case(
            VALUE, steady(baseline, subject), axes={}, device=device, regime=regime or CLAIMED
        )
        setup = self.case.plan.setup.model_copy(update={"device": "cuda", "options": options or {}})
        self.plan = self.case.plan.model_copy(update={"setup": setup})
        self.rows = [self._row(row, gpu, each) for row in self.case.rows]

    @staticmethod
    def _row(row: Row, gpu: dict[str, Any] | None, each: Any) -> Row:
        bandwidth = {"bandwidth_gbps": 13.2 * row.values["tokps"]}
        record = None
        if gpu is not None:
            record = GpuRecord(**{**gpu, **(each(row) if each else {})})
        return row.model_copy(
            update={
                "evidence": Evidence(device="cuda", compile=row.evidence.compile),
                "values": {**row.values, **bandwidth},
                "gpu": record,
            }
        )

    def verdict(self) -> Verdict:
        return score(self.case.claim, self.plan, self.case.ready_points, self.rows)

    def report(self) -> str:
        case = self.case
        return render_markdown(self.verdict(), case.claim, self.plan, case.ready_points, self.rows)


def outcome(*arguments: Any, **named: Any) -> tuple[Outcome, tuple[str, ...]]:
    (point,) = Watched(*arguments, **named).verdict().points
    return point.outcome, point.reasons


def test_what_was_seen_while_measuring_is_the_regime() -> None:
    (point,) = Watched(105.0, A100).verdict().points
    assert point.outcome is Outcome.REPRODUCED
    assert {part.name for part in point.regime if part.status == "match"} == {
        "device", "gpu", "sm", "vram_gb", "power_limit_w",
    }  # fmt: skip


def test_without_it_the_power_limit_is_not_known_and_nothing_is_reproduced() -> None:
    assert outcome(105.0, None) == (Outcome.TRANSFERS, ("regime_unknown",))


def test_another_power_limit_is_another_regime() -> None:
    assert outcome(105.0, {**A100, "power_limit_w": 400.0}) == (
        Outcome.TRANSFERS,
        ("other_regime",),
    )


def test_a_power_limit_that_was_changed_on_the_way_is_not_the_claims() -> None:
    def each(row: Row) -> dict[str, Any]:
        return {"power_limit_w": 330.0 if row.invocation else 250.0}

    (point,) = Watched(105.0, A100, each=each).verdict().points
    (power,) = [part for part in point.regime if part.name == "power_limit_w"]
    assert (power.measured, power.status) == ("250, 330", "differs")


def test_another_figure_on_other_hardware_with_the_share_kept_is_shifted() -> None:
    found, reasons = outcome(200.0, H200)
    assert found is Outcome.TRANSFERS_SHIFTED
    assert reasons[0] == "other_regime"


def test_a_faster_gpu_of_which_less_than_half_is_used_does_not_transfer() -> None:
    found, reasons = outcome(120.0, H200)
    assert found is Outcome.DOES_NOT_TRANSFER
    assert reasons[0] == "bandwidth_share_lost"
    assert "exceeds" in reasons


def test_a_share_that_cannot_be_told_decides_nothing() -> None:
    unknown = {**H200, "name": "NVIDIA X9000"}
    assert outcome(120.0, unknown)[0] is Outcome.TRANSFERS_SHIFTED


def test_the_share_never_outweighs_a_lost_advantage_or_a_kept_figure() -> None:
    assert outcome(200.0, H200, baseline=400.0)[0] is Outcome.DOES_NOT_TRANSFER
    assert outcome(105.0, H200)[0] is Outcome.TRANSFERS


def test_the_prompt_is_compared_where_the_adapter_has_one() -> None:
    claimed = {**CLAIMED, "prompt": "Hello, my name is"}
    same = outcome(105.0, A100, regime=claimed, options={"prompt": "Hello, my name is"})
    assert same[0] is Outcome.REPRODUCED
    other = outcome(105.0, A100, regime=claimed, options={"prompt": "Once"})
    assert other == (Outcome.TRANSFERS, ("other_regime",))
    assert outcome(105.0, A100, regime=claimed)[0] is Outcome.REPRODUCED
    unchecked = "Whether the prompt is the claim's own was not checked"
    assert unchecked in Watched(105.0, A100, regime=claimed).report()
    checked = Watched(105.0, A100, regime=claimed, options={"prompt": "Once"}).report()
    assert unchecked not in checked


def joules(row: Row) -> dict[str, Any]:
    if row.arm is Arm.BASELINE:
        return {"energy": Energy(reason="counter_reset: it fell")}
    return {"energy": Energy(joules_per_token=2.0 + row.invocation, scope="iteration")}


def test_energy_is_a_mean_of_invocations_or_a_reason() -> None:
    (point,) = Watched(105.0, A100, each=joules).verdict().points
    baseline, subject = point.energy
    assert (subject.name, subject.unit) == ("subject_joules_per_token", "J/token")
    assert subject.value == pytest.approx(4.0)
    assert subject.n == {"invocations": 5, "iterations": 15}
    assert (baseline.value, baseline.reason) == (None, "counter_reset: it fell")


def test_rows_of_two_gpus_are_labelled() -> None:
    def each(row: Row) -> dict[str, Any]:
        return {"uuid": f"GPU-{row.invocation % 2}"}

    assert "several_gpus" in Watched(105.0, A100, each=each).verdict().labels
    assert "several_gpus" not in Watched(105.0, A100).verdict().labels


def test_contaminated_rows_leave_nothing_to_decide() -> None:
    watched = Watched(105.0, A100)
    place = next(i for i, row in enumerate(watched.rows) if row.arm is Arm.SUBJECT)
    watched.rows[place] = watched.rows[place].model_copy(
        update={"status": RowStatus.CONTAMINATED, "reason": "throttled: power_brake"}
    )
    (point,) = watched.verdict().points
    assert (point.outcome, point.reasons[0]) == (Outcome.INVALID, "contaminated")


def test_the_report_shows_gpu_energy_and_ceilings() -> None:
    hidden = {
        **H200, "state": GpuState.UNKNOWN, "reason": "processes_unseen: a container", "copy_gbps":
        4100.0, "sm_mhz": (1200, 1980), "temperature_c": 61, "events": ("power_cap", "idle"),
    }  # fmt: skip
    report = Watched(200.0, hidden, each=joules).report()
    for expected in (
        "## GPU",
        "NVIDIA H200 GPU-1",
        "1200 to 1980",
        "power\\_cap",
        "unknown: 30 rows",
        "unknown, 30 rows: processes\\_unseen: a container",
        "4.000 J/token",
        "none (counter reset: it fell)",
        "4100",
    ):
        assert expected in report, expected


def test_reasons_that_are_left_out_are_counted() -> None:
    def each(row: Row) -> dict[str, Any]:
        return {"state": GpuState.UNKNOWN, "reason": f"processes_unseen: {row.iteration}"}

    assert "other reason" not in Watched(105.0, A100, each=each).report()

    def differing(row: Row) -> dict[str, Any]:
        return {"state": GpuState.UNKNOWN, "reason": f"processes_unseen: {row.id}"}

    assert (
        "- and 24 other reasons, in `rows.jsonl`" in Watched(105.0, A100, each=differing).report()
    )


def test_no_gpu_no_section() -> None:
    assert "## GPU" not in Watched(105.0, None).report()
