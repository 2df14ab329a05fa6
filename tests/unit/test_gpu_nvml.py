"""The binding: names old and new, refusals, lists that grow; and whose a process is."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reprokit.gpu import sampler
from reprokit.gpu.nvml import Nvml, NvmlError, attempt
from reprokit.gpu.owners import Owners, blindness, is_alive
from reprokit.gpu.window import MOST_POINTS, Window


def handle(_: Any, out: Any) -> int:
    out._obj.value = 1
    return 0


def number(value: int, place: int = -1) -> Callable[..., int]:
    def answer(*arguments: Any) -> int:
        arguments[place]._obj.value = value
        return 0

    return answer


def library(**functions: Callable[..., int]) -> SimpleNamespace:
    base = {"nvmlInit_v2": lambda: 0, "nvmlDeviceGetHandleByUUID": handle}
    return SimpleNamespace(**{**base, **functions})


def gpu(**functions: Callable[..., int]) -> Any:
    return Nvml(library(**functions)).gpu("GPU-1")


def test_the_old_name_of_a_function_serves_where_the_new_one_is_missing_or_refused() -> None:
    old = {"nvmlDeviceGetCurrentClocksThrottleReasons": number(0x44)}
    assert gpu(**old).events() == 0x44
    unknown = {"nvmlDeviceGetCurrentClocksEventReasons": lambda *_: 13}
    assert gpu(**old, **unknown).events() == 0x44
    with pytest.raises(NvmlError, match="unknown to this driver"):
        gpu().events()


def test_a_refusal_is_an_answer_and_a_lost_gpu_is_not() -> None:
    refused = gpu(nvmlDeviceGetTotalEnergyConsumption=lambda *_: 3)
    told = "nvmlDeviceGetTotalEnergyConsumption: not supported"
    assert attempt(refused.energy_mj) == (None, told)
    lost = gpu(nvmlDeviceGetTotalEnergyConsumption=lambda *_: 15)
    with pytest.raises(NvmlError, match="the GPU is lost") as caught:
        attempt(lost.energy_mj)
    assert caught.value.lost


def test_a_gpu_that_cannot_be_divided_is_not() -> None:
    assert gpu(nvmlDeviceGetMigMode=lambda *_: 3).mig() is False
    assert gpu().mig() is False
    with pytest.raises(NvmlError, match="no permission"):
        gpu(nvmlDeviceGetMigMode=lambda *_: 4).mig()


def test_a_long_list_of_processes_is_asked_for_again() -> None:
    asked: list[int] = []

    def running(_: Any, count: Any, out: Any) -> int:
        room = count._obj.value
        asked.append(room)
        count._obj.value = 100
        if room < 100:
            return 7
        for place in range(100):
            out[place].pid, out[place].used = place, (place << 20)
        out[5].used = ctypes.c_ulonglong(-1).value
        return 0

    found = gpu(nvmlDeviceGetComputeRunningProcesses_v2=running).processes()
    assert asked == [64, 256]
    assert (found[7], found[5], len(found)) == ((7, 7), (5, None), 100)


def test_a_very_old_driver_has_processes_without_instances() -> None:
    def running(_: Any, count: Any, out: Any) -> int:
        count._obj.value = 1
        out[0].pid, out[0].used = 9, 3 << 20
        return 0

    assert gpu(nvmlDeviceGetComputeRunningProcesses=running).processes() == [(9, 3)]


def test_no_library_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REPROKIT_NVML", str(tmp_path / "none.so"))
    found = sampler.survey()
    assert found["gpus"] == []
    assert found["why"].startswith("no_nvml")


def process(proc: Path, pid: int, parent: int, name: str = "py (x) thon") -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {parent} 1 1")
    (proc / str(pid) / "comm").write_text(f"{name}\n")


def test_processes_are_own_by_descent(tmp_path: Path) -> None:
    for pid, parent in ((1, 0), (100, 1), (200, 100), (300, 200), (400, 1), (500, 2)):
        process(tmp_path, pid, parent)
    owners = Owners(200, tmp_path, lambda _: False)
    assert owners.is_own(300) is True
    assert owners.is_own(200) is True
    assert owners.is_own(100) is False
    assert owners.is_own(400) is False
    assert owners.is_own(500) is None, "its parent is gone"
    assert owners.is_own(999) is None
    assert owners.name(300) == "py (x) thon"


def test_a_process_that_proc_hides_is_somebody_elses(tmp_path: Path) -> None:
    # hidepid: a stranger's process, and one of this user's below a login that is hidden
    for pid, parent in ((200, 90), (300, 200), (500, 90)):
        process(tmp_path, pid, parent)
    owners = Owners(200, tmp_path, lambda pid: pid in {90, 4242})
    assert owners.is_own(4242) is False
    assert owners.is_own(500) is False
    assert owners.is_own(300) is True
    assert owners.is_own(4243) is None


def test_who_is_alive_is_known_without_proc() -> None:
    assert is_alive(os.getpid())
    assert is_alive(1), "whoever may signal it"
    assert not any(is_alive(pid) for pid in (0, -1, 999_999_999, 2**32 - 1))


def test_a_process_that_ended_is_not_remembered_for_another_one_of_its_number(
    tmp_path: Path,
) -> None:
    process(tmp_path, 200, 1)
    process(tmp_path, 300, 200)
    owners = Owners(200, tmp_path)
    assert owners.is_own(300) is True
    for name in ("stat", "comm"):
        (tmp_path / "300" / name).unlink()
    (tmp_path / "300").rmdir()
    assert owners.is_own(300) is None
    process(tmp_path, 300, 1)
    assert owners.is_own(300) is False


def test_a_container_is_blind(tmp_path: Path) -> None:
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026532222]")
    assert "container" in (blindness(tmp_path) or "")
    (tmp_path / "self/ns/pid").unlink()
    assert "cannot be told" in (blindness(tmp_path) or "")
    (tmp_path / "self/ns/pid").symlink_to("pid:[4026531836]")
    assert blindness(tmp_path) is None


def reading(at_s: float, **changes: Any) -> dict[str, Any]:
    names = ("sm_mhz", "memory_mhz", "temperature_c", "power_w", "events", "busy_percent",
             "used_mib", "energy_mj")  # fmt: skip
    return {"at_s": at_s, **dict.fromkeys(names, 1), "unknown": {}, **changes}


def test_a_window_keeps_few_points_and_every_fall_of_the_counter() -> None:
    window = Window(0.0)
    for step in range(500):
        fall = 1000 if step >= 333 else 0
        window.add(reading(step / 10, energy_mj=10_000 + step - fall), None)
    line = window.line(50.0)
    assert line is not None
    points = line["energy"]
    assert len(points) <= MOST_POINTS + 2
    assert [33.2, 10_332] in [list(point) for point in points]
    assert [33.3, 9_333] in [list(point) for point in points]


def test_who_was_seen_once_in_a_window_stays_seen() -> None:
    looks: list[dict[str, Any]] = [
        {"own": 1, "foreign": [], "why": None},
        {"own": 0, "foreign": [{"pid": 7}], "why": None},
        {"own": 0, "foreign": [], "why": None},
    ]
    refused: dict[str, Any] = {"own": None, "foreign": [], "why": "no permission"}
    window = Window(0.0)
    window.add(reading(0.1), None)
    for look in looks:
        window.add_processes(look)
    seen = {"own": 1, "foreign": [{"pid": 7}], "why": None}
    assert (window.line(1.0) or {})["processes"] == seen
    window.add_processes(refused)
    window.add_processes(looks[0])
    assert (window.line(1.0) or {})["processes"]["why"] == "no permission"


def test_a_window_of_nothing_is_no_line_and_a_silent_gpu_gives_nulls() -> None:
    assert Window(0.0).line(1.0) is None
    window = Window(0.0)
    window.add(reading(0.1, events=None, power_w=None, energy_mj=None, sm_mhz=None), 5)
    line = window.line(1.0)
    assert line is not None
    assert (line["events"], line["power_w"], line["sm_mhz"], line["energy"]) == (None,) * 3 + ([],)
    assert line["log"] == [(0.1, 5)]
