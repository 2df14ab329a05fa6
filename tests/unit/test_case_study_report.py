"""Failures side by side over the points, and phases from launches that are not counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from scored_case import FAILURE, Case, Slot, broken, steady

from reprokit.records import Arm, PhaseProbe, Phases, PhaseSample, RowStatus, Scalar
from reprokit.report.case_study_section import failure_shapes_section, phases_section
from reprokit.report.markdown import render_markdown
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score

VALUE = {
    "kind": "value", "metric": "tokps", "value": 105.0, "unit": "tok/s", "statistic": "median",
    "bands": {"strong_match": ">= 90"},
}  # fmt: skip
AXES: dict[str, tuple[Scalar, ...]] = {
    "sha": ("pinned", "head"), "triton": ("3.3.1", "3.4.0", "3.6.0"),
}  # fmt: skip
Shape = Callable[[Mapping[str, Scalar]], str]


def scored(shape: Shape, axes: dict[str, tuple[Scalar, ...]] = AXES) -> tuple[Case, Verdict]:
    """Score a study whose pinned code always fails, with a fingerprint by point."""
    case = Case(
        VALUE,
        broken(
            lambda slot: slot.axes.get("sha") == "pinned" and slot.arm is Arm.SUBJECT,
            RowStatus.CRASH,
            steady(35, 105),
        ),
        axes=axes,
    )
    places = {point.id: point.axes for point in case.points}
    rows = [
        row.model_copy(
            update={
                "failure": FAILURE.model_copy(
                    update={"fingerprint": shape(places[row.point]), "exception": "InductorError"}
                )
            }
        )
        if row.status is RowStatus.CRASH
        else row
        for row in case.rows
    ]
    return case, score(case.claim, case.plan, case.ready_points, rows)


def told(verdict: Verdict) -> str:
    return "\n".join(failure_shapes_section(verdict))


def test_the_shape_of_the_failure_changes_and_the_outcome_does_not() -> None:
    _, verdict = scored(lambda axes: "a" * 12 if axes["triton"] == "3.3.1" else "b" * 12)
    report = told(verdict)
    assert (
        "- Along `triton` (at pinned): **the shape of the failure changes** (2: "
        "`aaaaaaaaaaaa` at `3.3.1`; `bbbbbbbbbbbb` at `3.4.0`, `3.6.0`), but **the outcome does "
        "not** (nothing survived)"
    ) in report
    assert "Along `sha`" not in report, "only one of its values failed"
    assert report.count("0 of 5 (at most 45 %)") == 3
    assert report.count("5 of 5") == 3
    assert "strong_match" in {point.band for point in verdict.points}


def test_equal_failures_are_not_told_apart() -> None:
    _, verdict = scored(lambda axes: "a" * 12)
    report = told(verdict)
    assert "the shape of the failure stays the same (`aaaaaaaaaaaa` at `3.3.1`" in report
    assert "**" not in report.split("- Along")[1]


def test_an_environment_that_failed_is_no_shape_and_leaves_the_outcome_open() -> None:
    """Two crash, one has no environment: nobody knows what would have happened there."""
    missing = "3.6.0"

    def behaviour(slot: Slot) -> RowStatus | float:
        if slot.axes["triton"] == missing:
            return RowStatus.ENVIRONMENT_FAILED
        return RowStatus.CRASH if slot.arm is Arm.SUBJECT else 35.0

    case = Case(VALUE, behaviour, axes={"triton": ("3.3.1", "3.4.0", missing)})
    report = told(score(case.claim, case.plan, case.ready_points, case.rows))
    assert "at `3.3.1`, `3.4.0`), and so does the outcome (nothing survived)" in report
    assert f"as far as it is decided; undecided at `{missing}`" in report
    nowhere = Case(VALUE, lambda slot: RowStatus.ENVIRONMENT_FAILED, axes=AXES)
    assert not told(score(nowhere.claim, nowhere.plan, nowhere.ready_points, nowhere.rows))


def test_on_other_hardware_it_is_still_told_that_nothing_survived() -> None:
    case = Case(
        VALUE,
        broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.CRASH, steady(9, 9)),
        regime={"device": "cuda", "gpu": "A100-80GB"},
    )
    report = told(score(case.claim, case.plan, case.ready_points, case.rows))
    assert "and so does the outcome (does not transfer: nothing survived)" in report


def test_of_another_model_it_is_never_said_that_the_claim_holds() -> None:
    case, _ = scored(lambda axes: "a" * 12)
    plan = case.plan.model_copy(update={"altered": ("model=tiny",)})
    report = told(score(case.claim, plan, case.ready_points, case.rows))
    assert "| holds for the slice |" in report
    assert "| reproduced |" not in report


def test_nothing_is_compared_where_nothing_failed_or_there_is_one_point() -> None:
    case = Case(VALUE, steady(35, 105), axes=AXES)
    assert not failure_shapes_section(score(case.claim, case.plan, case.ready_points, case.rows))
    _, verdict = scored(lambda axes: "a" * 12, {"sha": ("pinned",)})
    assert not failure_shapes_section(verdict)


NOTHING = Phases()


def probe(arm: Arm, phases: Phases = NOTHING, skipped: str | None = None) -> PhaseProbe:
    point = "sha-head_triton-3.6.0"
    return PhaseProbe(
        id=f"{point}__all__{arm}", point=point, cell="all", arm=arm, phases=phases, skipped=skipped
    )


def test_phases_stand_apart_and_their_first_sample_is_not_used() -> None:
    cold = PhaseSample(prefill_ms=9000, decode_ms=9000, decode_steps=199, cold=True)
    warm = [
        PhaseSample(prefill_ms=prefill, decode_ms=1990.0, decode_steps=199)
        for prefill in (90.0, 97.0, 99.0)
    ]
    probes = (
        probe(Arm.SUBJECT, Phases(samples=(cold, *warm), method="so")),
        probe(Arm.BASELINE, skipped="<b>nothing</b> to split"),
        probe(Arm.BASELINE, Phases(samples=(cold,))),
    )
    _, verdict = scored(lambda axes: "a" * 12)
    section = "\n".join(phases_section(verdict, probes))
    assert "| head, triton 3.6.0 | `all` | compiled | 97.00 | 10.00 | 3 | - |" in section
    assert "&lt;b&gt;nothing&lt;/b&gt; to split" in section
    assert "no sample after the first" in section
    assert "no part of the claim's rows" in section
    assert "Timed: so." in section
    assert not phases_section(verdict, ())


def test_the_report_has_both_sections_where_they_belong() -> None:
    case = Case(VALUE, broken(lambda slot: slot.arm is Arm.SUBJECT, RowStatus.CRASH, steady(9, 9)))
    verdict = score(case.claim, case.plan, case.ready_points, case.rows)
    ready = case.ready_points
    report = render_markdown(
        verdict, case.claim, case.plan, ready, case.rows, probes=[probe(Arm.SUBJECT, skipped="no")]
    )
    order = [
        report.index(f"## {title}\n")
        for title in ("Failures over the points", "Failures", "Phases")
    ]
    assert order == sorted(order)
    assert "Along `sha`: the shape of the failure stays the same" in report
