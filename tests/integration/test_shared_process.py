"""One process for several cells: what a failure takes with it, and what it must not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pytest
from processes import MARK, marked
from scripted_plan import new_run, run_all, scripted_plan

from reprokit.records import Arm, Row, RowStatus
from reprokit.run.directory import RunDirectory

pytestmark = pytest.mark.integration

SUPPORT = Path(__file__).parents[1] / "support"
CELLS = ("a", "b", "c")


def subject_rows(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[Row]]:
    """Run everything; return the subject's rows by cell. Nothing may be left of any process."""
    mark = uuid4().hex
    monkeypatch.setenv(MARK, mark)
    rows = run_all(run, tmp_path / "cache")
    assert not marked(mark)
    baseline = [row for row in rows if row.arm is Arm.BASELINE]
    assert {row.status for row in baseline} == {RowStatus.OK}
    subject = [row for row in rows if row.arm is Arm.SUBJECT]
    return {cell: [row for row in subject if row.cell == cell] for cell in CELLS}


def made(tmp_path: Path, scenarios: dict[str, str], **arguments: object) -> RunDirectory:
    plan = scripted_plan({"scenarios": scenarios}, cells=CELLS, **arguments)  # type: ignore[arg-type]
    return new_run(plan, tmp_path / "runs")


def attempts(run: RunDirectory, arm: Arm = Arm.SUBJECT) -> int:
    return len(list((run.path / "launches").glob(f"p1__{arm}__00.*")))


def statuses(rows: dict[str, list[Row]]) -> list[set[str]]:
    return [{row.status.value for row in rows[cell]} for cell in CELLS]


def test_sound_cells_take_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path, {})
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {"ok"}, {"ok"}]
    assert attempts(run) == attempts(run, Arm.BASELINE) == 1


@pytest.mark.parametrize(
    ("scenario", "status", "reason", "processes"),
    [
        ("crash", "crash", "exited with code 1", 2),
        ("segfault", "killed", "died by SIGSEGV", 2),
        ("sigkill", "killed", "SIGKILL, not sent by reprokit", 2),
        ("oom", "oom", "out_of_memory", 2),
        ("no_sample", "fall_through", "no_samples", 1),
    ],
)
def test_only_the_cell_that_fails_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scenario: str,
    status: str,
    reason: str,
    processes: int,
) -> None:
    run = made(tmp_path, {"*__b__subject*": scenario})
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {status}, {"ok"}]
    assert (rows["b"][0].reason or "").startswith(reason)
    assert attempts(run) == processes
    if scenario == "crash":
        failure = rows["b"][0].failure
        assert failure is not None
        assert failure.exception == "RuntimeError"
        assert failure.log == "invocations/p1__b__subject__00/stderr.log"


def test_a_cell_that_hangs_is_stopped_and_the_others_have_their_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, {"*__b__subject*": "hang"}, timeout_s=3.0)
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {"ok", "timeout"}, {"ok"}]
    assert rows["b"][1].reason == "timeout: no end after 3 s"


def test_the_timeout_is_of_one_cell_not_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = scripted_plan({"sleep_s": 1.0}, cells=CELLS, timeout_s=2.0)
    rows = subject_rows(new_run(plan, tmp_path / "runs"), tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {"ok"}, {"ok"}]


def test_a_process_that_never_begins_fails_for_all_and_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, {"*__c__subject*": "no_start"})
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"crash"}, {"crash"}, {"crash"}]
    assert attempts(run) == 1
    for cell in CELLS:
        failure = rows[cell][0].failure
        assert failure is not None
        assert failure.exception == "ImportError"


def test_what_dies_after_its_last_word_is_not_ok(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, {"*__c__subject*": "dies_after"})
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {"ok"}, {"killed"}]


def test_a_process_that_ends_between_cells_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path, {"*__b__subject*": "ends_between"})
    rows = subject_rows(run, tmp_path, monkeypatch)
    # The second process has nothing but the cell that it does not begin with, then ends well.
    assert statuses(rows) == [{"ok"}, {"fall_through"}, {"fall_through"}]
    assert attempts(run) == 2


def test_a_forged_word_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path, {"*__b__subject*": "forged_done"})
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert statuses(rows) == [{"ok"}, {"ok"}, {"ok"}]
    assert run.exit("p1__b__subject__00") is not None
    assert attempts(run) == 2


def test_equal_failures_are_enough_and_say_how_many_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(
        tmp_path, {"*__b__subject*": "crash"}, invocations=5, same_failure_stops=3, samples=1
    )
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert [row.status.value for row in rows["b"]] == ["crash"] * 3 + ["not_run"] * 2
    fingerprint = rows["b"][0].failure
    assert fingerprint is not None
    for row in rows["b"][3:]:
        assert row.reason == (
            "stopped_early: 3 of 5 invocations were made, the last 3 failed alike "
            f"({fingerprint.fingerprint})"
        )
    assert {row.status for row in rows["a"] + rows["c"]} == {RowStatus.OK}


def test_unlike_failures_do_not_stop_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenarios = {"*__b__subject*": "crash", "*__b__subject__0[13]": "segfault"}
    run = made(tmp_path, scenarios, invocations=4, same_failure_stops=3, samples=1)
    rows = subject_rows(run, tmp_path, monkeypatch)
    assert "not_run" not in {row.status.value for row in rows["b"]}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: a child subreaper")
def test_cells_that_a_killed_process_was_over_with_are_kept(tmp_path: Path) -> None:
    arguments = {
        "options": {"scenarios": {"*__c__*": "hang"}}, "cells": CELLS, "timeout_s": 2.5,
    }  # fmt: skip
    runs = tmp_path / "runs"
    command = [sys.executable, str(SUPPORT / "scripted_plan.py"), str(runs), json.dumps(arguments)]
    path = os.pathsep.join([str(SUPPORT), str(SUPPORT / "scripted_adapter")])
    environment = {**os.environ, "PYTHONPATH": path}
    driver = subprocess.Popen(command, start_new_session=True, env=environment)
    finished = "scripted/*/invocations/*__b__*/done.json"
    deadline = time.monotonic() + 20
    while not list(runs.glob(finished)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    done = next(runs.glob(finished))
    content = done.read_bytes()
    assert not (done.parent / "exit.json").exists()
    run = RunDirectory.open(next(runs.glob("scripted/*")))
    rows = run_all(run, tmp_path / "cache")
    assert done.read_bytes() == content
    assert {row.status for row in rows if row.cell in {"a", "b"}} == {RowStatus.OK}
    assert len(rows) == len({row.id for row in rows}) == 12
    assert list((run.path / "invocations").glob("*__c__*.interrupted-1"))
