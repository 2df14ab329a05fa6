"""An existing interpreter on a machine without a network: what is carried there, and how."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import no_network
import pytest
from air_gap import Closed, bundle, carried, claim_of, make_closed, make_open, ready
from command_line import Machine
from dummy_wheels import write_wheel
from host_interpreter import make_host

from reprokit.records import RowStatus
from reprokit.rows import read_rows

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not no_network.supported(), reason="needs seccomp: Linux, x86_64 or arm64"),
]
PYTHON = ".".join(platform.python_version_tuple()[:2])


@pytest.fixture
def open_machine(tmp_path: Path) -> Machine:
    return make_open(tmp_path / "open")


@pytest.fixture
def closed(tmp_path: Path) -> Closed:
    return make_closed(tmp_path / "closed")


def outcomes(run: str) -> dict[str, set[RowStatus]]:
    found: dict[str, set[RowStatus]] = {}
    for row in read_rows(Path(run) / "rows.jsonl"):
        found.setdefault(row.point, set()).add(row.status)
    return found


def test_a_bundle_is_measured_on_an_interpreter_that_only_the_other_machine_has(
    open_machine: Machine, closed: Closed
) -> None:
    """The interpreter has a build that is on no index; another value lies in the bundle."""
    write_wheel(open_machine.root / "wheels", "dummy", "3.0", requires=("brought",))
    write_wheel(open_machine.root / "wheels", "brought", "1.0", requires=("torch",))
    claim = claim_of(open_machine, model="llama")
    made = bundle(
        open_machine, claim, "--stack=host", "--sweep=sha,dummy=8.0,3.0,9.9",
        f"--python-version={PYTHON}",
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "wheels: 2 files" in made.err
    assert "the bundle has no wheel of dummy==9.9" in made.err
    assert "there: reprokit run --bundle bundle --stack host" in made.err
    place = carried(open_machine, closed)
    held = sorted(path.name.partition("-")[0] for path in (place / "wheels").iterdir())
    assert held == ["brought", "dummy"]
    python = make_host(closed.root / "host", dummy="8.0", torch="2.11.0")
    done = closed.run("run", "--bundle", str(place), f"--stack=host:{python}", "--quiet")
    assert done.code == 0, done.err
    run = done.out.strip()
    ok, failed = {RowStatus.OK}, {RowStatus.ENVIRONMENT_FAILED}
    assert outcomes(run) == {
        f"sha-{sha}_dummy-{version}": status
        for sha in ("pinned", "head")
        for version, status in (("8.0", ok), ("3.0", ok), ("9.9", failed))
    }
    own, other = (ready(run, f"sha-head_dummy-{version}") for version in ("8.0", "3.0"))
    assert own.overlay is None
    assert other.overlay is not None
    assert other.overlay.distributions == {"dummy": "3.0", "brought": "1.0"}
    assert (other.python, other.locked, other.lock_sha256) == (str(python), False, None)
    assert any("prepared from a bundle" in note for note in other.notes)
    assert ready(run, "sha-head_dummy-9.9").failed == "overlay_unresolved"
    assert closed.run("score", run, "--quiet").code in {0, 3}
    assert closed.run("report", run).code == 0

    shutil.rmtree(next(Path(run).glob("invocations/*dummy-3.0*")))
    again = closed.run("run", run, "--bundle", str(place), "--quiet")
    assert again.code == 0, again.err
    moved = closed.run(
        "run", run, "--bundle", str(place), "--stack=host:python3", "--quiet"
    )  # fmt: skip
    assert (moved.code, "has another plan" in moved.err) == (2, True)


def test_a_bundle_says_whether_it_is_for_an_interpreter(
    open_machine: Machine, closed: Closed
) -> None:
    claim = claim_of(open_machine)
    assert bundle(open_machine, claim).code == 0
    (open_machine.root / "bundle").rename(open_machine.root / "locked")
    assert bundle(open_machine, claim, "--stack=host").code == 0
    shutil.copytree(open_machine.root / "locked", closed.root / "locked")
    place = carried(open_machine, closed)
    nobody = closed.run("run", "--bundle", str(place), "--quiet")
    assert (nobody.code, "--stack host[:PYTHON]" in nobody.err) == (2, True)
    host = closed.run("run", "--bundle", "locked", "--stack=host", "--quiet")
    assert (host.code, "is for locked stacks" in host.err) == (2, True)
    alone = closed.run("run", "runs/some", "--stack=host", "--quiet")
    assert (alone.code, "a run stays on its own" in alone.err) == (2, True)
    assert not closed.runs()


def test_wheels_that_are_carried_beside_a_bundle_count(
    open_machine: Machine, closed: Closed
) -> None:
    made = bundle(open_machine, claim_of(open_machine), "--stack=host", "--sweep=dummy=9.9")
    assert made.code == 0, made.err
    place = carried(open_machine, closed)
    python = make_host(closed.root / "host", dummy="1.0")
    write_wheel(closed.root / "more", "dummy", "9.9")
    done = closed.run(
        "run", "--bundle", str(place), f"--stack=host:{python}", "--find-links=more", "--quiet"
    )
    assert done.code == 0, done.err
    assert outcomes(done.out.strip()) == {"dummy-9.9": {RowStatus.OK}}


def test_a_folder_of_wheels_is_enough_where_there_is_no_network(closed: Closed) -> None:
    """As on a cluster's node: uv and pip are configured with an index that nobody can reach."""
    builtin = Closed(closed.root, closed.mark, {"UV_HTTP_RETRIES": "0"})
    python = make_host(closed.root / "host", dummy="1.0")
    write_wheel(closed.root / "carried", "dummy", "2.0")
    asked = [
        "verify", str(builtin.write_claim()), f"--stack=host:{python}", "--sweep=dummy=1.0,2.0",
        "--find-links=carried", "--json", "--quiet",
    ]  # fmt: skip
    there = builtin.run(*asked, "--offline")
    assert there.code in {0, 3}, there.err
    run = there.path()
    assert outcomes(str(run)) == {"dummy-1.0": {RowStatus.OK}, "dummy-2.0": {RowStatus.OK}}
    assert ready(run, "dummy-2.0").overlay is not None
    without = builtin.run(*asked)
    assert outcomes(str(without.path()))["dummy-2.0"] == {RowStatus.ENVIRONMENT_FAILED}
    detail = ready(without.path(), "dummy-2.0").failed_detail or ""
    assert "could not be reached" in detail
    assert "--find-links FOLDER --offline" in detail


def test_a_source_that_was_not_carried_is_said_and_not_waited_for(
    open_machine: Machine, closed: Closed
) -> None:
    python = make_host(closed.root / "host", dummy="1.0")
    claim = claim_of(open_machine)
    place = closed.root / "claim.yaml"
    shutil.copyfile(claim, place)
    open_machine.root.rename(open_machine.root.with_name("out-of-reach"))
    done = closed.run(
        "verify", str(place), f"--stack=host:{python}", "--offline", "--allow-local-repos",
        "--json", "--quiet",
    )  # fmt: skip
    point = ready(done.path(), "base")
    assert point.failed == "checkout_failed"
    assert "is not on this machine" in (point.failed_detail or "")
    assert "--bundle" in (point.failed_detail or "")


def test_options_that_do_not_go_together_are_refused(open_machine: Machine) -> None:
    claim = str(open_machine.write_claim())
    for more, said in (
        (("--bundle=b",), "--offline does not go with --bundle"),
        (("--torch-backend=cpu",), "--torch-backend chooses an index"),
    ):
        done = open_machine.run("prepare", claim, "--offline", *more)
        assert (done.code, said in done.err) == (2, True), done.err
