"""Air gap: gathered on one machine, measured on another where no network socket can be opened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import no_network
import pytest
from air_gap import (
    REPOSITORY,
    SUPPORT,
    Closed,
    bundle,
    carried,
    claim_of,
    make_closed,
    make_open,
    ready,
)
from command_line import Machine, Result

from reprokit.records import RowStatus
from reprokit.rows import read_rows
from reprokit.run.manifest import write_manifest

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not no_network.supported(), reason="needs seccomp: Linux, x86_64 or arm64"),
]


@pytest.fixture
def open_machine(tmp_path: Path) -> Machine:
    return make_open(tmp_path / "open")


@pytest.fixture
def closed(tmp_path: Path) -> Closed:
    return make_closed(tmp_path / "closed")


def verdict_of(closed: Machine, run: str) -> Result:
    return closed.run("score", run, "--json", "--quiet")


def test_no_network_means_none() -> None:
    reach = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "no_network.py"), sys.executable, "-c", reach],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "PermissionError" in done.stderr


def test_a_bundle_gives_the_same_verdict_without_a_network(
    open_machine: Machine, closed: Closed
) -> None:
    claim = claim_of(open_machine, model="llama")
    gathered = bundle(open_machine, claim, "--sweep", "sha,dummy")
    assert gathered.code == 0, gathered.err
    assert "wheels: 2 files" in gathered.err
    assert "model: files of llama, about 5 B" in gathered.err
    here = open_machine.run(
        "verify", str(claim), "--allow-local-repos", "--sweep", "sha,dummy", "--json", "--quiet"
    )
    place = carried(open_machine, closed)
    for path in place.rglob("*"):
        assert not path.is_file() or b"hf_secret" not in path.read_bytes(), path
    done = closed.run("run", "--bundle", str(place), "--quiet")
    assert done.code == 0, done.err
    run = done.out.strip()
    scored = verdict_of(closed, run)
    assert scored.code == here.code, scored.err
    assert scored.verdict().outcome == here.verdict().outcome
    rows = list(read_rows(Path(run) / "rows.jsonl"))
    assert {row.status for row in rows} == {RowStatus.OK}
    assert len({row.point for row in rows}) == 4
    point = ready(run, "sha-head_dummy-2.0")
    assert any("prepared from a bundle" in note for note in point.notes)
    assert (Path(point.assets["weights"]) / "model.bin").read_text() == "llama"
    assert closed.run("report", run).code == 0


def damage_wheel(place: Path) -> None:
    path = place / "wheels" / "dummy-1.0-py3-none-any.whl"
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "wheels/dummy-1.0-py3-none-any.whl was changed": damage_wheel,
    ".bundle is missing": lambda place: next(place.glob("git/*")).unlink(),
    "locks/more.txt is not in": lambda place: (place / "locks" / "more.txt").touch(),
    "bundle.json is missing": lambda place: (place / "bundle.json").unlink(),
    "MANIFEST.sha256 is missing": lambda place: (place / "MANIFEST.sha256").unlink(),
    "was not finished": lambda place: (place / "bundle.unfinished").touch(),
    "is not a whole bundle": shutil.rmtree,
}


def test_a_damaged_bundle_is_refused_by_the_name_of_the_file(
    open_machine: Machine, closed: Closed
) -> None:
    assert bundle(open_machine, claim_of(open_machine)).code == 0
    whole = carried(open_machine, closed)
    for number, (said, damage) in enumerate(DAMAGES.items()):
        place = whole.with_name(f"damaged-{number}")
        shutil.copytree(whole, place)
        damage(place)
        done = closed.run("run", "--bundle", str(place), "--quiet")
        assert done.code == 4, done.err
        assert said in done.err
        assert "Traceback" not in done.err
    assert not closed.runs()


def test_a_bundle_for_another_machine_is_refused(open_machine: Machine, closed: Closed) -> None:
    claim = claim_of(open_machine)
    made = bundle(open_machine, claim, "--platform", "manylinux_2_28_riscv64")
    assert made.code == 2
    assert "is not a platform" in made.err
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    made = bundle(open_machine, claim, f"--platform={other}-manylinux_2_28")
    assert made.code == 0, made.err
    place = carried(open_machine, closed)
    done = closed.run("run", "--bundle", str(place), "--quiet")
    assert done.code == 4
    assert f"for {other} processors" in done.err


def test_a_bundle_for_another_python_is_refused(open_machine: Machine, closed: Closed) -> None:
    made = bundle(open_machine, claim_of(open_machine), "--python-version=3.20")
    assert made.code == 0, made.err
    done = closed.run("run", "--bundle", str(carried(open_machine, closed)), "--quiet")
    assert done.code == 4
    assert "the bundle is for Python 3.20" in done.err


def test_a_point_without_wheels_does_not_stop_the_others(
    open_machine: Machine, closed: Closed
) -> None:
    made = bundle(open_machine, claim_of(open_machine), "--sweep", "dummy=1.0,9.9")
    assert made.code == 0, made.err
    assert "dummy-9.9: resolve_failed" in made.err
    done = closed.run("run", "--bundle", str(carried(open_machine, closed)), "--quiet")
    assert done.code == 0, done.err
    point = ready(done.out.strip(), "dummy-9.9")
    assert point.failed == "resolve_failed"
    assert "when the bundle was made" in (point.failed_detail or "")
    statuses = {row.status for row in read_rows(Path(done.out.strip()) / "rows.jsonl")}
    assert statuses == {RowStatus.OK, RowStatus.ENVIRONMENT_FAILED}


def test_a_bundle_of_nothing_is_an_error(open_machine: Machine) -> None:
    made = bundle(open_machine, claim_of(open_machine), "--sweep", "dummy=9.9")
    assert made.code == 4
    assert "no stack point can be bundled" in made.err


def rewritten(place: Path, **changes: object) -> None:
    """Alter the record of a bundle, and its manifest too, as only a person on purpose does."""
    record = json.loads((place / "bundle.json").read_text())
    (place / "bundle.json").write_text(json.dumps({**record, **changes}))
    (place / "MANIFEST.sha256").unlink()
    write_manifest(place)


def test_what_a_bundle_lacks_is_not_fetched(open_machine: Machine, closed: Closed) -> None:
    assert bundle(open_machine, claim_of(open_machine, model="llama")).code == 0
    place = carried(open_machine, closed)
    shutil.rmtree(place / "models")
    rewritten(place, models=[])
    done = closed.run("run", "--bundle", str(place), "--quiet")
    point = ready(done.out.strip(), "base")
    assert point.failed == "asset_failed"
    assert "no network may be used" in (point.failed_detail or "")
    rewritten(place, points=[])
    done = closed.run("run", "--bundle", str(place), "--quiet")
    assert (done.code, "names other stack points" in done.err) == (4, True)


def test_an_interrupted_run_goes_on_from_its_bundle(open_machine: Machine, closed: Closed) -> None:
    assert bundle(open_machine, claim_of(open_machine)).code == 0
    place = carried(open_machine, closed)
    run = closed.run("run", "--bundle", str(place), "--quiet").out.strip()
    shutil.rmtree(next(Path(run).glob("invocations/*")))
    again = closed.run("run", run, "--bundle", str(place), "--quiet")
    assert again.code == 0, again.err
    assert len(closed.runs()) == 1
    assert verdict_of(closed, run).code in {0, 3}


def test_an_unfinished_bundle_is_finished_and_a_finished_one_is_left_alone(
    open_machine: Machine,
) -> None:
    claim = claim_of(open_machine, model="llama")
    without = Machine(open_machine.root, open_machine.mark, REPOSITORY)
    made = bundle(without, claim)
    assert made.code == 4
    assert "the hub wants a token" in made.err
    folder = open_machine.root / "bundle"
    assert (folder / "bundle.unfinished").exists()
    assert not (folder / "MANIFEST.sha256").exists()
    for left in ("wheels/.fetch-killed", "models/of-another-attempt", "git/x.bundle.lock"):
        (folder / left).mkdir(parents=True)
        (folder / left / "half").write_text("gated weights, an address with a password")
    (folder / "locks").mkdir(exist_ok=True)
    (folder / "locks" / "gone.txt").touch()
    assert bundle(open_machine, claim).code == 0
    listed = (folder / "MANIFEST.sha256").read_text()
    assert "half" not in listed
    assert "gone.txt" not in listed
    assert not list(folder.rglob("half"))
    again = bundle(open_machine, claim)
    assert again.code == 4
    assert "holds a finished bundle" in again.err


def test_options_that_do_not_go_together_are_refused(open_machine: Machine) -> None:
    claim = claim_of(open_machine)
    alone = open_machine.run("prepare", str(claim), "--allow-local-repos", "--platform=linux")
    assert (alone.code, "Use them with --bundle" in alone.err) == (2, True)
    auto = bundle(open_machine, claim, "--torch-backend=auto")
    assert (auto.code, "Name it: --torch-backend" in auto.err) == (2, True)
    nothing = open_machine.run("run")
    assert (nothing.code, "--bundle FOLDER" in nothing.err) == (2, True)
    assert not (open_machine.root / "bundle" / "MANIFEST.sha256").exists()
