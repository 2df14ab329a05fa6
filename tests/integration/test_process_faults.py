"""A benchmark that misbehaves ends as its own status, in bounded memory, without a trace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from processes import MARK, marked
from scripted_plan import new_run, run_all, scripted_plan

from reprokit.process import launch
from reprokit.records import Arm, Row, RowStatus
from reprokit.run.directory import RunDirectory

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[1] / "support"


def subject_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str, timeout_s: float = 30.0
) -> list[Row]:
    """Run one sound baseline and one subject that follows a scenario; nothing may be left."""
    mark = uuid4().hex
    monkeypatch.setenv(MARK, mark)
    plan = scripted_plan({"scenarios": {"*subject*": scenario}}, timeout_s=timeout_s)
    rows = run_all(new_run(plan, tmp_path / "runs"), tmp_path / "cache")
    assert not marked(mark)
    assert {row.status for row in rows if row.arm is Arm.BASELINE} == {RowStatus.OK}
    return [row for row in rows if row.arm is Arm.SUBJECT]


@pytest.mark.parametrize(
    ("scenario", "statuses", "reason"),
    [
        ("ok", ["ok", "ok"], ""),
        ("orphan", ["ok", "ok"], ""),
        ("segfault", ["killed", "killed"], "died by SIGSEGV"),
        ("sigkill", ["killed", "killed"], "SIGKILL, not sent by reprokit"),
        ("half_line", ["ok", "fall_through"], "damaged_output: stdout.log:2"),
        ("no_sample", ["fall_through", "fall_through"], "no_samples: exit 0 with 0 of 2 samples"),
        ("missing_sample", ["ok", "fall_through"], "missing_samples"),
        ("crash", ["crash", "crash"], "exited with code 1"),
        ("early_crash", ["ok", "crash"], "exited with code 7"),
        ("late_crash", ["crash", "crash"], "exited with code 7 after its last sample"),
        ("oom", ["oom", "oom"], "out_of_memory"),
        ("too_many", ["wrong_output", "wrong_output"], "too_many_samples"),
        ("unsupported", ["unsupported", "unsupported"], "the source has no such option"),
        ("nonexistent", ["environment_failed", "environment_failed"], "spawn_failed"),
        ("refuse", ["unsupported", "unsupported"], "no_command"),
    ],
)
def test_every_fault_has_its_own_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    statuses: list[str],
    reason: str,
) -> None:
    rows = subject_rows(tmp_path, monkeypatch, scenario)
    assert [row.status.value for row in rows] == statuses
    assert (rows[-1].reason or "").startswith(reason)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: a child subreaper")
def test_a_hanging_family_times_out_and_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = subject_rows(tmp_path, monkeypatch, "hang", timeout_s=2.0)
    assert (first.status, first.labels) == (RowStatus.OK, ("died_later",))
    assert (second.status, second.reason) == (RowStatus.TIMEOUT, "timeout: no end after 2 s")


@pytest.mark.parametrize(
    ("scenario", "status", "reason"),
    [
        ("kill_supervisor", RowStatus.KILLED, "supervisor_killed: "),
        ("stop_supervisor", RowStatus.KILLED, "supervisor_stopped: "),
        ("remove_all", RowStatus.CONTAMINATED, "files_removed: stdout.log"),
        ("remove_directory", RowStatus.CONTAMINATED, "files_removed: stdout.log"),
        ("link_directory", RowStatus.CONTAMINATED, "files_removed: stdout.log"),
        ("exit_directory", RowStatus.CONTAMINATED, "files_removed: stdout.log"),
        ("endless_stdout", RowStatus.CONTAMINATED, "log_replaced: stdout.log: it is a symbolic"),
        ("endless_stderr", RowStatus.CONTAMINATED, "log_replaced: stderr.log: it is a symbolic"),
        ("pipe_stdout", RowStatus.CONTAMINATED, "log_replaced: stdout.log: it is a pipe"),
        ("forged_stdout", RowStatus.CONTAMINATED, "log_replaced: stdout.log holds 7 bytes"),
        ("remove_lease", RowStatus.OK, ""),
        ("remove_spec", RowStatus.OK, ""),
        ("stranger", RowStatus.OK, ""),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: a child subreaper")
def test_one_bad_invocation_never_ends_the_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    status: RowStatus,
    reason: str,
) -> None:
    monkeypatch.setattr(launch, "OVERDUE_S", 0.5)
    hasty = {"timeout_s": 1.5} if scenario == "stop_supervisor" else {}
    rows = subject_rows(tmp_path, monkeypatch, scenario, **hasty)
    assert rows[-1].status is status
    assert (rows[-1].reason or "").startswith(reason)
    for pids in tmp_path.rglob("pids.json"):
        assert not any(psutil.pid_exists(pid) for pid in json.loads(pids.read_text()))
    (path,) = (tmp_path / "runs").glob("scripted/*")
    before = {file: file.stat().st_mtime_ns for file in path.glob("invocations/*/exit.json")}
    again = run_all(RunDirectory.open(path), tmp_path / "cache")
    assert [row for row in again if row.arm is Arm.SUBJECT] == rows
    after = {file: file.stat().st_mtime_ns for file in path.glob("invocations/*/exit.json")}
    assert before == after, "a resumed run made it again"


def test_a_chained_traceback_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = subject_rows(tmp_path, monkeypatch, "crash")[0]
    assert row.failure is not None
    assert row.failure.exception == "RuntimeError"
    assert row.failure.message == "the configuration of layer 17\nis not readable"
    assert row.failure.frame is not None
    assert (row.failure.frame.file, row.failure.frame.function) == ("scripted_bench.py", "crash")
    assert [cause.exception for cause in row.failure.causes] == ["json.decoder.JSONDecodeError"]


MEASURED = """
import json, resource, sys
from pathlib import Path
from scripted_plan import new_run, run_all, scripted_plan

def peak(who):
    return resource.getrusage(who).ru_maxrss

home = Path(sys.argv[1])
run_all(new_run(scripted_plan(), home / "warm"), home / "cache")
before = peak(resource.RUSAGE_SELF)
run = new_run(scripted_plan({"scenarios": {"*subject*": "flood"}}), home / "flood")
rows = run_all(run, home / "cache")
print(json.dumps({
    "grown": peak(resource.RUSAGE_SELF) - before, "children": peak(resource.RUSAGE_CHILDREN),
    "bytes": max(path.stat().st_size for path in home.rglob("stderr.log")),
    "ends": sorted({(row.arm, row.status, row.failure.exception) for row in rows if row.failure}),
}))
"""


def test_200_mb_of_stderr_cost_no_memory(tmp_path: Path) -> None:
    path = os.pathsep.join([str(SUPPORT), str(SUPPORT / "scripted_adapter")])
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    seen = json.loads(done.stdout)
    unit = 1 if sys.platform == "darwin" else 1024
    assert seen["bytes"] > 200_000_000
    assert seen["ends"] == [["subject", "crash", "RuntimeError"]]
    assert seen["grown"] * unit < 32 << 20
    assert seen["children"] * unit < 64 << 20
