"""A second clock beside the one that is reported."""

from __future__ import annotations

import pytest

from adapters.hf_harness.clocks import clocks_disagree


@pytest.mark.parametrize(
    ("reported", "check"), [(0.001, 1.0), (3.0, 1.0), (0.0, 0.4), (10.0, 12.0)]
)
def test_two_times_of_one_call_contradict_each_other(reported: float, check: float) -> None:
    told = clocks_disagree([(reported, check)] * 3)
    assert told is not None
    assert told.startswith(f"two_clocks: {reported:.3g} ms were reported")


def test_one_interruption_between_the_clocks_is_no_contradiction() -> None:
    assert clocks_disagree([(1.0, 1.001), (1.0, 40.0), (1.1, 1.101)]) is None


@pytest.mark.parametrize("timed", [[], [(1.0, None)], [(0.01, 0.012)], [(500.0, 500.3)]])
def test_what_agrees_or_was_timed_once_is_believed(timed: list[tuple[float, float | None]]) -> None:
    assert clocks_disagree(timed) is None
