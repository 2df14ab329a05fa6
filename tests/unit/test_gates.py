"""Gates 4 and 5, and what a failed gate means: each has runs in which it fails or cannot tell."""

from __future__ import annotations

from typing import Any

import pytest
from gated_run import PHASES, judged, sound_case, with_its_gates
from hypothesis import given
from hypothesis import strategies as st
from scored_case import broken, steady

from reprokit.gates.cross_regime import RegimeOutcome, judge_regimes
from reprokit.gates.judge import GATES, with_gates
from reprokit.records import RowStatus, Scalar
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Asked, Verdict


def changed_point(verdict: Verdict, **changes: Any) -> Verdict:
    first, *rest = verdict.points
    return verdict.model_copy(update={"points": (first.model_copy(update=changes), *rest)})


def test_a_sound_run_passes_all_but_the_gate_that_needs_another_machine() -> None:
    verdict = with_its_gates(sound_case())
    assert [gate.gate for gate in verdict.gates] == list(GATES)
    assert [gate.verdict for gate in verdict.gates] == ["pass"] * 4 + ["open"]
    assert verdict.model_copy(update={"gates": ()}) == sound_case().score()


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("state", ["pass", "fail", "open"])
def test_only_a_failed_gate_of_the_first_four_takes_the_verdict_back(name: Any, state: Any) -> None:
    before = sound_case().score()
    after = with_gates(before, [GateVerdict(gate=name, verdict=state, evidence=("Seen.",))])
    if state == "fail" and name != "cross_regime":
        assert (after.outcome, after.exit_code) == (Outcome.INVALID, 3)
        assert after.reasons[0] == "gate_failed"
        assert name.replace("_", " ") in after.sentence
        assert after.sentence.endswith(f"Seen. Without that: {before.sentence}")
        assert after.points == before.points
    else:
        assert after.model_copy(update={"gates": ()}) == before


def test_a_failed_gate_does_not_turn_what_was_undecided_into_something_else() -> None:
    gate = GateVerdict(gate="artifact_evidence", verdict="fail", evidence=("Seen.",))
    one = sound_case(invocations=1).score()
    after = with_gates(one, [gate])
    assert (after.outcome, after.exit_code) == (Outcome.INSUFFICIENT, 3)
    assert after.reasons == ("gate_failed", *one.reasons)
    no_environment = with_gates(one.model_copy(update={"exit_code": 4}), [gate])
    assert no_environment.exit_code == 4


def identity(verdict: Verdict, name: str, **changes: Any) -> Verdict:
    """Change a part of the first point's identity, or take it away with `gone`."""
    parts = [part for part in verdict.points[0].identity if part.name != name]
    if "gone" not in changes:
        parts.append(Asked(**{"name": name, "asked": None, "measured": None, **changes}))
    return changed_point(verdict, identity=tuple(parts))


@pytest.mark.parametrize(
    ("name", "part", "state", "says"),
    [
        ("cache", {"gone": True}, "fail", "No cache is stated"),
        ("triton", {"gone": True}, "fail", "No Triton version is stated"),
        ("compile mode", {"gone": True}, "fail", "No compile mode is stated"),
        ("triton", {"status": "unknown"}, "fail", "No Triton version is stated"),
        ("cache", {"status": "not_stated"}, "open", "Nothing says which cache was used"),
        (
            "triton",
            {"asked": "triton==3.3.1", "status": "unknown"},
            "open",
            "Triton is stated as it was asked for (triton==3.3.1)",
        ),
        (
            "cache",
            {"asked": "StaticCache", "measured": "DynamicCache", "status": "differs"},
            "fail",
            "stated as StaticCache, and the benchmark used DynamicCache",
        ),
        ("triton", {"measured": "not installed", "status": "not_stated"}, "pass", "The cache is"),
        (
            "compile mode",
            {"asked": "default", "measured": "fell back to eager", "status": "differs"},
            "pass",
            "The cache is",
        ),
    ],
)
def test_cache_mode_and_triton_stand_beside_every_figure(
    name: str, part: dict[str, Any], state: str, says: str
) -> None:
    case = sound_case()
    gate = judged(case, verdict=identity(case.score(), name, **part))["surfaced_identity"]
    assert gate.verdict == state
    assert says in gate.evidence[0]


@pytest.mark.parametrize(("measured", "state"), [("3.6.0", "pass"), ("3.3.1", "fail")])
def test_an_axis_that_names_another_triton_than_was_measured_is_found(
    measured: str, state: str
) -> None:
    case = sound_case()
    match = "match" if measured == "3.6.0" else "differs"
    verdict = identity(
        case.score(), "triton", asked="triton==3.6.0", measured=measured, status=match
    )
    verdict = changed_point(verdict, axes={"triton": "3.6.0", "phase": "prefill"})
    gate = judged(case, verdict=verdict)["surfaced_identity"]
    assert gate.verdict == state
    assert state == "pass" or "says Triton 3.6.0, and 3.3.1 was measured" in gate.evidence[0]


@pytest.mark.parametrize("axis", ["cache", "compile_mode"])
def test_a_mean_over_caches_or_modes_needs_the_figures_of_each(axis: str) -> None:
    cells: tuple[dict[str, Scalar], ...] = tuple(
        {**cell, axis: value, "cache": value if axis == "cache" else "StaticCache"}
        for cell in PHASES
        for value in ("first", "second")
    )
    case = sound_case(cells=cells)
    verdict = case.score()
    assert len(verdict.points[0].strata) == 2
    assert judged(case, verdict=verdict)["surfaced_identity"].verdict == "pass"
    alone = changed_point(verdict, strata=verdict.points[0].strata[:1])
    gate = judged(case, verdict=alone)["surfaced_identity"]
    assert gate.verdict == "fail"
    assert "first and second and of none of them" in gate.evidence[0]


def test_a_crash_rate_over_caches_says_so() -> None:
    cells: tuple[dict[str, Scalar], ...] = tuple(
        {"phase": "prefill", "cache": value} for value in ("DynamicCache", "StaticCache")
    )
    case = sound_case(axes={}, cells=cells, expect={"kind": "stability", "equals": 0})
    gate = judged(case)["surfaced_identity"]
    assert gate.verdict == "pass"
    assert any("DynamicCache and StaticCache together" in each for each in gate.evidence)


def test_where_nothing_was_tried_there_is_nothing_to_state() -> None:
    failing = broken(lambda slot: True, RowStatus.ENVIRONMENT_FAILED, steady(1, 1))
    assert judged(sound_case(behaviour=failing))["surfaced_identity"].verdict == "open"


HELD = [RegimeOutcome("H200", Outcome.REPRODUCED), RegimeOutcome("A100", Outcome.TRANSFERS)]
FLIPPED = [RegimeOutcome("H200", Outcome.REPRODUCED), RegimeOutcome("A100", Outcome.NO_SURVIVORS)]
UNDECIDED = RegimeOutcome("L40S", Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("outcomes", "combined", "state", "says"),
    [
        ([], None, "open", "nothing to judge it by"),
        (HELD[:1], None, "open", "Decided on 1 regime (H200)"),
        (HELD[:1] * 3, None, "open", "Decided on 1 regime (H200)"),
        (HELD, None, "pass", "held on H200 and A100: the claim holds"),
        (HELD, Outcome.REPRODUCED, "pass", "held on H200 and A100"),
        (FLIPPED, None, "pass", "the claim holds on H200; nothing survived on A100"),
        (FLIPPED, Outcome.DEPENDS, "pass", "changes, and is stated"),
        (FLIPPED, Outcome.REPRODUCED, "fail", "and the verdict says reproduced of all"),
        ([*HELD, UNDECIDED], None, "open", "Inconclusive on L40S"),
        ([HELD[0], UNDECIDED], None, "open", "Inconclusive on L40S"),
        ([HELD[0], RegimeOutcome(None, Outcome.REPRODUCED)], None, "open", "unknown hardware"),
        ([*HELD, RegimeOutcome("H200", Outcome.FALLS_SHORT)], None, "open", "do not agree"),
    ],
)
def test_an_outcome_held_or_its_change_is_stated(
    outcomes: list[RegimeOutcome], combined: Outcome | None, state: str, says: str
) -> None:
    gate = judge_regimes(outcomes, combined=combined)
    assert gate.verdict == state
    assert says in gate.evidence[0]


def test_conditions_are_compared_with_themselves_alone() -> None:
    outcomes = [
        RegimeOutcome("H200", Outcome.REPRODUCED, "prefill"),
        RegimeOutcome("A100", Outcome.REPRODUCED, "prefill"),
        RegimeOutcome("H200", Outcome.FALLS_SHORT, "decode"),
    ]
    gate = judge_regimes(outcomes)
    assert gate.verdict == "open"
    assert "(at decode)" in gate.evidence[0]
    assert "(at prefill)" in gate.evidence[1]


@given(
    st.lists(
        st.builds(
            RegimeOutcome,
            st.sampled_from(["A", "B", "C", None]),
            st.sampled_from([each for each in Outcome if each is not Outcome.DEPENDS]),
        ),
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_fewer_than_two_known_regimes_never_pass_in_any_order(
    outcomes: list[RegimeOutcome], random: Any
) -> None:
    gate = judge_regimes(outcomes)
    shuffled = list(outcomes)
    random.shuffle(shuffled)
    assert judge_regimes(shuffled).verdict == gate.verdict
    known = {each.regime for each in outcomes if each.regime and each.outcome.decided}
    if len(known) < 2:
        assert gate.verdict == "open"
    if gate.verdict == "pass":
        holds = {each.outcome.holds for each in outcomes}
        assert "changes" in gate.evidence[0] or len(holds) == 1
