"""Following a process that measures several invocations."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from reprokit.run.following import following
from reprokit.run.shared import Done

DONE = '{"returncode": %d, "wall_s": 1.0}\n'
PERIOD_S = 0.01


def _folders(tmp_path: Path, count: int) -> list[Path]:
    folders = [tmp_path / str(index) for index in range(count)]
    for folder in folders:
        folder.mkdir()
    return folders


def test_each_end_is_told_once_and_in_order(tmp_path: Path) -> None:
    folders = _folders(tmp_path, 3)
    told: list[tuple[int, int]] = []
    second = threading.Event()

    def tell(index: int, done: Done) -> None:
        told.append((index, done.returncode))
        if index == 1:
            second.set()

    with following(folders, tell, period_s=PERIOD_S):
        (folders[0] / "done.json").write_text(DONE % 0)
        (folders[1] / "done.json").write_text(DONE % 1)
        assert second.wait(10)
    (folders[2] / "done.json").write_text(DONE % 0)
    assert told == [(0, 0), (1, 1)]


def test_an_end_that_cannot_be_read_is_not_told(tmp_path: Path) -> None:
    (folder,) = _folders(tmp_path, 1)
    (folder / "done.json").write_text('{"returncode": 0')
    told: list[int] = []
    with following([folder], lambda index, _done: told.append(index), period_s=PERIOD_S):
        pass
    assert told == []


def test_an_exception_in_the_block_ends_the_following(tmp_path: Path) -> None:
    threads = threading.active_count()
    block = following(_folders(tmp_path, 1), lambda _index, _done: None, period_s=PERIOD_S)
    with pytest.raises(KeyboardInterrupt), block:
        raise KeyboardInterrupt
    assert threading.active_count() == threads


def test_who_cannot_be_told_is_told_no_more_and_nothing_else_ends(tmp_path: Path) -> None:
    """An exception would end in `threading.excepthook`, which pytest makes an error."""
    folders = _folders(tmp_path, 2)
    for folder in folders:
        (folder / "done.json").write_text(DONE % 0)
    told: list[int] = []
    first = threading.Event()

    def tell(index: int, done: Done) -> None:
        told.append(index)
        first.set()
        raise BrokenPipeError

    with following(folders, tell, period_s=PERIOD_S):
        assert first.wait(10)
    assert told == [0]
