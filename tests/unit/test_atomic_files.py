"""A file is written whole or not at all, whatever lies in its folder and whoever else writes it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from reprokit.atomic_files import is_left_over, write_atomic, write_record
from reprokit.process.lease import Lease


def _names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def _cut_short() -> Iterator[bytes]:
    yield b"new"
    raise OSError(28, "No space left on device")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_atomic(path, [b"old"])
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, _cut_short())
    assert path.read_bytes() == b"old"
    assert _names(tmp_path) == ["rows.jsonl"]


def test_a_crash_leaves_a_rest_that_is_told_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with mock.patch.object(Path, "unlink"), pytest.raises(OSError, match="No space"):
        write_atomic(path, _cut_short())
    (rest,) = _names(tmp_path)
    assert is_left_over(rest)
    assert not any(map(is_left_over, ("rows.jsonl", ".rows.jsonl", "rows.tmp")))


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    barrier = threading.Barrier(2)

    def chunks(letter: bytes) -> Iterator[bytes]:
        for _ in range(3):
            barrier.wait(timeout=10)  # both have their file open at the same time
            yield letter

    threads = [
        threading.Thread(target=write_atomic, args=(path, chunks(letter)))
        for letter in (b"a", b"b")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in {b"aaa", b"bbb"}
    assert _names(tmp_path) == ["spec.json"]


def test_what_a_benchmark_left_is_replaced_and_never_opened(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for name in ("exit.json", ".exit.json.tmp"):
        os.mkfifo(tmp_path / name)  # opening it to write would block
    (tmp_path / "spec.json").symlink_to(victim)
    write_atomic(tmp_path / "exit.json", [b"end"])
    write_atomic(tmp_path / "spec.json", [b"spec"])
    assert (tmp_path / "exit.json").read_bytes() == b"end"
    assert not (tmp_path / "spec.json").is_symlink()
    assert victim.read_bytes() == b"mine"


def test_a_pipe_under_the_very_name_is_an_error_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".exit.json.0000.tmp")
    with mock.patch("secrets.token_hex", return_value="0000"), pytest.raises(FileExistsError):
        write_atomic(tmp_path / "exit.json", [b"end"])
    assert _names(tmp_path) == [".exit.json.0000.tmp"]


def test_file_and_name_reach_the_disk(tmp_path: Path) -> None:
    synced: list[str] = []

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)

    with mock.patch("os.fsync", side_effect=note):
        write_atomic(tmp_path / "run.json", [b"{}"])
    assert len(synced) == 2
    assert is_left_over(synced[0])
    assert synced[1] == tmp_path.name


def test_others_may_read_what_they_may_read_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomic(tmp_path / "atomic", [b""])
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_record_reads_as_itself(tmp_path: Path) -> None:
    lease = Lease.of(os.getpid())
    write_record(tmp_path / "lease.json", lease)
    text = (tmp_path / "lease.json").read_text()
    assert text.endswith("}\n")
    assert Lease.model_validate_json(text) == lease
