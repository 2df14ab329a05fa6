"""Axis attribution on any number of axes, with points missing, undecided or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from reprokit.records import Scalar
from reprokit.verdict.attribution import attribute
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import AxisEffect, PointVerdict

YES, NO, OPEN = Outcome.REPRODUCED, Outcome.NO_SURVIVORS, Outcome.INVALID


def _point(axes: Mapping[str, Scalar], outcome: Outcome) -> PointVerdict:
    return PointVerdict(
        point="-".join(map(str, axes.values())),
        cells=("all",),
        axes=dict(axes),
        outcome=outcome,
        on_figures=outcome,
        reasons=(),
        clause="",
        estimates=(),
        strata=(),
        survival=(),
        failures=(),
        invocations=(),
        labels=(),
        identity=(),
        regime=(),
    )


def _attribute(
    axes: dict[str, tuple[Scalar, ...]], outcomes: Mapping[tuple[Scalar, ...], Outcome | None]
) -> dict[str, AxisEffect]:
    points = [
        _point(dict(zip(axes, place, strict=True)), outcome)
        for place, outcome in outcomes.items()
        if outcome is not None
    ]
    return {effect.axis: effect for effect in attribute(points, axes, axes)}


def test_one_axis_changes_the_outcome_and_the_other_does_not() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.3", "3.6")}
    effects = _attribute(
        axes, {place: YES if place[0] == "head" else NO for place in product(*axes.values())}
    )
    assert effects["sha"].effect == "changes"
    assert effects["sha"].interacts_with == ()
    assert [pair.held for pair in effects["sha"].changed] == [{"triton": "3.3"}, {"triton": "3.6"}]
    assert effects["sha"].changed[0].outcomes == (NO, YES)
    assert effects["triton"].effect == "no_change"
    assert effects["triton"].settings == 2


def test_an_interaction_names_the_other_axis() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {
        "sha": ("pinned", "head"), "triton": ("3.3", "3.6"), "torch": ("2.7", "2.8"),
    }  # fmt: skip
    effects = _attribute(
        axes,
        {place: NO if place[:2] == ("pinned", "3.6") else YES for place in product(*axes.values())},
    )
    assert effects["sha"].interacts_with == ("triton",)
    assert effects["triton"].interacts_with == ("sha",)
    assert effects["torch"].effect == "no_change"


def test_an_undecided_point_is_neither_equal_nor_different() -> None:
    effects = _attribute({"sha": ("a", "b", "c")}, {("a",): YES, ("b",): YES, ("c",): OPEN})
    assert effects["sha"].effect == "cannot_tell"
    assert effects["sha"].missing == ("sha c",)
    effects = _attribute({"sha": ("a", "b", "c")}, {("a",): YES, ("b",): NO, ("c",): OPEN})
    assert effects["sha"].effect == "changes"
    assert effects["sha"].settings_decided == 0


def test_two_undecided_outcomes_are_no_change_of_outcome() -> None:
    effects = _attribute({"sha": ("a", "b")}, {("a",): OPEN, ("b",): Outcome.INCONCLUSIVE})
    assert effects["sha"].effect == "cannot_tell"
    assert effects["sha"].changed == ()


def test_an_axis_with_one_value_cannot_be_told() -> None:
    effects = _attribute({"sha": ("a",)}, {("a",): YES})
    assert (effects["sha"].effect, effects["sha"].settings) == ("cannot_tell", 0)


def test_no_points_at_all() -> None:
    assert _attribute({"sha": ("a", "b")}, {})["sha"].effect == "cannot_tell"
    assert attribute([], {}, ()) == ()


def test_one_at_a_time_compares_along_each_line_through_the_base() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("a", "b"), "triton": ("1", "2", "3")}
    effects = _attribute(axes, {("a", "1"): YES, ("b", "1"): NO, ("a", "2"): YES, ("a", "3"): YES})
    assert effects["sha"].effect == "changes"
    assert effects["triton"].effect == "no_change"
    assert effects["triton"].settings == 1


def test_points_that_differ_in_two_axes_are_not_compared() -> None:
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("a", "b"), "triton": ("1", "2")}
    effects = _attribute(axes, {("a", "1"): YES, ("b", "2"): NO})
    assert {effect.effect for effect in effects.values()} == {"cannot_tell"}


AXES: dict[str, tuple[Scalar, ...]] = {"x": (1, 2, 3), "y": ("a", "b"), "z": (0.5, 1.5)}
PLACES = list(product(*AXES.values()))


@given(st.lists(st.sampled_from([YES, NO, OPEN, None]), min_size=12, max_size=12))
def test_the_effect_is_what_pairwise_comparison_says(outcomes: Sequence[Outcome | None]) -> None:
    known = dict(zip(PLACES, outcomes, strict=True))
    effects = _attribute(AXES, known)
    for index, axis in enumerate(AXES):
        differs = any(
            {known[first], known[second]} == {YES, NO}
            for first, second in product(PLACES, PLACES)
            if [i for i in range(3) if first[i] != second[i]] == [index]
        )
        assert (effects[axis].effect == "changes") == differs
        if effects[axis].effect == "no_change":
            assert not effects[axis].missing


@given(
    st.lists(st.sampled_from([YES, NO, OPEN]), min_size=12, max_size=12),
    st.permutations(range(12)),
)
def test_the_order_of_points_does_not_matter(
    outcomes: Sequence[Outcome], order: Sequence[int]
) -> None:
    known = dict(zip(PLACES, outcomes, strict=True))
    there = _attribute(AXES, known)
    back = _attribute(AXES, {PLACES[i]: known[PLACES[i]] for i in order})
    for axis in AXES:
        assert there[axis].effect == back[axis].effect
        assert set(there[axis].interacts_with) == set(back[axis].interacts_with)
        assert len(there[axis].changed) == len(back[axis].changed)


def test_on_other_hardware_an_axis_is_told_by_why_the_claim_does_not_transfer() -> None:
    def lost(sha: str, triton: str, on_figures: Outcome) -> PointVerdict:
        point = _point({"sha": sha, "triton": triton}, Outcome.DOES_NOT_TRANSFER)
        return point.model_copy(update={"on_figures": on_figures})

    points = [
        lost("pinned", "3.4", NO),
        lost("pinned", "3.6", NO),
        lost("head", "3.4", NO),
        lost("head", "3.6", Outcome.EXCEEDS),
    ]
    axes: dict[str, tuple[Scalar, ...]] = {"sha": ("pinned", "head"), "triton": ("3.4", "3.6")}
    effects = {effect.axis: effect for effect in attribute(points, axes, axes)}

    assert effects["sha"].effect == "changes"
    assert not effects["sha"].decides, "it changes how the claim fails, not whether"
    assert effects["sha"].interacts_with == ("triton",)
    assert [(pair.held, pair.outcomes) for pair in effects["sha"].changed] == [
        ({"triton": "3.6"}, (NO, Outcome.EXCEEDS))
    ]


def test_a_share_that_is_lost_stays_decided_where_the_ratio_is_not() -> None:
    points = [
        _point({"sha": sha}, Outcome.DOES_NOT_TRANSFER).model_copy(
            update={"on_figures": Outcome.INCONCLUSIVE}
        )
        for sha in ("pinned", "head")
    ]
    (effect,) = attribute(points, {"sha": ("pinned", "head")}, {"sha"})
    assert effect.effect == "no_change"
