"""Cores that a container leaves: measuring on more GPUs than that would slow all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reprokit.run import cores as module
from reprokit.run.cores import cores, quotas


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    (tmp_path / "own").write_text("0::/batch/job 7\n")
    (tmp_path / "groups/batch/job 7").mkdir(parents=True)
    return tmp_path / "groups"


def found(groups: Path) -> list[float]:
    return list(quotas(groups, groups.parent / "own"))


def test_every_group_around_this_process_limits_it(groups: Path) -> None:
    assert found(groups) == []
    (groups / "batch/job 7/cpu.max").write_text("max 100000\n")
    (groups / "batch/cpu.max").write_text("850000 100000\n")
    (groups / "cpu.max").write_text("1600000 100000\n")
    assert found(groups) == [8.5, 16.0]


def test_version_1_has_its_own_files(groups: Path) -> None:
    (groups / "cpu").mkdir()
    (groups / "cpu/cpu.cfs_period_us").write_text("100000\n")
    (groups / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert found(groups) == []
    (groups / "cpu/cpu.cfs_quota_us").write_text("400000\n")
    assert found(groups) == [4.0]


@pytest.mark.parametrize("text", ["", "many", "5 0", "1 2 3", "max"])
def test_nonsense_limits_nothing(groups: Path, text: str) -> None:
    (groups / "cpu.max").write_text(text)
    assert found(groups) == []


def test_there_is_always_one_core_and_never_more_than_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "quotas", lambda: [0.5])
    assert cores() == 1
    monkeypatch.setattr(module, "quotas", lambda: [1e6])
    assert 1 <= cores() <= (os.cpu_count() or 1)
