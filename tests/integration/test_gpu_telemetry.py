"""A benchmark on a GPU that is watched: every guard, against a driver's library made for tests."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from fake_nvml import FakeGpus, uuid
from scripted_plan import new_run, run_all, scripted_plan

from reprokit.gpu.recording import recording
from reprokit.gpu.telemetry import FILE, read_telemetry
from reprokit.records import GpuState, Row, RowStatus
from reprokit.run.directory import RunDirectory

pytestmark = pytest.mark.integration

QUICK = {"sleep_s": 0.4}
"""Over soon, and long enough for a few looks at the GPU."""
SLOW = {"latency_ms": {"eager": 300.0, "compiled": 280.0}, "noise": 0.001}


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    return FakeGpus.install(tmp_path, monkeypatch)


def planned(tmp_path: Path, options: dict[str, Any] | None = None, **named: Any) -> RunDirectory:
    plan = scripted_plan(SLOW if options is None else options, device="cuda", **named)
    return new_run(plan, tmp_path / "runs")


def measured(tmp_path: Path, *arguments: Any, **named: Any) -> tuple[Row, ...]:
    return run_all(planned(tmp_path, *arguments, **named), tmp_path / "cache")


@contextmanager
def later(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """Do something so long after a GPU began to be watched."""
    over = threading.Event()

    def act() -> None:
        while not samplers():
            if over.wait(0.02):
                return
        if not over.wait(seconds):
            action()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def samplers() -> list[psutil.Process]:
    """Processes that watch a GPU; those that only look which there are do not count."""
    found = []
    for child in psutil.Process().children():
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if any("reprokit.gpu.sampler" in word for word in words) and words[-1] != "survey":
            found.append(child)
    return found


def states(rows: tuple[Row, ...]) -> set[tuple[str, str]]:
    assert all(row.gpu is not None for row in rows)
    return {
        (row.gpu.state.value, (row.gpu.reason or "").partition(":")[0]) for row in rows if row.gpu
    }


def test_an_undisturbed_run_is_clean_pinned_and_has_its_energy(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    options = {**SLOW, "latency_ms": {"eager": 600.0, "compiled": 600.0}}
    run = planned(tmp_path, options, samples=4)
    rows = run_all(run, tmp_path / "cache")
    assert {row.status for row in rows} == {RowStatus.OK}
    assert states(rows) == {("clean", "")}
    record = rows[0].gpu
    assert record is not None
    assert (record.uuid, record.name, record.sm) == (uuid(0), "NVIDIA A100-SXM4-80GB", "sm_80")
    assert (record.power_limit_w, record.driver, record.cuda) == (330.0, "570.00", "12.8")
    assert (record.ecc, record.mig, record.pcie) == (True, False, "4x16")
    assert (record.temperature_c, record.events, record.power_capped) == (50, ("power_cap",), 1.0)
    for row in rows:
        assert row.gpu is not None
        assert row.gpu.energy.scope == "iterations"
        # 300 W for 0.6 s and 8 tokens
        assert row.gpu.energy.joules_per_token == pytest.approx(22.5, rel=0.06)
    for folder in (run.path / "invocations").iterdir():
        spec = json.loads((folder / "spec.json").read_text())
        assert spec["env"]["CUDA_VISIBLE_DEVICES"] == uuid(0)
        assert (folder / FILE).stat().st_size < 20_000


def test_throttling_on_the_way_contaminates(tmp_path: Path, gpus: FakeGpus) -> None:
    with later(0.4, lambda: gpus.set(0, events=0x44)):
        rows = measured(tmp_path, samples=4)
    lowered = [row for row in rows if row.status is RowStatus.CONTAMINATED]
    assert lowered
    for row in lowered:
        assert (row.reason or "").startswith("throttled: hardware_thermal_slowdown in ")
        assert row.values, "the figures are kept"


def test_a_foreign_process_contaminates_and_our_own_does_not(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    # What runs this test is a child of its parent, which is none of ours.
    gpus.set(0, pids=f"{os.getpid()},{os.getppid()}")
    rows = measured(tmp_path)
    assert {row.status for row in rows} == {RowStatus.CONTAMINATED}
    assert states(rows) == {("contaminated", "foreign_processes")}
    assert f"{os.getppid()} (" in (rows[0].reason or "")
    gpus.set(0, pids=f"{os.getpid()},999999999")
    again = measured(tmp_path / "again", QUICK)
    assert states(again) == {("clean", "")}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pids": "!4"}, "processes_unseen"),
        ({"events": "!4"}, "throttling_unseen"),
        ({"mig": "!4"}, "division_unseen"),
    ],
)
def test_no_permission_is_unknown_and_labelled(
    tmp_path: Path, gpus: FakeGpus, changes: dict[str, Any], code: str
) -> None:
    gpus.set(0, **changes)
    rows = measured(tmp_path, QUICK)
    assert {row.status for row in rows} == {RowStatus.OK}
    assert states(rows) == {("unknown", code)}
    assert all("gpu_unwatched" in row.labels for row in rows)


def test_a_divided_gpu_is_neither_pinned_nor_watched(tmp_path: Path, gpus: FakeGpus) -> None:
    gpus.set(0, mig=1)
    run = planned(tmp_path, QUICK)
    rows = run_all(run, tmp_path / "cache")
    assert states(rows) == {("unknown", "mig")}
    assert {row.gpu.energy.reason for row in rows if row.gpu} == {
        "mig: a GPU of this machine is divided"
    }
    for path in (run.path / "invocations").glob("*/spec.json"):
        assert "CUDA_VISIBLE_DEVICES" not in json.loads(path.read_text())["env"]


def test_a_counter_that_is_reset_gives_no_energy(tmp_path: Path, gpus: FakeGpus) -> None:
    options = {**SLOW, "latency_ms": {"eager": 900.0, "compiled": 900.0}}
    with later(1.0, lambda: gpus.set(0, energy="5+0.001")):
        rows = measured(tmp_path, options, samples=3)
    reasons = [row.gpu.energy.reason or "" for row in rows if row.gpu]
    assert any(each.startswith("counter_reset") for each in reasons)
    assert {row.status for row in rows} == {RowStatus.OK}


def test_a_gpu_without_a_counter_says_so(tmp_path: Path, gpus: FakeGpus) -> None:
    gpus.set(0, energy="!3")
    rows = measured(tmp_path, QUICK)
    (reason,) = {row.gpu.energy.reason for row in rows if row.gpu}
    assert reason == "no_counter: nvmlDeviceGetTotalEnergyConsumption: not supported"


def test_a_lost_gpu_contaminates(tmp_path: Path, gpus: FakeGpus) -> None:
    with later(0.4, lambda: gpus.set(0, temperature="!15")):
        rows = measured(tmp_path, samples=4)
    assert ("contaminated", "gpu_lost") in states(rows)


def test_a_benchmark_that_dies_is_watched_to_its_end(tmp_path: Path, gpus: FakeGpus) -> None:
    run = planned(tmp_path, {"scenarios": {"*subject*": "crash", "*baseline*": "late_crash"}})
    rows = run_all(run, tmp_path / "cache")
    assert {row.status for row in rows} == {RowStatus.CRASH}
    # It may die before the first look.
    assert states(rows) <= {("clean", ""), ("unknown", "telemetry_elsewhere")}
    for path in (run.path / "invocations").glob(f"*/{FILE}"):
        telemetry = read_telemetry(path)
        assert telemetry.end is not None
        assert telemetry.after is not None


def test_a_killed_sampler_leaves_the_benchmark_and_is_unknown(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    def kill() -> None:
        for each in samplers():
            each.send_signal(signal.SIGKILL)

    with later(0.4, kill):
        rows = measured(tmp_path, samples=4)
    assert {row.status for row in rows} == {RowStatus.OK}
    assert ("unknown", "telemetry_ended_early") in states(rows)
    assert not samplers()


def test_a_stopped_sampler_is_ended_and_is_unknown(tmp_path: Path, gpus: FakeGpus) -> None:
    with recording(tmp_path, uuid(0)):
        (sampler,) = samplers()
        sampler.suspend()
    assert not samplers()
    assert (read_telemetry(tmp_path / FILE).problem or "").startswith("telemetry_ended_early")


def test_a_library_that_crashes_takes_nothing_with_it(
    tmp_path: Path, gpus: FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.so"
    broken.write_text("no library")
    monkeypatch.setenv("REPROKIT_NVML", str(broken))
    begun = time.monotonic()
    rows = measured(tmp_path, QUICK)
    assert time.monotonic() - begun < 10
    assert {row.status for row in rows} == {RowStatus.OK}
    assert states(rows) == {("unknown", "no_nvml")}
    assert not samplers()


def test_without_a_gpu_nothing_is_asked(tmp_path: Path, gpus: FakeGpus) -> None:
    plan = scripted_plan({})
    run = new_run(plan, tmp_path / "runs")
    rows = run_all(run, tmp_path / "cache")
    assert {row.gpu for row in rows} == {None}
    assert not list(run.path.rglob(FILE))
    assert not (run.path / "gpus").exists()


def test_a_process_of_several_cells_is_watched_as_one(tmp_path: Path, gpus: FakeGpus) -> None:
    run = planned(tmp_path, QUICK, cells=("a", "b"))
    rows = run_all(run, tmp_path / "cache")
    assert states(rows) == {("clean", "")}
    assert len(list((run.path / "launches").glob(f"*/{FILE}"))) == 2
    assert {(row.gpu.energy.reason or "").partition(":")[0] for row in rows if row.gpu} == {
        "window_unknown"
    }


def test_a_gpu_at_work_before_the_benchmark_is_looked_at_again(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    gpus.set(0, busy=90)
    with later(0.5, lambda: gpus.set(0, busy=0)), recording(tmp_path, uuid(0)):
        pass
    before = read_telemetry(tmp_path / FILE).before
    assert before is not None
    assert before.busy_percent == 0, "our own benchmark had just ended"
    (tmp_path / FILE).unlink()
    gpus.set(0, busy=90)
    begun = time.monotonic()
    with recording(tmp_path, uuid(0)):
        assert time.monotonic() - begun < 4
    before = read_telemetry(tmp_path / FILE).before
    assert before is not None
    assert before.busy_percent == 90


def test_watching_costs_next_to_nothing(tmp_path: Path, gpus: FakeGpus) -> None:
    begun = time.monotonic()
    with recording(tmp_path, uuid(0)):
        started = time.monotonic() - begun
        time.sleep(3)
    end = read_telemetry(tmp_path / FILE).end
    assert end is not None
    assert started < 1.0
    assert end.samples >= 15
    assert end.cpu_s < 0.2, "of one core, in 3 s, with the start of the process"


def test_telemetry_put_there_beforehand_is_not_overwritten_and_not_followed(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / FILE).symlink_to(precious)
    with recording(tmp_path, uuid(0)):
        pass
    assert precious.read_text() == "mine"


def test_telemetry_that_lay_there_already_is_not_read(tmp_path: Path, gpus: FakeGpus) -> None:
    with recording(tmp_path, uuid(0)):
        pass
    forged = (tmp_path / FILE).read_text()
    assert read_telemetry(tmp_path / FILE).problem is None
    with recording(tmp_path, uuid(0)):
        assert (tmp_path / FILE).read_text() == forged
    assert (read_telemetry(tmp_path / FILE).problem or "").startswith("sampler_failed")


def test_a_gpu_on_which_the_benchmark_does_not_compute_is_not_clean(
    tmp_path: Path, gpus: FakeGpus
) -> None:
    gpus.set(0, pids="")
    assert states(measured(tmp_path)) == {("unknown", "benchmark_unseen")}


@pytest.mark.parametrize("how", ["another file", "gone", "longer"])
def test_telemetry_that_a_benchmark_replaced_says_nothing(
    tmp_path: Path, gpus: FakeGpus, how: str
) -> None:
    path = tmp_path / FILE
    with recording(tmp_path, uuid(0)):
        text = path.read_text()
        if how == "longer":
            path.write_text(text + "{}\n" * 9000)
        else:
            path.unlink()
        if how == "another file":
            path.write_text(text)
    assert (read_telemetry(path).problem or "").startswith("telemetry_replaced")


def test_a_judgement_is_the_same_when_it_is_read_again(tmp_path: Path, gpus: FakeGpus) -> None:
    run = planned(tmp_path, QUICK)
    first = run_all(run, tmp_path / "cache")
    gpus.set(0, events=0x40)
    assert run_all(run, tmp_path / "cache") == first
    assert {row.gpu.state for row in first if row.gpu} == {GpuState.CLEAN}
