"""Runs of several claims: the family with Holm, TR147's headline matrix and status table."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from kept_runs import kept, saved
from scored_case import Behaviour, Case, Slot, broken, steady

from reprokit.cli.main import invoke
from reprokit.kept.records import KeptRun
from reprokit.matrix.claims import MatrixClaim, make_claims
from reprokit.matrix.load import load_matrix
from reprokit.matrix.selection import Selection
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.summary import render_summary
from reprokit.stats.family import holm
from reprokit.summary.decisions import NO_TEST
from reprokit.summary.family import family_of, scored
from reprokit.summary.records import Shown, Summary
from reprokit.summary.statuses import measured_status
from reprokit.summary.study import load_study
from reprokit.summary.summarize import summarize
from reprokit.verdict.outcome import Outcome

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
ADA = "NVIDIA RTX 6000 Ada Generation"


def _run(subject: Any, name: str, expect: dict[str, Any] | None = None, **more: Any) -> KeptRun:
    behaviour = subject if callable(subject) else steady(10, subject)
    more.setdefault("axes", {})
    return kept(Case(expect or GAIN, behaviour, **more), name)


def _dying(invocations: int, subject: float) -> Behaviour:
    """The first invocations of the subject crash."""
    return broken(
        lambda slot: slot.arm is Arm.SUBJECT and slot.invocation < invocations,
        RowStatus.CRASH,
        steady(10, subject),
    )


# The family.

SUBJECTS = (
    5.0,
    5.4,
    5.5,
    5.6,
    5.85,
    5.9,
    5.95,
    6.0,
    6.05,
    6.1,
    6.2,
    9.7,
    9.8,
    10.0,
    10.2,
    10.35,
    11,
)


@pytest.mark.parametrize(
    "expect",
    [
        GAIN,
        {"kind": "gain", "metric": "latency_ms", "at_least": 44.0, "at_most": 46.0},
        {"kind": "equivalence", "metric": "latency_ms", "margin": 1.03},
        {"kind": "value", "metric": "latency_ms", "value": 6.0, "unit": "ms", "margin": 1.03},
        {"kind": "stability", "at_most": 0.5},
        {"kind": "stability", "equals": 0.5},
    ],
)
@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
def test_a_point_is_decided_exactly_where_its_p_is_at_most_alpha(
    expect: dict[str, Any], level: float
) -> None:
    """One p-value is the whole decision table: the verdict and the family never disagree."""
    seen = set()
    stability = expect["kind"] == "stability"
    for subject, failing in product(SUBJECTS[:1] if stability else SUBJECTS, range(13)):
        if failing and not stability:
            continue
        behaviour = _dying(failing, subject)
        protocol = {"protocol": {"level": level}}
        count = 12 if stability else 5
        run = _run(behaviour, "run", expect, claim_extra=protocol, invocations=count)
        (member,) = family_of([scored(run)]).members
        seen.add(member.outcome.decided)
        if member.p.value is None:
            assert member.p.reason == NO_TEST
            assert member.outcome is Outcome.REPRODUCED
            continue
        assert (member.p.value <= 1 - level + 1e-12) == member.outcome.decided, (subject, failing)
        assert member.in_family is member.outcome  # a family of one is adjusted by nothing
    assert seen == {True, False}


def test_holm_takes_back_what_only_stands_alone() -> None:
    """A decision at p = 0.03 does not survive beside others; a clear one does."""
    runs = [_run(5.5, "clear"), *(_run(5.9, f"weak{n}") for n in range(4))]
    alone = summarize(runs[1:2]).family[0]
    assert alone.outcome is Outcome.REPRODUCED
    assert alone.p.value is not None
    assert 0.0125 < alone.p.value <= 0.05
    summary = summarize(runs)
    assert [each.outcome for each in summary.claims] == [Outcome.REPRODUCED] * 5
    assert [each.in_family for each in summary.claims] == [
        Outcome.REPRODUCED,
        *[Outcome.INCONCLUSIVE] * 4,
    ]
    expected = holm({each.run: each.p for each in summary.family}, 0.05)
    for member in summary.family:
        assert member.adjusted.value == expected[member.run].p.value
    assert "stay decided" in render_summary(summary)


def test_nothing_becomes_decided_in_a_family() -> None:
    runs = [
        _run(5.5, "a"),
        _run(6.02, "open"),
        _run(lambda slot: RowStatus.NOT_RUN, "lost"),
        _run(broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.CRASH, steady(10, 5)), "dead"),
    ]
    found = {each.run: each for each in summarize(runs).family}
    assert found["open"].in_family is Outcome.INCONCLUSIVE
    assert (found["lost"].p.value, found["lost"].p.reason) == (None, "invalid")
    assert found["lost"].in_family is Outcome.INVALID
    # That nothing survived is seen, not tested; it stays, and takes its place in the size.
    assert (found["dead"].in_family, found["dead"].p.reason) == ("no_survivors", "no_survivors")
    assert "family of 4" in (found["a"].adjusted.method)


def test_a_run_whose_gate_fails_decides_nothing_in_the_family() -> None:
    run = _run(5.5, "bad")
    verdict = run.verdict.model_copy(
        update={"reasons": ("gate_failed",), "outcome": Outcome.INVALID}
    )
    summary = summarize([replace(run, verdict=verdict), _run(5.5, "good")])
    bad, good = summary.family
    assert (bad.outcome, bad.in_family, bad.p.reason) == ("invalid", "invalid", "invalid")
    assert good.in_family is Outcome.REPRODUCED
    assert summary.claims[0].in_family is Outcome.INVALID


def test_a_claim_about_an_axis_is_drawn_anew() -> None:
    def behave(slot: Slot) -> float:
        return float(steady(10, 5.5 if slot.axes["sha"] == "head" else 6.08)(slot))

    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head")}
    run = kept(Case({"kind": "flip", "axis": "sha", "of": GAIN}, behave, axes=axes), "flip")
    assert run.verdict.outcome is Outcome.REPRODUCED
    others = [_run(6.02, f"open{n}") for n in range(6)]
    found = summarize([run, *others]).claims[0]
    assert (found.outcome, found.in_family) == (Outcome.REPRODUCED, Outcome.INCONCLUSIVE)
    assert (found.decided, found.left, found.points) == (2, 1, 2)


def test_the_strictest_level_is_the_familys() -> None:
    strict = {"claim_extra": {"protocol": {"level": 0.99}}}
    assert summarize([_run(5.5, "a"), _run(5.5, "b", **strict)]).alpha == 0.01


def test_differences_are_a_family_of_their_own_and_decide_nothing() -> None:
    cells: list[dict[str, Scalar]] = [{"token_len": 1}, {"token_len": 8}]
    summary = summarize([_run(5.5, "a", cells=cells), _run(10.0, "b", cells=cells)])
    assert [each.rejected for each in summary.comparisons] == [True, True, False, False]
    assert "family of 4" in summary.comparisons[0].adjusted.method
    assert summary.study is None
    assert "Headline" not in render_summary(summary)


# The study.


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
