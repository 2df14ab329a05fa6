"""Whatever a benchmark does to its own files, its rows say so and nothing is read from them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from saved_run import SUBJECT, Saved, ended, line
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.atomic_files import write_record
from reprokit.errors import DamagedRunError
from reprokit.records import RowStatus
from reprokit.run.invocation import (
    InvocationSpec,
    identity,
    is_finished,
    keep_record,
    read_spec,
)


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    plan = scripted_plan()
    return Saved(new_run(plan, tmp_path), ready_points(plan))


def test_what_a_benchmark_left_beside_its_directory_is_no_invocation(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    folder = saved.run.invocation(SUBJECT)
    folder.with_name("empty").mkdir()
    folder.with_name("file").write_text("x")
    shutil.copytree(folder, folder.with_name("copy"))
    rows = saved.rows()
    planned = saved.invocation(SUBJECT).model_copy(update={"id": "unplanned"})
    other = folder.with_name("unplanned")
    shutil.copytree(folder, other)
    write_record(other / "spec.json", InvocationSpec(planned=planned, identity="x", timeout_s=1.0))
    with pytest.raises(DamagedRunError, match="unplanned is not in the plan"):
        saved.rows()
    shutil.rmtree(other)
    assert saved.rows() == rows


@pytest.mark.parametrize("name", ["stdout.log", "stderr.log"])
@pytest.mark.parametrize(
    ("replace_it", "reason"),
    [
        (lambda log: None, "files_removed: {name} is gone"),
        (lambda log: log.symlink_to("/dev/zero"), "log_replaced: {name}: it is a symbolic link"),
        (os.mkfifo, "log_replaced: {name}: it is a pipe"),
        (lambda log: log.mkdir(), "log_replaced: {name}: it is a directory"),
        (lambda log: log.write_bytes(b"x" * 9_999), "log_replaced: {name} holds 9999 bytes"),
    ],
)
def test_logs_that_are_not_what_was_written_are_never_read(
    saved: Saved, name: str, replace_it: Callable[[Path], object], reason: str
) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    log = saved.run.invocation(SUBJECT) / name
    log.unlink()
    replace_it(log)
    rows = saved.of(SUBJECT)
    assert {row.status for row in rows} == {RowStatus.CONTAMINATED}
    assert all((row.reason or "").startswith(reason.format(name=name)) for row in rows)


def test_an_end_without_its_spec_is_contaminated(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    (saved.run.invocation(SUBJECT) / "spec.json").unlink()
    (reason,) = {(row.status, (row.reason or "").split(":")[0]) for row in saved.of(SUBJECT)}
    assert reason == (RowStatus.CONTAMINATED, "files_removed")


@pytest.mark.parametrize("name", ["spec.json", "exit.json"])
def test_records_that_are_links_or_pipes_are_not_there(saved: Saved, name: str) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    path = saved.run.invocation(SUBJECT) / name
    path.unlink()
    os.mkfifo(path)
    planned = saved.invocation(SUBJECT)
    mine = identity(saved.run.plan, planned, saved.ready["p1"])
    assert not is_finished(saved.run, planned, mine)
    assert RowStatus.OK not in {row.status for row in saved.of(SUBJECT)}


def test_records_are_put_right_and_what_prevents_it_is_set_aside(saved: Saved) -> None:
    saved.save(SUBJECT, [line(0), line(1)], ended())
    folder, planned = saved.run.invocation(SUBJECT), saved.invocation(SUBJECT)
    spec = read_spec(saved.run, planned, identity(saved.run.plan, planned, saved.ready["p1"]))
    found = saved.run.exit(SUBJECT)
    assert spec is not None
    assert found is not None
    (folder / "spec.json").write_text("{}")
    (folder / "exit.json").unlink()
    os.mkfifo(folder / ".exit.json.tmp")
    keep_record(folder, spec, found)
    assert {row.status for row in saved.of(SUBJECT)} == {RowStatus.OK}
    (folder / "exit.json").unlink()
    (folder / "exit.json").mkdir()
    keep_record(folder, spec, found)
    assert folder.with_name(f"{SUBJECT}.interrupted-1").is_dir()
    assert {row.status for row in saved.of(SUBJECT)} == {RowStatus.CONTAMINATED}
    assert is_finished(saved.run, planned, spec.identity)


def test_a_run_directory_that_cannot_be_written_is_the_machine_s_fault(saved: Saved) -> None:
    saved.save(SUBJECT, [], ended())
    folder, planned = saved.run.invocation(SUBJECT), saved.invocation(SUBJECT)
    spec = read_spec(saved.run, planned, identity(saved.run.plan, planned, saved.ready["p1"]))
    assert spec is not None
    shutil.rmtree(folder.parent)
    with pytest.raises(OSError, match="invocations"):
        keep_record(folder, spec, ended())
