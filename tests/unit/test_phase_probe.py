"""Launches that split the phases: after the others, once each, and never counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from saved_run import ended
from scripted import ScriptedAdapter
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.adapter import Adapter, Command, Invocation, PointContext, Setup
from reprokit.atomic_files import write_record
from reprokit.cli.main import invoke
from reprokit.errors import DamagedRunError, UsageError
from reprokit.process.launch import EXIT, Exit
from reprokit.process.lease import LEASE
from reprokit.progress import nobody
from reprokit.records import Phases, PhaseSample
from reprokit.run import phase_probe
from reprokit.run.directory import RunDirectory
from reprokit.run.phase_probe import PROBES, RECORD, probe_phases, read_probes
from reprokit.stack import ReadyPoint

FOUND = Phases(samples=(PhaseSample(prefill_ms=9.0, decode_ms=20.0, decode_steps=10),))
POINTS = ("p1", "p2")


class Splitting(ScriptedAdapter):
    """An adapter that tells phases apart."""

    def phase_command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        if point.point == "p2":
            raise UsageError("it cannot be asked")
        return Command(argv=("probe", invocation.id), cwd=invocation.directory)

    def read_phases(self, setup: Setup, point: PointContext, invocation: Invocation) -> Phases:
        return FOUND


@dataclass
class Launcher:
    """Notes what would have been started."""

    end: Exit = field(default_factory=ended)
    started: list[str] = field(default_factory=list)

    def launch_beside(self, ready: ReadyPoint, command: Command, folder: Path) -> Exit:
        self.started.append(command.argv[1])
        assert folder.is_dir()
        return self.end


def make_all(run: RunDirectory, failed: str = "") -> None:
    """Let every invocation end well but those of one point and arm."""
    for planned in run.plan.invocations:
        folder = run.invocation(planned.id)
        folder.mkdir(parents=True)
        bad = planned.id.startswith(failed) if failed else False
        write_record(folder / EXIT, ended(returncode=1 if bad else 0))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return new_run(scripted_plan(points=POINTS, invocations=2), tmp_path)


def probe(run: RunDirectory, launcher: Launcher, adapter: Adapter | None = None) -> None:
    probe_phases(launcher, run, ready_points(run.plan), adapter or Splitting(), POINTS, nobody)


def test_every_arm_that_works_is_launched_once_more_and_only_once(run: RunDirectory) -> None:
    make_all(run, failed="p1__all__subject")
    launcher = Launcher()
    probe(run, launcher)
    assert launcher.started == ["p1__all__baseline"]
    found = {each.id: each for each in read_probes(run)}
    assert found["p1__all__baseline"].phases == FOUND
    assert "nothing to split" in str(found["p1__all__subject"].skipped)
    assert found["p2__all__subject"].skipped == "it cannot be asked"
    assert len(found) == 4
    probe(run, launcher)
    assert len(launcher.started) == 1, "a resumed run does not probe again"


def test_a_probe_that_was_cut_short_is_made_anew(run: RunDirectory) -> None:
    make_all(run, failed="p1__all__subject")
    folder = run.path / PROBES / "p1__all__baseline"
    folder.mkdir(parents=True)
    (folder / "launched.json").write_text("half")
    launcher = Launcher()
    probe(run, launcher)
    assert launcher.started == ["p1__all__baseline"]
    assert {path.name for path in folder.iterdir()} == {RECORD}


def test_what_a_killed_run_left_at_work_is_ended_before_its_lease_goes(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_all(run)
    folder = run.path / PROBES / "p1__all__baseline"
    folder.mkdir(parents=True)
    (folder / LEASE).write_text("{}")
    ended_in: list[Path] = []

    def end_stale(directory: Path) -> None:
        if (directory / LEASE).exists():
            ended_in.append(directory)

    monkeypatch.setattr(phase_probe, "end_stale", end_stale)
    probe(run, Launcher())
    assert ended_in == [folder]


@pytest.mark.parametrize("how", ["gone", "a link", "a file"])
def test_a_benchmark_that_takes_its_directory_away_does_not_end_the_run(
    run: RunDirectory, tmp_path: Path, how: str
) -> None:
    class Removes(Launcher):
        def launch_beside(self, ready: ReadyPoint, command: Command, folder: Path) -> Exit:
            folder.rmdir()
            if how == "a link":
                folder.symlink_to(tmp_path)
            if how == "a file":
                folder.write_text("")
            return self.end

    make_all(run)
    probe(run, Removes())
    assert {each.point for each in read_probes(run)} == set(POINTS)
    assert not (tmp_path / RECORD).exists()


def test_phases_of_a_process_that_died_are_not_believed(run: RunDirectory) -> None:
    make_all(run)
    probe(run, Launcher(end=ended(returncode=None, signal="SIGKILL")))
    found = {each.id: each.phases for each in read_probes(run)}
    assert found["p1__all__subject"] == Phases(problem="the process ended with SIGKILL")


def test_an_adapter_without_phases_and_a_point_without_environment_are_skipped(
    run: RunDirectory,
) -> None:
    make_all(run)
    launcher = Launcher()
    ready = ready_points(run.plan)
    ready["p1"] = ready["p1"].model_copy(update={"failed": "lock_failed"})
    probe_phases(launcher, run, ready, ScriptedAdapter(), POINTS, nobody)
    told = {each.point: str(each.skipped) for each in read_probes(run)}
    assert told["p1"] == "the stack point has no environment"
    assert "cannot tell phases apart" in told["p2"]
    assert launcher.started == []


def test_a_damaged_probe_is_said_and_none_is_none(run: RunDirectory) -> None:
    assert read_probes(run) == ()
    folder = run.path / PROBES / "p1__all__subject"
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{}")
    with pytest.raises(DamagedRunError, match=r"probe\.json"):
        read_probes(run)


def test_an_adapter_that_cannot_split_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    claim = Path(__file__).parents[2] / "claims" / "quickstart.yaml"
    assert invoke(["verify", str(claim), "--phase-probe", "--dry-run"]) == 2
    assert "cannot tell phases apart" in capsys.readouterr().err
