"""`--stack host`: an existing interpreter is measured as it is, and the report says what it is."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from pathlib import Path

import pytest
from command_line import Machine, Result, make_machine
from dummy_wheels import write_wheel
from host_interpreter import install, make_host, site_of
from torch_environment import TorchEnvironment

from reprokit.records import RowStatus
from reprokit.stack import ReadyPoint

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine where neither uv nor any index can be had: touching them fails."""
    made = make_machine(tmp_path, uuid.uuid4().hex)
    (tmp_path / "pip.conf").write_text("this is no configuration")
    no_uv = tmp_path / "no-uv"
    no_uv.mkdir()
    (no_uv / "uv.py").write_text("raise RuntimeError('uv was asked for')\n")
    paths = os.pathsep.join([str(no_uv), made.environment()["PYTHONPATH"]])
    return Machine(tmp_path, made.mark, {"PYTHONPATH": paths, "PATH": os.defpath})


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return make_host(tmp_path / "host", dummy="1.0")


def verify(machine: Machine, python: Path, *more: str) -> Result:
    claim = str(machine.write_claim())
    return machine.run("verify", claim, "--stack", f"host:{python}", "--json", *more)


def ready(run: Path, point: str = "base") -> ReadyPoint:
    text = (run / "points" / point / "stack.json").read_text()
    return ReadyPoint.model_validate_json(text)


def prepared(machine: Machine, python: Path) -> ReadyPoint:
    result = machine.run("prepare", str(machine.write_claim()), "--stack", f"host:{python}")
    return ready(Path(result.out.strip().splitlines()[-1]))


def test_a_claim_is_verified_without_uv_and_without_an_index(
    machine: Machine, python: Path
) -> None:
    result = verify(machine, python)
    assert result.code == 0, result.err
    verdict = result.verdict()
    assert "not_locked" in verdict.labels
    assert "other_versions" not in verdict.labels
    assert verdict.environment("base").locked is False
    point = ready(result.path())
    assert (point.python, point.lock_sha256, point.declared) == (str(python), None, True)
    report = (result.path() / "report.md").read_text()
    assert f"--stack host:{python}" in report
    assert "An existing interpreter was measured" in report
    spec = json.loads(next(result.path().glob("invocations/*/spec.json")).read_text())
    assert spec["argv"][0] == str(python)
    assert "PYTHONPATH" not in spec["env"]
    assert "PYTHONPATH" in spec["removed"]


def test_the_interpreter_stays_as_it_was(machine: Machine, python: Path) -> None:
    def content() -> dict[str, int]:
        return {str(path): path.lstat().st_mtime_ns for path in python.parents[1].rglob("*")}

    before = content()
    assert verify(machine, python).code == 0
    assert content() == before


def test_host_alone_is_the_python3_of_the_path(machine: Machine, python: Path) -> None:
    path = f"{python.parent}{os.pathsep}{os.defpath}"
    there = Machine(machine.root, machine.mark, {**machine.extra, "PATH": path})
    result = there.run("verify", str(there.write_claim()), "--stack", "host", "--json")
    assert result.code == 0, result.err
    assert ready(result.path()).python == str(python.with_name("python3"))


def test_without_uv_only_the_interpreters_own_value_of_an_axis_is_measured(
    machine: Machine, python: Path
) -> None:
    result = verify(machine, python, "--sweep", "dummy")
    here, other = (ready(result.path(), f"dummy-{value}") for value in ("1.0", "2.0"))
    assert here.failed is None
    assert (other.failed, other.locked) == ("overlay_failed", False)
    assert "pip's configuration file" in (other.failed_detail or "")
    statuses = {(row.point, row.status) for row in result.rows()}
    assert statuses == {
        ("dummy-1.0", RowStatus.OK),
        ("dummy-2.0", RowStatus.ENVIRONMENT_FAILED),
    }


def test_another_version_is_measured_and_said_to_be_another_stack(
    machine: Machine, tmp_path: Path
) -> None:
    result = verify(machine, make_host(tmp_path / "newer", dummy="3.0"))
    assert result.code == 0, result.err
    assert "other_versions" in result.verdict().labels
    told = "dummy==1.0 is asked for and the interpreter has 3.0"
    assert told in ready(result.path()).unmet
    assert told in (result.path() / "report.md").read_text()


def test_what_is_missing_is_listed(machine: Machine, tmp_path: Path) -> None:
    result = verify(machine, make_host(tmp_path / "empty"))
    assert result.code == 4
    point = ready(result.path())
    assert point.failed == "requirements_missing"
    assert "dummy==1.0" in (point.failed_detail or "")
    assert "PYTHONPATH is set, and is not handed on" in (point.failed_detail or "")


def test_what_others_declare_is_judged_without_a_resolver(machine: Machine, python: Path) -> None:
    wheels = python.parents[1] / "wheels"
    needs = ("other>=2", "gone; python_version < '3'", "nice; extra == 'all'")
    install(python, write_wheel(wheels, "dummy", "1.0", requires=needs))
    install(python, write_wheel(wheels, "other", "1.0"))
    point = prepared(machine, python)
    assert point.failed is None
    assert not point.declared
    assert point.resolver_says == "dummy 1.0 requires other>=2, and the interpreter has 1.0"


def test_a_prepared_run_stays_on_its_interpreter(machine: Machine, python: Path) -> None:
    done = machine.run("prepare", str(machine.write_claim()), "--stack", f"host:{python}")
    assert done.code == 0, done.err
    run = done.out.strip()
    assert machine.run("run", run).code == 0
    assert machine.run("score", run).code == 0


def test_a_changed_interpreter_is_refused(machine: Machine, python: Path, tmp_path: Path) -> None:
    done = machine.run("prepare", str(machine.write_claim()), "--stack", f"host:{python}")
    shutil.rmtree(site_of(python) / "dummy-1.0.dist-info")
    install(python, write_wheel(tmp_path / "new", "dummy", "1.5"))
    result = machine.run("run", done.out.strip())
    assert result.code == 3
    assert "dummy is 1.5 and was 1.0" in result.err
    assert not list(Path(done.out.strip()).glob("invocations/*"))


def test_an_interpreter_that_the_benchmark_alters_contaminates_its_point(
    machine: Machine, python: Path
) -> None:
    claim = machine.write_claim(options={"scenarios": {"*__subject__01": "alter_environment"}})
    result = machine.run("verify", str(claim), "--stack", f"host:{python}", "--json")
    assert result.code == 3, result.err
    assert {row.status for row in result.rows()} == {RowStatus.CONTAMINATED}
    assert all("dummy/__init__.py" in str(row.reason) for row in result.rows())


def test_a_dry_run_names_the_interpreter_and_starts_nothing(machine: Machine, python: Path) -> None:
    claim = str(machine.write_claim())
    result = machine.run("verify", claim, "--stack", f"host:{python}", "--dry-run")
    assert result.code == 0
    assert f"existing interpreter {python}: no lock" in result.out
    assert "packages of" not in result.out
    assert not (machine.root / "cache").exists()


@pytest.mark.parametrize(
    ("stack", "said"),
    [
        ("host:{root}/nothing", "there is no interpreter"),
        ("host:{root}/broken", "does not start as a Python 3: oh dear"),
        ("host:{root}/old", "is Python 3.6.15, which is too old"),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing(machine: Machine, stack: str, said: str) -> None:
    for name, script in (("broken", "echo oh dear >&2; exit 7"), ("old", "echo 3.6.15")):
        file = machine.root / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    claim = str(machine.write_claim())
    result = machine.run("verify", claim, "--stack", stack.format(root=machine.root))
    assert result.code == 2, result.err
    assert said in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert not machine.runs()


def test_options_about_locks_do_not_go_with_it(machine: Machine, python: Path) -> None:
    result = verify(machine, python, "--relock")
    assert result.code == 2
    assert "--stack host has no lock" in result.err


def test_a_real_torch_is_measured_where_it_is(
    machine: Machine, torch_environment: TorchEnvironment
) -> None:
    small = [f"--set=protocol.{value}" for value in ("invocations=1", "samples=3", "warmup=3")]
    extra = {**machine.extra, **torch_environment.toolchain()}
    result = Machine(machine.root, machine.mark, extra).run(
        "verify", str(ROOT / "claims" / "quickstart.yaml"), "--json", *small,
        "--stack", f"host:{torch_environment.python}",
    )  # fmt: skip
    assert result.code == 3, result.err  # one invocation never decides
    point = ready(result.path())
    assert point.failed is None, point.failed_detail
    assert point.probe is not None
    assert point.probe.version("torch") is not None
    assert not point.probe.altered
    assert any("transformers==4.57.6 is asked for" in each for each in point.unmet)
    assert {row.status for row in result.rows()} == {RowStatus.OK}
