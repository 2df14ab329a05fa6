"""What disturbs a measurement on a GPU, and what is unknown and must not count as undisturbed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from telemetry_lines import STRANGER, device, end, good, sample, saved, window

from reprokit.gpu.judge import event_names, judge
from reprokit.gpu.telemetry import read_telemetry
from reprokit.records import GpuState

FOREIGN = {"own": 1, "foreign": [STRANGER], "why": None}


def changed(place: int, line: dict[str, Any]) -> list[dict[str, Any]]:
    lines = good()
    lines[place] = line
    return lines


def test_all_seen_and_nothing_disturbed_is_clean(tmp_path: Path) -> None:
    found = judge(saved(tmp_path, good()))
    assert (found.state, found.reason) == (GpuState.CLEAN, None)


@pytest.mark.parametrize(
    ("bit", "name"),
    [
        (0x8, "hardware_slowdown"),
        (0x20, "software_thermal_slowdown"),
        (0x40, "hardware_thermal_slowdown"),
        (0x80, "power_brake"),
    ],
)
def test_throttling_contaminates(tmp_path: Path, bit: int, name: str) -> None:
    hot = window(104.0, events=4 | bit, events_n={"4": 9, str(bit): 2})
    found = judge(saved(tmp_path, changed(6, hot)))
    assert found.state is GpuState.CONTAMINATED
    assert found.reason == f"throttled: {name} in 2 % of the samples"


def test_the_power_cap_and_idling_are_no_disturbance(tmp_path: Path) -> None:
    capped = window(104.0, events=0x4 | 0x1 | 0x2 | 0x10 | 0x100, events_n={"4": 10})
    assert judge(saved(tmp_path, changed(6, capped))).state is GpuState.CLEAN


def test_throttling_while_another_part_was_measured_does_not_count(tmp_path: Path) -> None:
    hot = window(101.0, events=0x40, events_n={"64": 10})
    telemetry = saved(tmp_path, changed(3, hot))
    assert judge(telemetry).state is GpuState.CONTAMINATED
    assert judge(telemetry, (105.0, 109.0)).state is GpuState.CLEAN
    assert judge(telemetry, (102.5, 109.0)).state is GpuState.CONTAMINATED


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (1, sample("before", 100.0, processes=FOREIGN)),
        (5, window(103.0, processes=FOREIGN)),
        (-2, sample("after", 110.1, processes=FOREIGN)),
    ],
)
def test_a_foreign_process_contaminates_whenever_it_is_seen(
    tmp_path: Path, place: int, line: dict[str, Any]
) -> None:
    found = judge(saved(tmp_path, changed(place, line)))
    assert found.state is GpuState.CONTAMINATED
    assert found.reason == "foreign_processes: others computed on the GPU: 4242 (python3)"


def test_a_gpu_that_was_busy_before_is_contaminated_even_where_processes_are_hidden(
    tmp_path: Path,
) -> None:
    lines = changed(1, sample("before", 100.0, busy_percent=80))
    lines[0] = device(blind="a container")
    found = judge(saved(tmp_path, lines))
    assert (found.state, found.reason) == (
        GpuState.CONTAMINATED,
        "foreign_load: the GPU was 80 % busy before the benchmark began",
    )


def test_a_lost_gpu_contaminates(tmp_path: Path) -> None:
    found = judge(saved(tmp_path, changed(-1, end(lost="gpu_lost: the GPU is lost"))))
    assert (found.state, found.reason) == (GpuState.CONTAMINATED, "gpu_lost: the GPU is lost")


NO_PERMISSION: dict[str, Any] = {"own": None, "foreign": [], "why": "no permission"}


@pytest.mark.parametrize(
    ("place", "line", "code"),
    [
        (0, device(mig=True), "mig"),
        (0, device(mig=None, unknown={"mig": "no permission"}), "division_unseen: no permission"),
        (0, device(blind="a container: hidden"), "processes_unseen: a container: hidden; 3 MiB"),
        (1, sample("before", 100.0, processes=NO_PERMISSION), "processes_unseen: no permission"),
        (
            1,
            sample("before", 100.0, events=None, unknown={"events": "not supported"}),
            "throttling_unseen: not supported",
        ),
        (5, window(103.0, events=None), "throttling_unseen"),
        (-1, end(longest_gap_s=9.0), "telemetry_gap: nobody looked at the GPU for 9 s"),
        (-1, end(lost="stopped: unknown error"), "telemetry_ended_early: stopped"),
    ],
)
def test_what_cannot_be_seen_is_unknown(
    tmp_path: Path, place: int, line: dict[str, Any], code: str
) -> None:
    found = judge(saved(tmp_path, changed(place, line)))
    assert found.state is GpuState.UNKNOWN
    assert (found.reason or "").startswith(code)


@pytest.mark.parametrize("within", [(1.0, 5.0), (300.0, 304.0), (98.0, 105.0), (104.0, 140.0)])
def test_iterations_that_nobody_looked_at_are_unknown(
    tmp_path: Path, within: tuple[float, float]
) -> None:
    found = judge(saved(tmp_path, good()), within)
    assert found.state is GpuState.UNKNOWN
    assert (found.reason or "").startswith("telemetry_elsewhere")


def test_a_benchmark_that_was_over_before_the_first_look_is_unknown(tmp_path: Path) -> None:
    found = judge(saved(tmp_path, good(seconds=0)))
    assert found.state is GpuState.UNKNOWN


def test_a_gap_as_long_as_the_iterations_is_unknown(tmp_path: Path) -> None:
    telemetry = saved(tmp_path, changed(-1, end(longest_gap_s=4.0)))
    assert judge(telemetry, (103.0, 103.5)).state is GpuState.UNKNOWN
    assert judge(telemetry, (101.0, 109.0)).state is GpuState.CLEAN


def test_a_gpu_on_which_the_benchmark_was_never_seen_is_unknown(tmp_path: Path) -> None:
    nobody = {"own": 0, "foreign": [], "why": None}
    lines = [{**line, "processes": nobody} if line["kind"] == "window" else line for line in good()]
    found = judge(saved(tmp_path, lines))
    assert found.state is GpuState.UNKNOWN
    assert (found.reason or "").startswith("benchmark_unseen")


@pytest.mark.parametrize("missing", [0, 1, -2])
def test_a_missing_part_is_unknown(tmp_path: Path, missing: int) -> None:
    lines = good()
    del lines[missing]
    found = judge(saved(tmp_path, lines))
    assert (found.state, found.reason) == (
        GpuState.UNKNOWN,
        "telemetry_damaged: a part of it is missing",
    )


def test_a_killed_sampler_is_unknown_unless_it_had_seen_something(tmp_path: Path) -> None:
    found = judge(saved(tmp_path, good()[:6]))
    assert found.state is GpuState.UNKNOWN
    assert (found.reason or "").startswith("telemetry_ended_early")
    hot = window(104.0, events=0x40, events_n={"64": 1})
    assert judge(saved(tmp_path, changed(6, hot)[:7])).state is GpuState.CONTAMINATED


def test_a_line_cut_short_is_no_damage_and_another_one_is(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    saved(tmp_path, good())
    whole = path.read_text()
    path.write_text(whole[:-20])
    assert (read_telemetry(path).problem or "").startswith("telemetry_ended_early")
    path.write_text(whole.replace('"kind": "window"', '"kind": "widow"', 1))
    found = judge(read_telemetry(path))
    assert found.state is GpuState.UNKNOWN
    assert (found.reason or "").startswith("telemetry_damaged: telemetry.jsonl:3")


def test_files_that_a_benchmark_replaced_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "telemetry.jsonl"
    missing = judge(read_telemetry(path))
    assert (missing.state, missing.reason) == (
        GpuState.UNKNOWN,
        "no_telemetry: nothing watched the GPU",
    )
    os.mkfifo(path)
    assert "a pipe" in (judge(read_telemetry(path)).reason or "")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "a symbolic link" in (judge(read_telemetry(path)).reason or "")


def test_not_finite_numbers_are_damage(tmp_path: Path) -> None:
    lines = changed(3, window(101.0, power_w=float("nan")))
    found = judge(saved(tmp_path, lines))
    assert (found.reason or "").startswith("telemetry_damaged")


def test_bits_without_a_name_keep_their_number() -> None:
    assert event_names(0x4 | 0x1000) == ("power_cap", "event_0x1000")
