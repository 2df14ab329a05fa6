"""Joules per token: exact where the counter allows it, null with a reason where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from telemetry_lines import WATTS, device, energy, good, sample, saved, window

from reprokit.gpu.energy import Timed, energies, when_logged


def test_one_long_iteration_has_its_own_figure(tmp_path: Path) -> None:
    (found,) = energies(saved(tmp_path, good()), [Timed(102.05, 106.05, 200)])
    assert found.scope == "iteration"
    assert found.joules == pytest.approx(4 * WATTS, rel=1e-6)
    assert found.joules_per_token == pytest.approx(4 * WATTS / 200, rel=1e-6)
    assert found.sampled_joules == pytest.approx(4 * WATTS, rel=1e-6)
    assert found.reason is None


def test_short_iterations_that_follow_closely_are_taken_together(tmp_path: Path) -> None:
    timed = [Timed(102 + step, 102.95 + step, 100) for step in range(4)]
    found = energies(saved(tmp_path, good()), timed)
    assert {each.scope for each in found} == {"iterations"}
    assert {each.joules_per_token for each in found} == {found[0].joules_per_token}
    assert found[0].joules_per_token == pytest.approx(3.95 * WATTS / 400, rel=1e-6)


@pytest.mark.parametrize(
    ("timed", "reason"),
    [
        ([Timed(102.0, 103.0, 9)], "window_too_short: 1 s, and the counter needs 2 s"),
        (
            [Timed(101.0, 102.0, 9), Timed(107.0, 108.0, 9)],
            "window_too_short: alone, and too much lies between the iterations",
        ),
        ([None], "window_unknown"),
        ([Timed(102.0, 106.0, 0)], "no_tokens"),
        ([Timed(90.0, 104.0, 9)], "counter_unseen"),
        ([Timed(104.0, 140.0, 9)], "counter_unseen"),
    ],
)
def test_no_figure_without_a_window(tmp_path: Path, timed: list[Timed | None], reason: str) -> None:
    for found in energies(saved(tmp_path, good()), timed):
        assert found.joules_per_token is None
        assert (found.reason or "").startswith(reason)


def test_a_counter_that_falls_gives_nothing(tmp_path: Path) -> None:
    lines = good()
    lines[6] = window(104.0, energy=[[104.1, energy(104.1)], [104.5, 7], [104.9, 900]])
    (found,) = energies(saved(tmp_path, lines), [Timed(106.0, 109.0, 9)])
    assert (found.joules_per_token, (found.reason or "").partition(":")[0]) == (
        None,
        "counter_reset",
    )


def test_a_counter_that_hardly_moves_gives_nothing(tmp_path: Path) -> None:
    lines = [
        device(), sample("before", 100.0),
        *(window(100.0 + each, energy=[[100.5 + each, energy(100.5 + each)]]) for each in range(9)),
        sample("after", 110.0),
    ]  # fmt: skip
    (found,) = energies(saved(tmp_path, lines), [Timed(102.0, 106.0, 9)])
    assert (found.reason or "").startswith("counter_too_coarse: it moved 4 times")


def test_no_counter_at_all_says_what_the_driver_said(tmp_path: Path) -> None:
    silent = {"energy_mj": None, "unknown": {"energy_mj": "not supported"}}
    lines = [
        device(), sample("before", 100.0, **silent), window(100.0, energy=[]),
        sample("after", 110.0, energy_mj=None),
    ]  # fmt: skip
    (found,) = energies(saved(tmp_path, lines), [Timed(100.0, 106.0, 9)])
    assert found.reason == "no_counter: not supported"


def test_iterations_taken_together_all_say_what_they_produced(tmp_path: Path) -> None:
    timed = [Timed(102 + step, 102.95 + step, 0 if step == 1 else 100) for step in range(4)]
    found = energies(saved(tmp_path, good()), timed)
    assert {each.joules_per_token for each in found} == {None}
    assert (found[0].reason or "").startswith("window_too_short: alone, and not all")


@pytest.mark.parametrize("mig", [True, None])
def test_an_instance_has_no_counter_of_its_own(tmp_path: Path, mig: bool | None) -> None:
    (found,) = energies(saved(tmp_path, [device(mig=mig), *good()[1:]]), [Timed(102.0, 106.0, 9)])
    assert (found.reason or "").startswith("mig")


def test_nothing_watched_is_the_reason(tmp_path: Path) -> None:
    (found,) = energies(saved(tmp_path, []), [Timed(102.0, 106.0, 9)])
    assert (found.joules_per_token, (found.reason or "").partition(":")[0]) == (
        None,
        "telemetry_ended_early",
    )


def test_sampled_power_stands_beside_the_counter_and_decides_nothing(tmp_path: Path) -> None:
    lines = [line | {"power_w": 100.0} if line["kind"] == "window" else line for line in good()]
    (found,) = energies(saved(tmp_path, lines), [Timed(102.05, 106.05, 200)])
    assert found.joules == pytest.approx(4 * WATTS, rel=1e-6)
    assert found.sampled_joules == pytest.approx(400, rel=1e-6)


def test_a_log_tells_when_an_iteration_was_printed(tmp_path: Path) -> None:
    telemetry = saved(tmp_path, good())  # the log grows by 100 bytes a second
    assert when_logged(telemetry, 350) == pytest.approx(103.5)
    assert when_logged(telemetry, 5000) is None
    assert when_logged(telemetry, 5) is None, "it was there at the first look: since when?"
