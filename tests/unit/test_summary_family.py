"""Runs of several claims: the family of their decisions, adjusted by Holm's step-down."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from kept_runs import GAIN, kept
from scored_case import Behaviour, Case, Slot, broken, steady

from reprokit.kept.records import KeptRun
from reprokit.records import Arm, RowStatus, Scalar
from reprokit.report.summary import render_summary
from reprokit.stats.family import holm
from reprokit.summary.decisions import NO_TEST
from reprokit.summary.family import family_of, scored
from reprokit.summary.summarize import summarize
from reprokit.verdict.outcome import Outcome

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
