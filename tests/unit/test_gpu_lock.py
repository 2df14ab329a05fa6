"""One benchmark at a time on one GPU: who holds it is said, and it never stays held."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprokit.errors import RunError
from reprokit.gpu.lock import GpuLock, lock_folder, longest_wait_s, take


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPROKIT_GPU_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("REPROKIT_GPU_WAIT_S", raising=False)
    return lock_folder()


def refuse(_: str) -> None:
    raise AssertionError("it does not wait")


def test_a_held_gpu_is_refused_and_its_holder_named() -> None:
    first, second = GpuLock("GPU-1"), GpuLock("GPU-1")
    assert first.acquire(Path("/runs/mine"))
    with pytest.raises(RunError, match="/runs/mine") as caught:
        take({"GPU-1": second}, 1, Path("/runs/other"), refuse)
    assert "process" in caught.value.what
    assert "nothing is lost" in caught.value.hint
    first.release()
    assert take({"GPU-1": second}, 1, Path("/runs/other"), refuse) == ["GPU-1"]
    second.release()


def test_free_gpus_are_taken_and_held_ones_left_out() -> None:
    busy = GpuLock("GPU-1")
    assert busy.acquire(Path("/r"))
    locks = {name: GpuLock(name) for name in ("GPU-1", "GPU-2", "GPU-3", "GPU-4")}
    assert take(locks, 2, Path("/s"), refuse) == ["GPU-2", "GPU-3"]
    assert GpuLock("GPU-4").acquire(Path("/t"))
    for lock in (busy, locks["GPU-2"], locks["GPU-3"]):
        lock.release()


def test_waiting_is_told_once_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROKIT_GPU_WAIT_S", "1.2")
    holder = GpuLock("GPU-1")
    assert holder.acquire(Path("/r"))
    told: list[str] = []
    with pytest.raises(RunError, match="no GPU is free"):
        take({"GPU-1": GpuLock("GPU-1")}, 1, Path("/s"), told.append)
    assert len(told) == 1
    assert "/r" in told[0]

    def let_go(_: str) -> None:
        holder.release()

    waiting = GpuLock("GPU-1")
    assert take({"GPU-1": waiting}, 1, Path("/s"), let_go) == ["GPU-1"]
    waiting.release()


def test_a_note_that_is_damaged_is_no_holder_and_no_obstacle(folder: Path) -> None:
    first, second = GpuLock("GPU-1"), GpuLock("GPU-1")
    assert first.acquire(Path("/r"))
    (folder / "GPU-1.json").write_text("{")
    assert second.holder() == "another reprokit process"
    first.release()
    assert second.acquire(Path("/r"))
    second.release()


def test_a_uuid_never_leads_out_of_the_folder(folder: Path) -> None:
    lock = GpuLock("../../etc/GPU 1")
    assert lock.acquire(Path("/r"))
    assert [path.parent for path in folder.glob("*.lock")] == [folder]
    lock.release()


def test_a_folder_that_cannot_be_written_is_an_error_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REPROKIT_GPU_LOCKS", str(tmp_path / "file"))
    with pytest.raises(RunError, match="lock of a GPU") as caught:
        GpuLock("GPU-1").acquire(Path("/r"))
    assert "REPROKIT_GPU_LOCKS" in caught.value.hint


@pytest.mark.parametrize("named", ["soon", "-1", "inf", "nan"])
def test_a_wait_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv("REPROKIT_GPU_WAIT_S", named)
    with pytest.raises(RunError, match="no number of seconds"):
        longest_wait_s()
