"""Air gap: gathered on one machine, measured on another where no network socket can be opened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import no_network
import pytest
from command_line import Machine, Result, make_machine
from dummy_wheels import write_wheel

from reprokit.records import RowStatus
from reprokit.rows import read_rows
from reprokit.stack import ReadyPoint

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not no_network.supported(), reason="needs seccomp: Linux, x86_64 or arm64"),
]

SUPPORT = Path(__file__).parents[1] / "support"
REPOSITORY = {"SCRIPTED_REPOSITORY": "1"}
BENCHMARK = SUPPORT / "scripted_adapter" / "benchmark" / "scripted_bench.py"


class Closed(Machine):
    """A machine without a network: any socket to one is refused by the kernel."""

    def run(self, *arguments: str) -> Result:
        """Run reprokit to its end."""
        done = subprocess.run(
            [sys.executable, str(SUPPORT / "no_network.py"), sys.executable, "-m", "reprokit",
             *arguments],
            cwd=self.root, env=self.environment(), text=True, capture_output=True, check=False,
            timeout=240, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Result(self, done.returncode, done.stdout, done.stderr)


def commits(path: Path) -> tuple[str, str]:
    """Make a repository whose two commits hold the benchmark."""
    path.mkdir()

    def git(*arguments: str) -> str:
        own = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=path, env=own, check=True, text=True,
            capture_output=True,
        )  # fmt: skip
        return done.stdout.strip()

    git("init", "--quiet")
    shutil.copyfile(BENCHMARK, path / BENCHMARK.name)
    made = []
    for name in ("first", "second"):
        (path / "NAME").write_text(name)
        git("add", "--all")
        git("commit", "--quiet", "--message", name)
        made.append(git("rev-parse", "HEAD"))
    return made[0], made[1]


@pytest.fixture
def open_machine(tmp_path: Path) -> Machine:
    """The connected machine: wheels, a repository, a hub that wants a token."""
    root = tmp_path / "open"
    root.mkdir()
    made = make_machine(root, uuid.uuid4().hex)
    write_wheel(root / "wheels", "huggingface_hub", "1.0")
    return Machine(root, made.mark, {"SCRIPTED_TOKEN": "hf_secret", **REPOSITORY})


@pytest.fixture
def closed(tmp_path: Path) -> Closed:
    """The other machine: nothing of the first is there, and its index would need a network."""
    root = tmp_path / "closed"
    root.mkdir()
    (root / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/simple\n")
    return Closed(root, uuid.uuid4().hex, REPOSITORY)


def claim_of(machine: Machine, **options: object) -> Path:
    """Write a claim about a repository of its own, swept over its commits too."""
    repository = machine.root / "repository"
    pinned, head = commits(repository)
    path = machine.write_claim(options=options)
    text = path.read_text().replace(
        "source: {builtin: scripted}", f"source: {{repo: {repository}, commit: {pinned}}}"
    )
    text = text.replace("sweep: {", f"sweep: {{sha: {{pinned: {pinned}, head: {head}}}, ")
    path.write_text(text)
    return path


def bundle(machine: Machine, claim: Path, *more: str) -> Result:
    return machine.run(
        "prepare", str(claim), "--allow-local-repos", "--bundle", "bundle", "--quiet", *more
    )


def carried(machine: Machine, closed: Closed) -> Path:
    """Carry the bundle over; the first machine is out of reach afterwards."""
    place = closed.root / "carried"
    shutil.copytree(machine.root / "bundle", place)
    machine.root.rename(machine.root.with_name("out-of-reach"))
    return place


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


def ready(run: str | Path, point: str) -> ReadyPoint:
    path = Path(run) / "points" / point / "stack.json"
    return ReadyPoint.model_validate_json(path.read_text())


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


def test_what_a_bundle_lacks_is_not_fetched(open_machine: Machine, closed: Closed) -> None:
    assert bundle(open_machine, claim_of(open_machine, model="llama")).code == 0
    place = carried(open_machine, closed)
    record = json.loads((place / "bundle.json").read_text())
    (place / "bundle.json").write_text(json.dumps({**record, "models": []}))
    shutil.rmtree(place / "models")
    (place / "MANIFEST.sha256").unlink()
    rewrite = "from reprokit.run.manifest import write_manifest as w; import pathlib as p, sys; "
    subprocess.run([sys.executable, "-c", f"{rewrite}w(p.Path(sys.argv[1]))", place], check=True)
    done = closed.run("run", "--bundle", str(place), "--quiet")
    point = ready(done.out.strip(), "base")
    assert point.failed == "asset_failed"
    assert "no network may be used" in (point.failed_detail or "")


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
    assert bundle(open_machine, claim).code == 0
    again = bundle(open_machine, claim)
    assert again.code == 4
    assert "holds a finished bundle" in again.err


def test_options_that_do_not_go_together_are_refused(open_machine: Machine) -> None:
    claim = claim_of(open_machine)
    alone = open_machine.run("prepare", str(claim), "--allow-local-repos", "--platform=linux")
    assert (alone.code, "Use them with --bundle" in alone.err) == (2, True)
    host = bundle(open_machine, claim, "--stack", f"host:{sys.executable}")
    assert (host.code, "does not go with --stack host" in host.err) == (2, True)
    auto = bundle(open_machine, claim, "--torch-backend=auto")
    assert (auto.code, "Name it: --torch-backend" in auto.err) == (2, True)
    nothing = open_machine.run("run")
    assert (nothing.code, "--bundle FOLDER" in nothing.err) == (2, True)
    assert not (open_machine.root / "bundle" / "MANIFEST.sha256").exists()
