"""What is put on record, and what counts as unfinished, when a run is taken up again."""

from __future__ import annotations

from pathlib import Path

import pytest
from saved_run import BASELINE, SUBJECT, Saved, ended, line
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit import pipeline
from reprokit.cache import CacheLayout
from reprokit.errors import DamagedRunError, UsageError
from reprokit.machine import Machine
from reprokit.progress import nobody
from reprokit.rows import write_rows
from reprokit.run.directory import RunDirectory
from reprokit.stack import Alteration


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    plan = scripted_plan()
    return Saved(new_run(plan, tmp_path), ready_points(plan))


def _resume(saved: Saved, monkeypatch: pytest.MonkeyPatch, *, refused: bool) -> None:
    """Take the run up where its source is found altered, and refused or put right."""

    def verify(run: RunDirectory, *_: object) -> object:
        if refused:
            raise DamagedRunError("the source is another one")
        return saved.ready

    saved.run.point("p1").mkdir(exist_ok=True)
    found = (Alteration(point="p1", source=("timing.py",)),)
    monkeypatch.setattr(pipeline, "recheck", lambda *_: found)
    monkeypatch.setattr(pipeline, "verify_points", verify)
    monkeypatch.setattr(pipeline, "_execute", lambda *_: None)
    machine = Machine(runs=saved.run.path.parent, cache=CacheLayout(saved.run.path / "c"))
    pipeline.run_invocations(saved.run, machine, nobody)


def test_a_refused_resume_leaves_the_run_as_it_was(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    with pytest.raises(DamagedRunError):
        _resume(saved, monkeypatch, refused=True)
    assert saved.run.read_alterations() == {}


def test_what_was_altered_and_put_right_is_on_record(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    _resume(saved, monkeypatch, refused=False)
    assert set(saved.run.read_alterations()) == {"p1"}


def test_what_was_altered_before_anything_was_measured_spoilt_nothing(
    saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resume(saved, monkeypatch, refused=False)
    assert saved.run.read_alterations() == {}


def _found(saved: Saved) -> RunDirectory:
    return pipeline._unfinished_run(saved.run.path.parent.parent, saved.run.plan)


def test_an_interrupted_run_that_was_scored_and_reported_is_unfinished(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    write_rows(saved.run, saved.rows())
    saved.run.report.write_text("open\n")
    assert _found(saved) == saved.run
    saved.run.rows.unlink()
    assert _found(saved) == saved.run


def test_a_run_whose_invocations_all_ended_is_finished(saved: Saved) -> None:
    for planned in (BASELINE, SUBJECT):
        saved.save(planned, [line(0), line(1)], ended(returncode=1))
    write_rows(saved.run, saved.rows())
    assert _found(saved) == saved.run
    saved.run.report.write_text("done\n")
    with pytest.raises(UsageError, match="no unfinished run"):
        _found(saved)
