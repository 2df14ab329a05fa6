"""Runs of a study's claims: TR147's headline matrix and status table, from rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kept_runs import ADA, GAIN, kept, saved
from scored_case import Case, Slot, broken, steady

from reprokit.cli.main import invoke
from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim, make_claims
from reprokit.matrix.load import load_matrix
from reprokit.matrix.selection import Selection
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.summary import render_summary
from reprokit.summary.records import Shown, Summary
from reprokit.summary.statuses import measured_status
from reprokit.summary.study import load_study
from reprokit.summary.summarize import summarize
from reprokit.verdict.outcome import Outcome


@pytest.fixture(scope="module")
def claims() -> dict[str, MatrixClaim]:
    return {each.id: each for each in make_claims(load_matrix("tr147"), Selection())}


def test_the_study_rests_on_claims_that_there_are(claims: dict[str, MatrixClaim]) -> None:
    study = load_study("tr147")
    entries = [
        entry for row in study.headline.rows for cell in row.cells.values() for entry in cell
    ]
    for entry in entries:
        assert bool(entry.claims) != bool(entry.why), entry
        assert set(entry.claims) <= set(claims), entry
    assert len(study.statuses.rows) == 12
    for row in study.statuses.rows:
        evidence = [
            each
            for each in claims.values()
            if each.section == "SS9.1" and each.row["Claim"] == row.claim
        ]
        assert bool(evidence) != bool(row.why), row.claim


def test_every_statement_of_ss9_1_has_its_row(claims: dict[str, MatrixClaim]) -> None:
    named = {each.row["Claim"] for each in claims.values() if each.section == "SS9.1"}
    assert named < {row.claim for row in load_study("tr147").statuses.rows}


def _of_study(
    claims: dict[str, MatrixClaim],
    claim_id: str,
    behaviour: Any,
    expect: dict[str, Any],
    *,
    gpu: str = ADA,
    name: str | None = None,
    **more: Any,
) -> KeptRun:
    """A run of a claim of the study, measured as the behaviour says."""
    regime = {"device": "cuda", "gpu": "RTX 6000 Ada"}
    arms = {Arm.BASELINE: "eager", Arm.SUBJECT: "reduce-overhead"}
    case = Case(
        expect, behaviour, regime=regime, arms=arms, claim_extra={"id": claim_id},
        **{"axes": {}, **more},
    )  # fmt: skip
    run = kept(case, name or claim_id, gpu=gpu)
    return replace(run, claim_text=claims[claim_id].text)


PREFILL = "tr147_v4a_ada_qwen2.5-1.5b_prefill_reduce-overhead_gain"
DECODE = "tr147_v4a_ada_qwen2.5-1.5b_kv_decode_reduce-overhead_crash-rate"
LENGTHS = (1, 8, 32, 128, 512)


def _cells(phase: str) -> list[dict[str, Scalar]]:
    return [{"phase": phase, "cache": "StaticCache", "token_len": each} for each in LENGTHS]


def _past_the_first(slot: Slot) -> bool:
    return slot.arm is Arm.SUBJECT and slot.cell["token_len"] != 1


def _v4a(claims: dict[str, MatrixClaim], **more: Any) -> list[KeptRun]:
    gain = {"kind": "gain", "metric": "latency_ms", "at_least": 74.0, "at_most": 80.0}
    crash = {"kind": "stability", "equals": 0.8}
    decode = broken(_past_the_first, RowStatus.CRASH, steady(10, 10.2))
    return [
        _of_study(claims, PREFILL, steady(21.183, 4.853), gain, cells=_cells("prefill"), **more),
        _of_study(claims, DECODE, decode, crash, cells=_cells("kv_decode"), invocations=12, **more),
    ]


def _shown(summary: Summary, regime: str, column: str, what: str) -> tuple[Shown, ...]:
    row = next(each for each in summary.headline if each.regime.startswith(regime))
    return next(each.measured for each in row.cells[column] if each.what == what)


def test_the_headline_cell_of_tr147_from_rows(claims: dict[str, MatrixClaim]) -> None:
    summary = summarize(_v4a(claims))
    (gain,) = _shown(summary, "Ada v4 StaticCache", "qwen2.5-1.5b", "prefill gain")
    assert gain.estimate.value == pytest.approx(77.09, abs=0.2)
    assert gain.as_published is not None
    assert gain.as_published.value == pytest.approx(77.1, abs=0.2)
    assert (gain.hardware, gain.elsewhere, gain.departs) == (ADA, False, None)
    (crash,) = _shown(summary, "Ada v4 StaticCache", "qwen2.5-1.5b", "decode crash")
    assert crash.as_published is not None
    assert crash.as_published.value == pytest.approx(0.8)
    for column in ("gpt2-class", "llama3.x-1B/3B"):
        assert _shown(summary, "Ada v4 StaticCache", column, "prefill gain") == ()
    report = render_summary(summary)
    assert (
        "| Ada v4 StaticCache (Triton 3.3.1) | gpt2-class | prefill gain | 76.3% | not measured |"
        in report
    )
    assert "77.1%" in report


def test_rows_of_any_claim_are_a_measured_row(claims: dict[str, MatrixClaim]) -> None:
    prefill, decode = summarize(_v4a(claims)).measured_rows
    assert prefill.hardware == ADA
    (cell,) = prefill.cells["unnamed model"]
    assert cell.gain is not None
    assert cell.gain.value == pytest.approx(77.09, abs=0.2)
    assert cell.crash is None
    (cell,) = decode.cells["unnamed model"]
    assert cell.crash is not None
    assert cell.crash.value == pytest.approx(0.8)
    assert cell.token_lens == LENGTHS


def test_cells_that_stopped_early_count_as_much_as_whole_ones(
    claims: dict[str, MatrixClaim],
) -> None:
    _, run = _v4a(claims)
    rows = tuple(
        row.model_copy(update={"status": RowStatus.NOT_RUN, "reason": "stopped_early: 3"})
        if row.status is RowStatus.CRASH and row.invocation >= 3
        else row
        for row in run.rows
    )
    (row,) = summarize([replace(run, rows=rows)]).measured_rows
    crash = next(iter(row.cells.values()))[0].crash
    assert crash is not None
    assert crash.value == pytest.approx(0.8)
    assert crash.n["iterations"] < 5 * 12 * 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda run: replace(run, claim_text=run.claim_text.replace("3", "4")), "edited"),
        (
            lambda run: replace(run, plan=run.plan.model_copy(update={"altered": ("model=tiny",)})),
            "a slice",
        ),
        (
            lambda run: replace(
                run, plan=run.plan.model_copy(update={"altered": ("expect.at_least=0",)})
            ),
            "altered",
        ),
    ],
)
def test_another_statement_under_the_same_id_is_no_evidence(
    claims: dict[str, MatrixClaim], change: Any, told: str
) -> None:
    run, _ = _v4a(claims)
    summary = summarize([change(run)])
    (shown,) = _shown(summary, "Ada v4 StaticCache", "qwen2.5-1.5b", "prefill gain")
    assert shown.departs is not None
    assert shown.departs.startswith(told)
    assert f"no evidence, {told}" in render_summary(summary)


FLIP = "tr147_v4c_hardware_alone_does_not_explain"
STATEMENT = "Hardware alone explains the boundary"


def _flip(claims: dict[str, MatrixClaim], crashes: bool, **more: Any) -> KeptRun:
    behaviour = broken(
        lambda slot: crashes and slot.arm is Arm.SUBJECT and slot.axes["triton"] == "3.3.1",
        RowStatus.CRASH,
        steady(10, 10),
    )
    expect = {"kind": "flip", "axis": "triton", "of": {"kind": "stability", "at_most": 0.0}}
    axes: dict[str, tuple[Scalar, ...]] = {"triton": ("3.3.1", "3.4.0")}
    return _of_study(claims, FLIP, behaviour, expect, axes=axes, **more)


def test_a_rejected_statement_is_confirmed_by_its_contrary(claims: dict[str, MatrixClaim]) -> None:
    def measured(*runs: KeptRun) -> tuple[str, bool]:
        found = next(each for each in summarize(runs).statuses if each.claim == STATEMENT)
        assert found.published == "Rejected"
        return found.measured, found.elsewhere

    assert measured(_flip(claims, crashes=True)) == ("confirmed", False)
    assert measured(_flip(claims, crashes=False)) == ("contradicted", False)
    assert measured(_flip(claims, crashes=True, gpu="NVIDIA H200")) == ("confirmed", True)
    assert measured(_v4a(claims)[0]) == ("not measured", False)
    edited = replace(_flip(claims, crashes=True), claim_text="id: x\nexpect: {kind: gain}\n")
    assert measured(edited) == ("not measured", False)


@pytest.mark.parametrize(
    ("evidence", "status"),
    [
        ([], "not measured"),
        ([[], []], "not measured"),
        ([["reproduced"], ["transfers"]], "confirmed"),
        ([["reproduced"], []], "partly"),
        ([["reproduced"], ["inconclusive"]], "open"),
        ([["inconclusive"], []], "open"),
        ([["reproduced"], ["falls_short"]], "contradicted"),
        ([["reproduced", "no_survivors"], []], "contradicted"),
        ([["inconclusive"], ["depends"]], "contradicted"),
        ([["invalid"]], "open"),
    ],
)
def test_statuses(evidence: list[list[str]], status: str) -> None:
    assert measured_status([[Outcome(one) for one in each] for each in evidence]) == status


# The command.


def test_the_command_regenerates_the_tables_of_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = saved(Case(GAIN, steady(10, 5.5)), tmp_path / "runs")
    assert invoke(["summary", str(run), "--study", "tr147", "--out", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out" / "summary.md").read_text()
    assert "Headline matrix" in report
    assert report.count("not measured") > 50
    capsys.readouterr()
    assert invoke(["summary", str(run), "--json"]) == 0
    found = Summary.model_validate_json(capsys.readouterr().out)
    assert (found.study, found.headline) == (None, ())
    assert invoke(["summary", str(run), "--study", "tr148"]) == 2
    assert "tr147" in capsys.readouterr().err
