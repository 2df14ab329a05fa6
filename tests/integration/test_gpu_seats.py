"""Who may measure on which GPU: one run at a time, several points side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from fake_nvml import FakeGpus, uuid
from processes import MARK, marked
from scripted_plan import new_run, run_all, scripted_plan

from reprokit.errors import RunError
from reprokit.gpu.lock import GpuLock
from reprokit.records import Row, RowStatus
from reprokit.run import seats
from reprokit.run.directory import RunDirectory

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[1] / "support"
PATHS = os.pathsep.join([str(SUPPORT), str(SUPPORT / "scripted_adapter")])


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    monkeypatch.setattr(seats, "cores", lambda: 16)
    monkeypatch.setenv("PYTHONPATH", PATHS)  # for the workers
    return FakeGpus.install(tmp_path, monkeypatch, count=2)


def planned(tmp_path: Path, points: str, **options: object) -> RunDirectory:
    plan = scripted_plan(dict(options), points=points.split(), device="cuda")
    return new_run(plan, tmp_path / "runs")


def where(rows: tuple[Row, ...]) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for row in rows:
        found.setdefault(row.point, set()).add(row.gpu.uuid if row.gpu else None)
    return found


def test_points_are_measured_side_by_side_each_on_its_own_gpu(
    tmp_path: Path, two: FakeGpus
) -> None:
    slow = {"eager": 700.0, "compiled": 700.0}
    run = planned(tmp_path, "p1 p2 p3", latency_ms=slow)
    rows = run_all(run, tmp_path / "cache")
    assert {row.status for row in rows} == {RowStatus.OK}
    assert where(rows) == {"p1": {uuid(0)}, "p2": {uuid(1)}, "p3": {uuid(0)}}
    starts: dict[str, list[tuple[float, float]]] = {"p1": [], "p2": []}
    for path in (run.path / "invocations").glob("p[12]__*/exit.json"):
        found = json.loads(path.read_text())
        begin = found["monotonic_start_s"]
        starts[path.parent.name[:2]].append((begin, begin + found["wall_s"]))
    assert any(a[0] < b[1] and b[0] < a[1] for a in starts["p1"] for b in starts["p2"]), (
        "nothing of p1 overlapped with anything of p2"
    )
    assert run_all(run, tmp_path / "cache") == rows, "finished: nothing is made again"


def test_few_cores_measure_one_after_the_other(
    tmp_path: Path, two: FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "cores", lambda: 7)
    rows = run_all(planned(tmp_path, "p1 p2"), tmp_path / "cache")
    assert where(rows) == {"p1": {uuid(0)}, "p2": {uuid(0)}}


def test_a_gpu_in_use_is_left_out_and_two_are_an_error_that_loses_nothing(
    tmp_path: Path, two: FakeGpus
) -> None:
    first, second = GpuLock(uuid(0)), GpuLock(uuid(1))
    assert first.acquire(Path("/runs/theirs"))
    rows = run_all(planned(tmp_path / "a", "p1 p2"), tmp_path / "cache")
    assert where(rows) == {"p1": {uuid(1)}, "p2": {uuid(1)}}
    assert second.acquire(Path("/runs/others"))
    run = planned(tmp_path / "b", "p1 p2")
    with pytest.raises(RunError, match=r"/runs/theirs.*/runs/others"):
        run_all(run, tmp_path / "cache")
    first.release()
    second.release()
    assert {row.status for row in run_all(run, tmp_path / "cache")} == {RowStatus.OK}


def test_a_point_stays_on_its_gpu_when_a_run_is_resumed(tmp_path: Path, two: FakeGpus) -> None:
    run = planned(tmp_path, "p1 p2")
    run_all(run, tmp_path / "cache")
    for folder in (run.path / "invocations").glob("p2__*__subject__*"):
        (folder / "exit.json").unlink()
    busy = GpuLock(uuid(1))
    assert busy.acquire(Path("/runs/theirs"))
    with pytest.raises(RunError, match=uuid(1)):
        run_all(run, tmp_path / "cache")
    busy.release()
    assert where(run_all(run, tmp_path / "cache")) == {"p1": {uuid(0)}, "p2": {uuid(1)}}


def test_a_failing_worker_ends_the_run_with_its_own_words(tmp_path: Path, two: FakeGpus) -> None:
    run = planned(tmp_path, "p1 p2", latency_ms={"eager": 50.0, "compiled": 50.0})
    blocked = run.path / "invocations" / "p2__all__subject__00"
    blocked.mkdir()
    (blocked / "spec.json").write_text("{")
    with pytest.raises(RunError, match=r"p2__all__subject__00.spec\.json"):
        run_all(run, tmp_path / "cache")
    (blocked / "spec.json").unlink()
    assert {row.status for row in run_all(run, tmp_path / "cache")} == {RowStatus.OK}


def test_a_finished_run_needs_no_gpu(tmp_path: Path, two: FakeGpus) -> None:
    run = planned(tmp_path, "p1", scenarios={"*subject*": "refuse"})
    rows = run_all(run, tmp_path / "cache")
    assert {row.status for row in rows} == {RowStatus.OK, RowStatus.UNSUPPORTED}
    busy = [GpuLock(uuid(number)) for number in range(2)]
    assert all(lock.acquire(Path("/runs/theirs")) for lock in busy)
    assert run_all(run, tmp_path / "cache") == rows
    for lock in busy:
        lock.release()


def test_workers_do_not_import_what_lies_where_reprokit_was_started(
    tmp_path: Path, two: FakeGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in ("pydantic", "queue", "reprokit"):
        (clone / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(clone)
    rows = run_all(planned(tmp_path, "p1 p2"), tmp_path / "cache")
    assert {row.status for row in rows} == {RowStatus.OK}


@pytest.mark.parametrize(
    ("number", "background"),
    [(signal.SIGINT, False), (signal.SIGKILL, False), (signal.SIGKILL, True)],
)
def test_nothing_outlives_a_sweep_that_is_ended(
    tmp_path: Path,
    two: FakeGpus,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    background: bool,
) -> None:
    mark = uuid4().hex
    monkeypatch.setenv(MARK, mark)
    options = {"scenarios": {"*": "hang"}}
    plan = scripted_plan(options, points=("p1", "p2"), device="cuda", timeout_s=300)
    run = new_run(plan, tmp_path / "runs")
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " if background else ""
    driver = (
        f"{ignored}import sys; from reprokit.run import seats; seats.cores = lambda: 16; "
        "from scripted_plan import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver, str(tmp_path / "runs"), "{}"],
        env={**os.environ, "PYTHONPATH": PATHS}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while len(list(run.path.glob("invocations/*/pids.json"))) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    process.wait(timeout=60)
    deadline = time.monotonic() + 30
    while left := _ours(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    assert GpuLock(uuid(0)).acquire(run.path), "the GPU is free again"


def _ours(mark: str) -> list[str]:
    """Whatever still runs of the sweep: benchmarks, workers, samplers."""
    helpers = []
    for each in psutil.process_iter():
        try:
            words, environ = each.cmdline(), each.environ()
        except psutil.Error:
            continue
        if "reprokit.run.worker" in words and environ.get(MARK) == mark:
            helpers.append(" ".join(words))
    return [*helpers, *map(str, marked(mark))]
