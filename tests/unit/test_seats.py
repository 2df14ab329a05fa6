"""Which GPUs are held for a run, and what a seat says that is not where the benchmark computes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.errors import ExitCode, RunError, UsageError
from reprokit.gpu.inventory import FoundGpu, Inventory
from reprokit.gpu.lock import GpuLock
from reprokit.gpu.lock import take as really_take
from reprokit.gpu.recording import recording
from reprokit.gpu.telemetry import FILE, read_telemetry
from reprokit.progress import Event
from reprokit.run import seats, worker
from reprokit.run.directory import RunDirectory
from reprokit.run.seats import Seat, copy_file, held_seats, measure_ceiling
from reprokit.run.side_by_side import Said, Task, say

VISIBLE = "CUDA_VISIBLE_DEVICES"


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROKIT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("REPROKIT_GPU_WAIT_S", raising=False)
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setattr(seats, "cores", lambda: 16)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Inventory], None]:
    return lambda inventory: monkeypatch.setattr(seats, "survey", lambda: inventory)


def gpus(*names: str) -> Inventory:
    facts: dict[str, Any] = {key: None for key in FoundGpu.model_fields if key != "unknown"}
    return Inventory(
        gpus=tuple(
            FoundGpu(**{**facts, "uuid": f"GPU-{number}", "name": name, "mig": False})
            for number, name in enumerate(names)
        )
    )


def planned(folder: Path) -> RunDirectory:
    return new_run(scripted_plan(points=("p1", "p2"), device="cuda"), folder)


def held(run: RunDirectory) -> Any:
    return held_seats(run.plan, ready_points(run.plan), run, lambda _: None)


def test_all_gpus_are_taken_in_one_order_so_that_no_two_runs_wait_for_each_other(
    tmp_path: Path, machine: Callable[[Inventory], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(gpus("A100", "A100"))
    order: list[str] = []

    def take(locks: Mapping[str, GpuLock], *rest: Any) -> list[str]:
        order.extend(locks)
        return really_take(dict(locks), *rest)

    monkeypatch.setattr(seats, "take", take)
    for name, places in (("a", ("GPU-1", "GPU-0")), ("b", ("GPU-0", "GPU-1"))):
        run = planned(tmp_path / name)
        (run.path / "gpus").mkdir()
        record = {"points": dict(zip(("p1", "p2"), places, strict=True))}
        (run.path / "gpus/seats.json").write_text(json.dumps(record))
        with held(run) as found:
            assert {seat.uuid: points for seat, points in found.items()} == {
                places[0]: ("p1",), places[1]: ("p2",)
            }  # fmt: skip
    assert order == ["GPU-0", "GPU-1"] * 2


@pytest.mark.parametrize(
    ("inventory", "visible"),
    [
        (Inventory(why="no_nvml: cannot be loaded"), None),
        (gpus("A100", "T400"), "1"),
    ],
)
def test_a_gpu_that_is_not_known_is_held_all_the_same(
    tmp_path: Path,
    machine: Callable[[Inventory], None],
    monkeypatch: pytest.MonkeyPatch,
    inventory: Inventory,
    visible: str | None,
) -> None:
    machine(inventory)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    first, second = planned(tmp_path / "a"), planned(tmp_path / "b")
    with held(first) as found:
        (seat,) = found
        assert seat.uuid is None
        assert seat.why
        with pytest.raises(RunError, match="no GPU is free"), held(second):
            pass
    with held(second):
        pass


def test_who_must_wait_for_one_of_several_gives_the_others_back(
    tmp_path: Path, machine: Callable[[Inventory], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(gpus("A100", "T400"))
    monkeypatch.setenv(VISIBLE, "1")
    theirs = GpuLock("GPU-1")
    assert theirs.acquire(Path("/theirs"))
    with pytest.raises(RunError, match="/theirs"), held(planned(tmp_path / "a")):
        pass
    other = GpuLock("GPU-0")
    assert other.acquire(Path("/others"))
    other.release()
    theirs.release()


def test_an_adapter_that_chooses_another_gpu_is_not_taken_for_measured_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it is another GPU's ceiling")

    monkeypatch.setattr(seats, "measure_copy", never)
    seat, env = Seat("GPU-1"), {VISIBLE: "GPU-2"}
    with seat.recording(tmp_path, env):
        pass
    said = read_telemetry(tmp_path / FILE).problem
    assert said == f"pinned_elsewhere: its adapter set {VISIBLE}=GPU-2"
    run = planned(tmp_path / "runs")
    measure_ceiling(run, seat, "/usr/bin/python3", env)
    assert not copy_file(run, "GPU-1").exists()


def test_what_a_benchmark_writes_where_nobody_watches_is_no_telemetry(tmp_path: Path) -> None:
    with recording(tmp_path, None, why="mig: divided"):
        (tmp_path / FILE).write_text("forged\n")
    assert read_telemetry(tmp_path / FILE).problem == "mig: divided"


def test_a_worker_speaks_on_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    print("loading", end="")  # an adapter
    say(Event("run", "p1", "running"))
    last = capsys.readouterr().out.splitlines()[-1]
    found = Said.model_validate_json(last).event
    assert found is not None
    assert found["text"] == "running"


def test_a_worker_that_gives_up_does_not_end_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: str) -> None:
        raise UsageError("there is no such adapter")

    facts = dict.fromkeys(Task.model_fields)
    monkeypatch.setattr(worker, "read_task", lambda: SimpleNamespace(**facts))
    monkeypatch.setattr(worker, "interrupt_at_end_of_input", lambda: None)
    monkeypatch.setattr(worker, "load_adapter", refuse)
    assert worker.main() == ExitCode.USAGE
    assert "there is no such adapter" in capsys.readouterr().out
