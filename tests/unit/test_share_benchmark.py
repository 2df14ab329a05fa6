"""What counts as the toolkit's own time in `benchmarks/bench_share.py`."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "bench_share.py"
    spec = importlib.util.spec_from_file_location("bench_share", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(110.0, 120.0), (130.0, 150.0)], 30.0),
        ([(110.0, 150.0), (110.0, 150.0), (120.0, 130.0)], 40.0),
        ([(110.0, 130.0), (120.0, 150.0)], 40.0),
        ([(0.0, 50.0), (90.0, 110.0), (190.0, 300.0)], 20.0),
    ],
)
def test_processes_side_by_side_count_once_and_only_while_the_command_ran(
    bench: ModuleType, spans: list[tuple[float, float]], seconds: float
) -> None:
    assert bench.covered((100.0, 200.0), spans) == pytest.approx(seconds)


def test_the_limit_is_kept_or_not(bench: ModuleType) -> None:
    kept = bench.share((100.0, 200.0), [(101.0, 197.0)])
    assert (kept["own_percent"], kept["kept"]) == (4.0, True)
    assert bench.share((100.0, 200.0), [(101.0, 196.0)])["kept"] is False


def end(folder: Path, begin: float, **spec: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "exit.json").write_text(json.dumps({"monotonic_start_s": begin, "wall_s": 2.0}))
    (folder / "spec.json").write_text(json.dumps(spec))


def test_every_process_of_a_run_is_found_once(bench: ModuleType, tmp_path: Path) -> None:
    end(tmp_path / "invocations/alone", 10.0, launch=None)
    end(tmp_path / "invocations/shared", 99.0, launch="launches/a")
    end(tmp_path / "launches/a", 20.0)
    end(tmp_path / "probes/p", 30.0)
    assert sorted(bench.process_spans(tmp_path)) == [(10.0, 12.0), (20.0, 22.0), (30.0, 32.0)]
