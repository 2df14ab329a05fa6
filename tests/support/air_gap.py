"""A connected machine, one without a network, and the bundle that is carried between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from command_line import Machine, Result, make_machine
from dummy_wheels import write_wheel

from reprokit.stack import ReadyPoint

SUPPORT = Path(__file__).parent
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


def make_open(root: Path) -> Machine:
    """Make the connected machine: wheels, a repository, a hub that wants a token."""
    root.mkdir()
    made = make_machine(root, uuid.uuid4().hex)
    write_wheel(root / "wheels", "huggingface_hub", "1.0")
    return Machine(root, made.mark, {"SCRIPTED_TOKEN": "hf_secret", **REPOSITORY})


def make_closed(root: Path) -> Closed:
    """Make the other machine: nothing of the first, and an index that would need a network."""
    root.mkdir()
    (root / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/simple\n")
    return Closed(root, uuid.uuid4().hex, {"UV_HTTP_RETRIES": "0", **REPOSITORY})


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
    """Make a bundle beside the claim."""
    return machine.run(
        "prepare", str(claim), "--allow-local-repos", "--bundle", "bundle", "--quiet", *more
    )


def carried(machine: Machine, closed: Closed) -> Path:
    """Carry the bundle over; the first machine is out of reach afterwards."""
    place = closed.root / "carried"
    shutil.copytree(machine.root / "bundle", place)
    machine.root.rename(machine.root.with_name("out-of-reach"))
    return place


def ready(run: str | Path, point: str) -> ReadyPoint:
    """Read what became of a point."""
    path = Path(run) / "points" / point / "stack.json"
    return ReadyPoint.model_validate_json(path.read_text())
