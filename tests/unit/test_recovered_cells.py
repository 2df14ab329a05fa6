"""A cell that its process was over with before reprokit was killed is kept with what is known."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from saved_run import SUBJECT, Saved, line
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.process.launch import Exit
from reprokit.run.shared import DONE, recover, settle

ENDED_S = 1_700_000_000.0


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    plan = scripted_plan()
    saved = Saved(new_run(plan, tmp_path), ready_points(plan))
    saved.save(SUBJECT, [line(0), line(1)], stderr="said")
    return saved


def _done(saved: Saved, ended_s: float = ENDED_S, **facts: object) -> Path:
    path = saved.run.invocation(SUBJECT) / DONE
    path.write_text(json.dumps({"returncode": 0, "wall_s": 2.5, **facts}))
    os.utime(path, (ended_s, ended_s))
    return path


def _recovered(saved: Saved) -> Exit | None:
    planned = saved.invocation(SUBJECT)
    return recover(saved.run, [planned], saved.run.launch("process", 1)).get(planned.id)


@pytest.mark.parametrize(("code", "outcome"), [(0, "ok"), (3, "exit 3")])
def test_a_finished_cell_ends_as_it_said(saved: Saved, code: int, outcome: str) -> None:
    _done(saved, returncode=code)
    found = _recovered(saved)
    assert found is not None
    assert (found.outcome(), found.returncode, found.wall_s) == (outcome, code, 2.5)
    assert found.started == "2023-11-14T22:13:17.500+00:00", "2.5 s before done.json was written"
    folder = saved.run.invocation(SUBJECT)
    assert found.stdout_bytes == (folder / "stdout.log").stat().st_size
    assert found.stderr_bytes == len("said")
    assert (found.boot_id, found.leftovers, found.user_s) == (None, 0, 0.0)
    assert Exit.model_validate_json(found.model_dump_json(by_alias=True)) == found


@pytest.mark.parametrize("ended_s", [-62_135_596_800.0, 253_402_300_800.0, 2.0**62])
@pytest.mark.parametrize("wall_s", [0.0, 1e300])
def test_a_time_that_no_calendar_has_is_no_traceback(
    saved: Saved, monkeypatch: pytest.MonkeyPatch, ended_s: float, wall_s: float
) -> None:
    _done(saved, wall_s=wall_s)

    class Facts:
        st_mtime = ended_s - 1.0  # just beyond the first year, and far beyond the last one

    monkeypatch.setattr(Path, "lstat", lambda path: Facts)
    monkeypatch.setattr("reprokit.run.shared.is_begun", lambda run, planned: True)
    monkeypatch.setattr("reprokit.process.supervisor.log_size", lambda log: 0)
    found = _recovered(saved)
    assert found is not None
    assert datetime.fromisoformat(found.started).tzinfo == UTC


@pytest.mark.parametrize("name", [DONE, "stdout.log"])
def test_a_cell_that_was_not_over_is_made_again(saved: Saved, name: str) -> None:
    _done(saved)
    (saved.run.invocation(SUBJECT) / name).unlink()
    assert _recovered(saved) is None


@pytest.mark.parametrize("facts", [{"returncode": -1}, {"wall_s": -1.0}, {"wall_s": "1"}, {"x": 1}])
def test_what_is_no_word_of_the_harness_recovers_nothing(
    saved: Saved, facts: dict[str, object]
) -> None:
    _done(saved, ENDED_S, **facts)
    assert _recovered(saved) is None


def test_a_process_that_died_after_its_last_cell_died_in_it(saved: Saved) -> None:
    _done(saved)
    launch = saved.run.launch("process", 1)
    launch.mkdir(parents=True)
    ended = Exit.unwatched(launch, wall_s=9.0, ended_s=ENDED_S, returncode=None, signal="SIGSEGV")
    (launch / "exit.json").write_text(ended.model_dump_json(by_alias=True))
    found = _recovered(saved)
    assert found is not None
    assert found.outcome() == "SIGSEGV", "also when reprokit was killed before it could say so"


def test_what_a_process_measured_after_a_failure_is_not_kept(saved: Saved) -> None:
    first, second = saved.run.plan.invocations[:2]
    for planned, code in ((first, 1), (second, 0)):
        folder = saved.run.invocation(planned.id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stdout.log").touch()
        (folder / DONE).write_text(json.dumps({"returncode": code, "wall_s": 1.0}))
    launch = saved.run.launch("process", 1)
    ended = Exit.unwatched(launch, wall_s=9.0, ended_s=ENDED_S, returncode=0)
    settled, left = settle(saved.run, [first, second], ended, launch)
    assert [each.found.outcome() for each in settled] == ["exit 1"]
    assert left == [second]
