"""The whole line through the command line: exit codes, stages, reuse, tampering, mistakes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import uuid
from pathlib import Path

import pytest
from command_line import Machine, Result, make_machine
from processes import file_appears, marked

from reprokit.run.manifest import verify_manifest

pytestmark = pytest.mark.integration


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path, uuid.uuid4().hex)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Verify a claim over its sweep, for tests that leave the run as it is."""
    machine = make_machine(tmp_path_factory.mktemp("verified"), uuid.uuid4().hex)
    return machine.run("verify", str(machine.write_claim()), "--sweep", "dummy", "--json")


def copied(verified: Result, machine: Machine) -> Path:
    """Copy the run to another machine, to be altered there."""
    return Path(shutil.copytree(verified.path(), machine.root / "copy", symlinks=True))


def test_a_claim_ends_in_a_verdict_over_its_sweep(verified: Result) -> None:
    result = verified
    assert result.code == 0, result.err
    verdict = result.verdict()
    assert [point.axes for point in verdict.points] == [{"dummy": "1.0"}, {"dummy": "2.0"}]
    assert verdict.outcome == "reproduced"
    assert len(result.rows()) == 2 * 2 * 3 * 3
    assert "run 12/12" in result.err
    verify_manifest(result.path())
    assert "reproduced" in (result.path() / "report.md").read_text()
    assert not (result.path() / "cache").exists()


@pytest.mark.parametrize(
    ("expect", "code", "outcome"),
    [
        ("{kind: gain, metric: latency_ms, at_least: 90}", 1, "falls_short"),
        ("{kind: equivalence, metric: latency_ms, margin: 1.03}", 1, "exceeds"),
        ("{kind: value, metric: latency_ms, value: 2.0, unit: ms, margin: 1.2}", 0, "reproduced"),
        ("{kind: stability, equals: 0}", 0, "reproduced"),
    ],
)
def test_exit_codes_tell_verdicts_apart(
    machine: Machine, expect: str, code: int, outcome: str
) -> None:
    claim = str(machine.write_claim(expect=expect, options={"noise": 0.002}, invocations=5))
    result = machine.run("verify", claim, "--json", "--quiet")
    assert (result.code, result.verdict().outcome) == (code, outcome), result.err
    assert not result.err


def test_one_invocation_never_decides(machine: Machine) -> None:
    claim = str(machine.write_claim(invocations=1))
    result = machine.run("verify", claim, "--json")
    assert (result.code, result.verdict().outcome) == (3, "insufficient")


def test_an_axis_that_breaks_it_is_named(machine: Machine) -> None:
    options = {"scenarios": {"dummy-2.0__*__subject__*": "crash"}}
    result = machine.run("verify", str(machine.write_claim(options=options)), "--sweep", "dummy")
    assert result.code == 1
    assert "depends on dummy" in " ".join(result.out.split())


def test_a_version_that_no_index_has_is_an_environment_failure(machine: Machine) -> None:
    claim = str(machine.write_claim())
    result = machine.run("verify", claim, "--sweep", "dummy=7.0", "--json")
    assert result.code == 4
    assert {row.status for row in result.rows()} == {"environment_failed"}
    assert "dummy" in str(result.verdict().environments[0].failed_detail)


def test_stages_alone_give_what_verify_gives(verified: Result) -> None:
    whole, machine = verified, verified.machine
    prepared = machine.run("prepare", str(machine.write_claim()), "--sweep", "dummy")
    assert prepared.code == 0, prepared.err
    run = prepared.out.strip()
    assert machine.run("score", run).code == 3, "nothing was run yet: no decision"
    assert machine.run("run", run).code == 0
    scored = machine.run("score", run, "--json")
    assert (scored.code, scored.verdict()) == (whole.code, whole.verdict())
    assert machine.run("report", run).code == 0
    assert machine.run("show", run).code == 0
    one, other = (path / "report.md" for path in (whole.path(), Path(run)))
    assert one.read_text() == other.read_text()


def test_a_run_is_scored_where_nothing_else_of_it_is(verified: Result, machine: Machine) -> None:
    moved = copied(verified, machine)
    origin = verified.machine.root
    gone = origin.rename(origin.with_name("gone"))
    try:
        scored = machine.run("score", str(moved), "--json")
    finally:
        gone.rename(origin)
    assert (scored.code, scored.verdict()) == (0, verified.verdict())


def test_rows_that_were_never_saved_are_not_read_without_their_source(
    verified: Result, machine: Machine
) -> None:
    run = copied(verified, machine)
    for name in ("rows.jsonl", "MANIFEST.sha256"):
        (run / name).unlink()
    stacks = list(run.glob("points/*/stack.json"))
    assert len(stacks) == 2
    for stack in stacks:
        facts = json.loads(stack.read_text())
        stack.write_text(json.dumps({**facts, "source": "/somewhere/else"}))
    scored = machine.run("score", str(run))
    assert scored.code == 4
    assert "is not on this machine" in scored.err


@pytest.mark.parametrize("name", ["rows.jsonl", "verdict.json", "run.json", "claim/claim.yaml"])
def test_an_edited_bundle_is_refused_by_every_stage(
    verified: Result,
    machine: Machine,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = copied(verified, machine)
    before = (path / name).read_text()
    edited = before.replace("reproduced", "exceeds").replace('"at_least":0', '"at_least":1')
    (path / name).write_text(edited + " " if edited == before else edited)
    for stage in ("show", "score", "report"):
        code = machine.call(stage, str(path), monkeypatch=monkeypatch)
        error = capsys.readouterr().err
        assert code == 3, (stage, error)
        assert name in error or "claim.yaml" in error


def test_a_benchmark_that_alters_its_environment_contaminates_its_point(machine: Machine) -> None:
    options = {"scenarios": {"dummy-1.0__*__subject__01": "alter_environment"}}
    claim = str(machine.write_claim(options=options))
    result = machine.run("verify", claim, "--sweep", "dummy", "--json")
    first, second = result.verdict().points
    assert (first.outcome, second.outcome) == ("invalid", "reproduced")
    assert result.code == 3
    rows = [row for row in result.rows() if row.point == "dummy-1.0"]
    assert {row.status for row in rows} == {"contaminated"}
    assert all("dummy/__init__.py" in str(row.reason) for row in rows)


def test_a_second_run_reuses_every_environment(verified: Result) -> None:
    machine = verified.machine
    claim = str(machine.write_claim())
    before = json.loads(machine.run("env", "list", "--json").out)
    again = machine.run("verify", claim, "--sweep", "dummy")
    after = json.loads(machine.run("env", "list", "--json").out)
    same = ("key", "path", "created")
    assert {tuple(e[k] for k in same) for e in before} == {tuple(e[k] for k in same) for e in after}
    assert len(after) == 2
    assert "building environment" not in again.err


def test_a_tampered_environment_is_refused_by_the_name_of_the_file(machine: Machine) -> None:
    claim = str(machine.write_claim())
    machine.run("verify", claim)
    (module,) = machine.root.glob("cache/envs/*/venv-*/lib/*/site-packages/dummy/__init__.py")
    module.chmod(module.stat().st_mode | stat.S_IWUSR)
    module.write_text("__version__ = '1.0'  # faster\n")
    result = machine.run("verify", claim, "--json")
    assert result.code == 4
    assert "dummy/__init__.py" in str(result.verdict().environments[0].failed_detail)
    key = json.loads(machine.run("env", "list", "--json").out)[0]["key"]
    assert machine.run("env", "prune", key[:12]).code == 0
    # uv's cache may share the altered file through a hard link; a fresh cache surely does not.
    fresh = Machine(machine.root, machine.mark, {"UV_CACHE_DIR": str(machine.root / "uv2")})
    assert fresh.run("verify", claim).code == 0


def test_a_dry_run_prints_the_plan_and_touches_nothing(machine: Machine) -> None:
    result = machine.run("verify", str(machine.write_claim()), "--sweep", "dummy", "--dry-run")
    assert result.code == 0
    assert "12 invocations" in result.out
    assert "36 rows" in result.out
    assert not machine.runs()
    assert not (machine.root / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["verify", "missing.yaml"], "missing.yaml"),
        (["verify", "claim.yaml", "--sweep", "dumy"], "dummy"),
        (["verify", "claim.yaml", "--sweep", "triton"], "triton"),
        (["verify", "claim.yaml", "--set", "protocol.invocation=2"], "invocations"),
        (["verify", "claim.yaml", "--resume"], "no unfinished run"),
        (["verify", "claim.yaml", "--design", "half"], "--design"),
        (["run", "nowhere"], "not a run directory"),
        (["show", "."], "not a run directory"),
        (["env", "show", "abc"], "no environment"),
        (["env", "prune"], "--all"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_mistake_ends_with_2_and_a_word_about_it(
    machine: Machine,
    arguments: list[str],
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine.write_claim()
    code = machine.call(*arguments, monkeypatch=monkeypatch)
    out, error = capsys.readouterr()
    assert code == 2, error
    assert part in error
    assert "Traceback" not in error
    assert not out


def test_an_interrupt_keeps_what_was_finished(machine: Machine) -> None:
    claim = str(machine.write_claim(options={"scenarios": {"*__subject__02": "hang"}}))
    process = machine.start("verify", claim)
    file_appears(machine.root / "runs", "pids.json")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not marked(machine.mark)
    (run,) = machine.runs()
    assert machine.run("score", str(run)).code == 3
