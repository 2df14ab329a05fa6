"""A run directory is created whole, held by one, and notices what was done to it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.errors import DamagedRunError, RunError, UsageError
from reprokit.run.directory import RunDirectory
from reprokit.run.manifest import MANIFEST, verify_manifest, write_manifest


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return new_run(scripted_plan(points=("p1", "p2")), tmp_path / "runs")


def test_what_is_created_opens_as_the_same_record(run: RunDirectory) -> None:
    assert RunDirectory.open(run.path) == run
    assert run.claim_text() == b"id: scripted\n"
    assert run.path.parent.name == "scripted"


def test_two_runs_never_share_a_directory(tmp_path: Path) -> None:
    paths = {new_run(scripted_plan(), tmp_path).path for _ in range(20)}
    assert len(paths) == 20


def test_a_directory_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run directory"):
        RunDirectory.open(tmp_path)


def test_a_changed_claim_is_noticed(run: RunDirectory) -> None:
    (run.claim_files / "claim.yaml").write_text("id: another\n")
    with pytest.raises(DamagedRunError, match=r"claim\.yaml was changed"):
        RunDirectory.open(run.path)


@pytest.mark.parametrize("text", ["{", '{"schema": "reprokit/run/v2"}', "null"])
def test_a_damaged_record_names_its_file(run: RunDirectory, text: str) -> None:
    (run.path / "run.json").write_text(text)
    with pytest.raises(DamagedRunError, match=r"run\.json"):
        RunDirectory.open(run.path)


@pytest.mark.parametrize("bad", ["../../x", "..", "a/b", ""])
def test_ids_never_lead_out_of_the_directory(run: RunDirectory, bad: str) -> None:
    record = json.loads((run.path / "run.json").read_text())
    record["plan"]["invocations"][0]["id"] = bad
    (run.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(DamagedRunError, match="not a file name"):
        RunDirectory.open(run.path)


def test_ids_are_unique(run: RunDirectory) -> None:
    record = json.loads((run.path / "run.json").read_text())
    record["plan"]["invocations"][1]["id"] = record["plan"]["invocations"][0]["id"]
    (run.path / "run.json").write_text(json.dumps(record))
    with pytest.raises(DamagedRunError, match="same id"):
        RunDirectory.open(run.path)


def test_points_are_read_back_in_the_order_of_the_plan(run: RunDirectory) -> None:
    ready = ready_points(run.plan)
    run.write_point(ready["p2"])
    assert list(run.read_points()) == ["p2"]
    run.write_point(ready["p1"], lock=b"torch==2.7.1\n")
    assert run.read_points() == ready
    assert list(run.read_points()) == ["p1", "p2"]
    assert (run.point("p1") / "lock.txt").read_bytes() == b"torch==2.7.1\n"


def test_only_one_holds_a_run(run: RunDirectory) -> None:
    with run.locked(), pytest.raises(RunError, match="another reprokit process"), run.locked():
        pytest.fail("two hold it")
    with run.locked():
        pass


def test_the_host_is_described_without_its_name(run: RunDirectory) -> None:
    host = run.record.host
    assert host["cpus"]
    assert "node" not in host


def fill(run: RunDirectory) -> None:
    run.write_point(ready_points(run.plan)["p1"], lock=b"x")
    (run.invocation("a")).mkdir()
    (run.invocation("a") / "odd\nname \\ here").write_bytes(b"\0")
    run.compile_cache("p1").mkdir(parents=True)
    (run.compile_cache("p1") / "kernel").write_text("k")
    with run.locked():
        write_manifest(run.path)


def test_a_bundle_is_verified_wherever_it_is_moved(run: RunDirectory, tmp_path: Path) -> None:
    fill(run)
    shutil.rmtree(run.path / "cache")
    moved = tmp_path / "elsewhere"
    shutil.move(run.path, moved)
    verify_manifest(moved)
    listed = (moved / MANIFEST).read_text()
    digest = hashlib.sha256(b"id: scripted\n").hexdigest()
    assert f"{digest}  claim/claim.yaml\n" in listed
    assert "points/p1/lock.txt" in listed
    assert "cache/" not in listed
    assert ".lock\n" not in listed


def test_every_kind_of_damage_is_named(run: RunDirectory) -> None:
    fill(run)
    (run.claim_files / "claim.yaml").write_text("changed")
    (run.point("p1") / "lock.txt").unlink()
    (run.path / "extra.txt").write_text("new")
    with pytest.raises(DamagedRunError) as caught:
        verify_manifest(run.path)
    for words in ("claim.yaml was changed", "lock.txt is missing", "extra.txt is not in the"):
        assert words in caught.value.what


@pytest.mark.parametrize("text", [None, "abc  x\n", "0" * 64 + "\n"])
def test_a_damaged_manifest_is_no_proof(run: RunDirectory, text: str | None) -> None:
    if text is not None:
        (run.path / MANIFEST).write_text(text)
    with pytest.raises(DamagedRunError, match="MANIFEST"):
        verify_manifest(run.path)
