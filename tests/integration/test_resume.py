"""A run may be killed at any moment: nothing finished is lost, and nothing is made twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from processes import MARK, file_appears, marked, wait_for
from scripted_plan import new_run, ready_points, run_all, scripted_plan

from reprokit.adapter import load_adapter
from reprokit.cache import CacheLayout
from reprokit.errors import DamagedRunError, RunError
from reprokit.progress import Event, nobody
from reprokit.records import RowStatus
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import execute

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[1] / "support"
SWEEP: dict[str, Any] = {"points": ["p1", "p2"], "invocations": 3, "options": {"sleep_s": 0.15}}


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = uuid4().hex
    monkeypatch.setenv(MARK, name)
    yield name
    left = marked(name)
    for process in left:
        process.kill()
    assert not left, "processes were left behind"


def driver(runs: Path, arguments: dict[str, Any]) -> subprocess.Popen[str]:
    """Start `execute` in a process group of its own and wait until it begins."""
    path = os.pathsep.join([str(SUPPORT), str(SUPPORT / "scripted_adapter")])
    process = subprocess.Popen(
        [sys.executable, str(SUPPORT / "scripted_plan.py"), str(runs), json.dumps(arguments)],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.stdout.close()
    return process


def finished(run: RunDirectory) -> dict[str, str]:
    """Map every finished invocation to the moment it was started."""
    return {
        planned.id: found.started
        for planned in run.plan.invocations
        if (found := run.exit(planned.id)) is not None
    }


def only_run(runs: Path) -> RunDirectory:
    (path,) = runs.glob("scripted/*")
    return RunDirectory.open(path)


def test_kill_9_at_ten_moments_loses_and_repeats_nothing(tmp_path: Path, mark: str) -> None:
    random = Random(20_260_101)
    runs = tmp_path / "killed"
    seen: dict[str, str] = {}
    for _ in range(10):
        process = driver(runs, SWEEP)
        time.sleep(random.uniform(0.0, 0.7))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        now = finished(only_run(runs))
        assert seen.items() <= now.items(), "a finished invocation was lost or made again"
        seen = now
    run = only_run(runs)
    rows = run_all(run, tmp_path / "cache")
    assert seen.items() <= finished(run).items()
    aside = list((run.path / "invocations").glob("*.interrupted-*"))
    assert aside, "no kill hit a running invocation: the test tested nothing"

    whole = new_run(scripted_plan(**SWEEP), tmp_path / "whole")
    expected = run_all(whole, tmp_path / "cache")
    assert [row.id for row in rows] == [row.id for row in expected]
    assert len({row.id for row in rows}) == 24
    assert rows == expected
    assert {row.status for row in rows} == {RowStatus.OK}


def test_a_second_call_makes_nothing_again(tmp_path: Path, mark: str) -> None:
    run = new_run(scripted_plan(invocations=2), tmp_path)
    rows = run_all(run, tmp_path / "cache")
    before = finished(run)
    events: list[Event] = []
    plan = run.plan
    adapter = load_adapter("scripted")
    cache = CacheLayout(tmp_path / "cache")
    execute(plan, ready_points(plan), adapter, run, observer=events.append, cache=cache)
    assert {event.outcome for event in events} == {"kept"}
    assert [event.done for event in events] == [1, 2, 3, 4]
    assert finished(run) == before
    assert run_all(run, tmp_path / "cache") == rows


def test_an_interrupted_invocation_is_kept_aside(tmp_path: Path, mark: str) -> None:
    runs = tmp_path / "runs"
    scenario = {"scenarios": {"*": "hang"}}
    process = driver(runs, {"options": scenario})
    file_appears(runs, "pids.json")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run = only_run(runs)
    folder = file_appears(runs, "pids.json").parent
    plan = run.plan
    hasty = plan.model_copy(update={"timeout_s": 0.5})
    (folder / "exit.json").write_text("{}")
    with pytest.raises(DamagedRunError, match="another plan"):
        execute(
            hasty, ready_points(plan), load_adapter("scripted"), run,
            observer=nobody, cache=CacheLayout(tmp_path / "cache"),
        )  # fmt: skip
    (folder / "exit.json").unlink()
    again = driver(runs, {})
    aside = folder.with_name(f"{folder.name}.interrupted-1")
    wait_for(aside.is_dir)
    assert (aside / "pids.json").is_file()
    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=20) == -signal.SIGINT
    assert not marked(mark)


def test_two_never_execute_the_same_run(tmp_path: Path, mark: str) -> None:
    runs = tmp_path / "runs"
    process = driver(runs, SWEEP)
    file_appears(runs, "spec.json")
    with pytest.raises(RunError, match="another reprokit process"):
        run_all(only_run(runs), tmp_path / "cache")
    assert process.wait() == 0


def test_points_that_are_not_ready_start_nothing(tmp_path: Path, mark: str) -> None:
    run = new_run(scripted_plan(points=("p1", "p2")), tmp_path)
    ready = ready_points(run.plan)
    ready["p1"] = ready["p1"].model_copy(update={"failed": "install_failed"})
    del ready["p2"]
    events: list[Event] = []
    execute(
        run.plan, ready, load_adapter("scripted"), run,
        observer=events.append, cache=CacheLayout(tmp_path / "cache"),
    )  # fmt: skip
    assert {event.outcome for event in events} == {"environment failed", "not prepared"}
    assert not list((run.path / "invocations").iterdir())


def test_what_was_started_is_on_record(tmp_path: Path, mark: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORCH_COMPILE_DISABLE", "1")
    run = new_run(scripted_plan(), tmp_path)
    run_all(run, tmp_path / "cache")
    planned = run.plan.invocations[0]
    spec = json.loads((run.invocation(planned.id) / "spec.json").read_text())
    assert spec["schema"] == "reprokit/invocation/v1"
    assert spec["argv"][0] == sys.executable
    assert spec["planned"]["id"] == planned.id
    assert "TORCH_COMPILE_DISABLE" in spec["removed"]
    assert "TORCH_COMPILE_DISABLE" not in spec["env"]
    assert spec["env"]["TRITON_CACHE_DIR"] == str(run.path / "cache" / "p1" / "triton")
