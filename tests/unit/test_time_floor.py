"""The least time of an iteration: numbers by hand, and every way in which it cannot be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from floor_rule import Bandwidth, Reads, cpu_cache_bytes, floor_record, parse_size

READS = Reads(3_000_000_000, "weights")
RATE = Bandwidth(gbps=100.0, method="read", buffer_bytes=1 << 30)


def record(**changes: Any) -> dict[str, object]:
    known: dict[str, Any] = {
        "reads": READS, "steps": 8, "device": "cuda", "bandwidth": RATE,
        "cache_bytes": 1_000_000_000, **changes,
    }  # fmt: skip
    return floor_record(known.pop("reads"), **known)


def test_the_bound_is_what_the_caches_cannot_hold_over_the_rate_with_slack() -> None:
    # 8 steps x 2e9 bytes / 1e11 bytes per second = 160 ms; half of it on a GPU, a quarter on a CPU
    assert record()["ms"] == pytest.approx(80.0)
    assert record(device="cpu")["ms"] == pytest.approx(40.0)
    assert record()["bytes"] == 3_000_000_000
    assert record()["reason"] is None
    assert "divided by 2" in str(record()["method"])


def test_a_model_that_the_caches_hold_has_a_bound_of_zero_not_a_negative_one() -> None:
    assert record(cache_bytes=4_000_000_000)["ms"] == 0.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reads": Reads(None, "w", "no vocabulary")}, "no vocabulary"),
        ({"cache_bytes": None}, "caches"),
        ({"bandwidth": Bandwidth(None, "m", 0, "too little memory")}, "too little memory"),
        ({"bandwidth": Bandwidth(0.0, "m", 0)}, "not measured"),
    ],
)
def test_what_cannot_be_told_is_null_with_its_reason(changes: Any, reason: str) -> None:
    found = record(**changes)
    assert found["ms"] is None
    assert reason in str(found["reason"])


def plant(folder: Path, cpu: int, index: int, **files: str) -> None:
    cache = folder / f"cpu{cpu}" / "cache" / f"index{index}"
    cache.mkdir(parents=True)
    for name, text in files.items():
        (cache / name).write_text(text + "\n")


def test_each_cache_counts_once_and_instructions_do_not(tmp_path: Path) -> None:
    for cpu in (0, 1):
        own = str(cpu)
        plant(tmp_path, cpu, 0, type="Data", level="1", shared_cpu_list=own, size="32K")
        plant(tmp_path, cpu, 1, type="Instruction", level="1", shared_cpu_list="0-9", size="64K")
        plant(tmp_path, cpu, 3, type="Unified", level="3", shared_cpu_list="0-1", size="8M")
    assert cpu_cache_bytes(tmp_path) == 2 * 32 * 1024 + 8 * 1024 * 1024


def test_caches_that_tell_no_size_are_unknown(tmp_path: Path) -> None:
    assert cpu_cache_bytes(tmp_path) is None
    plant(tmp_path, 0, 0, type="Data", level="1", shared_cpu_list="0", size="big")
    assert cpu_cache_bytes(tmp_path) is None
    plant(tmp_path, 1, 0, type="Data", level="1", shared_cpu_list="1")
    assert cpu_cache_bytes(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "size"), [("32K", 32768), ("1M", 1 << 20), ("64", 64), ("", None), ("K", None)]
)
def test_sizes_are_read_as_the_kernel_writes_them(text: str, size: int | None) -> None:
    assert parse_size(text) == size
