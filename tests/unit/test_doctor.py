"""`reprokit doctor` on machines that lack something; programs and drivers are stand-ins."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from reprokit.cache import CacheLayout
from reprokit.doctor import devices
from reprokit.doctor.devices import check_gpu, check_sandbox
from reprokit.doctor.disk import check_cache, check_runs
from reprokit.doctor.network import check_index, check_token
from reprokit.doctor.records import Diagnosis, Level, fail, ok, warn
from reprokit.doctor.surroundings import Surroundings
from reprokit.doctor.tools import check_compiler, check_git, check_python, check_uv
from reprokit.errors import ExitCode, ReprokitError, UsageError
from reprokit.gpu.inventory import FoundGpu, Inventory
from reprokit.process.tool import ToolResult


class Machine:
    """A machine with the programs that a test puts on its PATH."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root, root / "bin"
        self.bin.mkdir()
        self.environ = {"PATH": str(self.bin), "HOME": str(root)}
        self.answers: dict[str, ToolResult] = {}
        self.inventory = Inventory(why="no_nvml: no driver")
        self.asked: list[list[str]] = []
        self.hidden: str | None = None
        self.modules = {"huggingface_hub"}

    def has(self, program: str, out: str = "", *, code: int = 0, err: str = "") -> None:
        path = self.bin / program
        path.write_text("")
        path.chmod(0o755)
        self.answers[program] = ToolResult(code, out, err, timed_out=False)

    def here(self) -> Surroundings:
        return Surroundings(
            CacheLayout(self.root / "cache"), self.root / "runs", self.environ, self.run,
            lambda: self.inventory, lambda: self.hidden, self.modules.__contains__,
        )  # fmt: skip

    def run(self, argv: Sequence[str], limit_s: float) -> ToolResult:
        assert limit_s > 0
        self.asked.append(list(argv))
        name = Path(argv[0]).name
        if name in {"g++", "clang++"} and "-o" in argv and self.answers[name].ok:
            Path(argv[argv.index("-o") + 1]).touch()
        if name not in self.answers:
            raise ReprokitError(f"cannot start {name}")
        return self.answers[name]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def gpu(**facts: object) -> FoundGpu:
    unknown = dict.fromkeys(FoundGpu.model_fields, None)
    named = {"name": "H200", "sm": "sm_90", "memory_mib": 143771, "power_limit_w": 700.0}
    return FoundGpu(**{**unknown, **named, "driver": "580", "unknown": {}, **facts})  # type: ignore[arg-type]


def test_only_what_prevents_verify_is_a_failure() -> None:
    good, odd = ok("a", "b", "c"), warn("a", "b", "c", "d")
    assert Diagnosis(checks=(good, odd)).exit_code is ExitCode.REPRODUCED
    bad = fail("a", "b", "c", "d")
    assert Diagnosis(checks=(good, bad, odd)).exit_code is ExitCode.INFRASTRUCTURE


def test_git_is_looked_for_and_started(machine: Machine) -> None:
    assert check_git(machine.here()).level is Level.FAIL
    machine.has("git", code=1, err="\n broken pipe\n")
    assert "broken pipe" in check_git(machine.here()).found
    machine.has("git", "git version 2.43.0\n")
    assert check_git(machine.here()) == ok(
        "git", "git version 2.43.0", "sources of claims can be checked out"
    )


def test_a_compiler_has_to_compile(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    missing = check_compiler(machine.here())
    assert (missing.level, missing.found) == (Level.FAIL, "no g++ on the PATH")
    machine.has("g++", code=1, err="fatal error: vector: No such file or directory")
    assert "No such file" in check_compiler(machine.here()).found
    machine.has("g++", "g++ (Debian) 12.2.0\nCopyright\n")
    assert check_compiler(machine.here()).found == "g++ (Debian) 12.2.0"
    assert "-fopenmp" in machine.asked[-2]
    machine.environ["CXX"] = "my-c++ -stdlib=x"
    assert "'my-c++ -stdlib=x', which is not there" in check_compiler(machine.here()).found
    machine.environ["CXX"] = "g++ '-O"
    assert "is no command: No closing quotation" in check_compiler(machine.here()).found


def test_a_temporary_folder_that_cannot_be_used_is_no_traceback(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    machine.has("g++", "g++ (Debian) 12.2.0")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    check = check_compiler(machine.here())
    assert (check.level, "TMPDIR" in check.fix) == (Level.FAIL, True)
    assert "No space left" in check.found


def test_a_python_without_headers_is_named(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(machine.root))
    assert "Python.h" in check_python(machine.here()).found
    (machine.root / "Python.h").touch()
    assert check_python(machine.here()).level is Level.OK


def test_a_uv_that_does_not_start_and_a_damaged_configuration_are_named(machine: Machine) -> None:
    assert check_uv(machine.here()).level is Level.FAIL
    machine.has("uv", "uv 9.9\n")
    assert check_uv(machine.here()).found == "uv 9.9"
    config = machine.root / "pip.conf"
    config.write_text("this is no configuration")
    machine.environ["PIP_CONFIG_FILE"] = str(config)
    damaged = check_uv(machine.here())
    assert (damaged.level, "pip.conf" in damaged.found) == (Level.FAIL, True)
    machine.environ["PIP_CONFIG_FILE"] = os.devnull
    shutil.rmtree(machine.root / "cache", ignore_errors=True)
    (machine.root / "cache").touch()
    assert check_uv(machine.here()).level is Level.FAIL


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_cache_dir", homeless)
    monkeypatch.delenv("REPROKIT_CACHE", raising=False)
    with pytest.raises(UsageError, match="no folder for the cache") as raised:
        CacheLayout.default()
    assert "REPROKIT_CACHE" in raised.value.hint
    monkeypatch.setenv("REPROKIT_CACHE", "/somewhere")
    assert CacheLayout.default().root == Path("/somewhere")


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_a_token_is_looked_for_without_a_home(
    machine: Machine, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    machine.environ = {**environ, "HF_HOME": str(machine.root)}
    assert check_token(machine.here()).level is Level.WARN


@pytest.mark.parametrize(
    ("free", "level"), [(1 << 20, Level.FAIL), (5 << 30, Level.WARN), (900 << 30, Level.OK)]
)
def test_a_disk_is_judged_by_what_it_has_to_hold(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
    check = check_cache(machine.here())
    assert (check.level, "GiB free" in check.found) == (level, True)
    assert not (machine.root / "cache").exists()


def test_folders_that_cannot_be_used_are_failures(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = replace(machine.here(), runs=machine.root / ("a" * 300))
    assert check_runs(long).level is Level.FAIL
    (machine.root / "runs").touch()
    assert check_runs(machine.here()).level is Level.FAIL
    roomy = SimpleNamespace(free=900 << 30)
    monkeypatch.setattr("shutil.disk_usage", lambda _: roomy)
    monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    check = check_cache(machine.here())
    assert (check.level, "noexec" in check.found) == (Level.FAIL, True)


def test_a_token_is_found_and_never_shown(machine: Machine) -> None:
    assert check_token(machine.here()).level is Level.WARN
    stored = machine.root / ".cache" / "huggingface" / "token"
    stored.parent.mkdir(parents=True)
    stored.touch()
    assert check_token(machine.here()).level is Level.WARN
    stored.write_text("hf_secret")
    assert check_token(machine.here()).found == f"set in {stored}"
    machine.environ["HF_TOKEN"] = "hf_secret"
    told = check_token(machine.here())
    assert told.found == "set in HF_TOKEN"
    assert "hf_secret" not in told.model_dump_json()
    machine.environ["HF_TOKEN"] = "  "
    assert check_token(machine.here()).found == f"set in {stored}"


def test_a_token_that_only_a_claims_own_stack_could_use_is_a_warning(machine: Machine) -> None:
    machine.environ["HF_TOKEN"] = "hf_secret"
    machine.modules.clear()
    check = check_token(machine.here())
    assert (check.level, "pip install huggingface_hub" in check.fix) == (Level.WARN, True)


def test_no_gpu_is_a_warning_with_the_drivers_words(machine: Machine) -> None:
    check = check_gpu(machine.here())
    assert (check.level, check.found) == (Level.WARN, "no_nvml: no driver")
    machine.has("rocm-smi")
    assert "--stack host" in check_gpu(machine.here()).fix


def test_a_gpu_is_described_and_other_work_on_it_is_named(machine: Machine) -> None:
    machine.inventory = Inventory(gpus=(gpu(),))
    machine.has("nvidia-smi", "")
    check = check_gpu(machine.here())
    assert check.level is Level.OK
    assert check.found == "H200 (sm_90, 140 GiB, 700 W, driver 580)"
    machine.has("nvidia-smi", "4242, 1024 MiB\n")
    busy = check_gpu(machine.here())
    assert (busy.level, "process 4242 (1024 MiB)" in busy.found) == (Level.WARN, True)
    machine.has("nvidia-smi", "No running processes\n", code=0)
    assert check_gpu(machine.here()).level is Level.OK
    machine.inventory = Inventory(gpus=(gpu(mig=True, name=None, sm=None),))
    assert "MIG" in check_gpu(machine.here()).found


def test_other_work_that_cannot_be_seen_is_never_taken_for_none(machine: Machine) -> None:
    machine.inventory = Inventory(gpus=(gpu(),))
    for code, err, words in (
        (None, "", "nvidia-smi is not on the PATH"),
        (9, "Failed to initialize NVML", "nvidia-smi: Failed to initialize NVML"),
        (0, "", "a container"),
    ):
        machine.hidden = "a container" if code == 0 else None
        if code is not None:
            machine.has("nvidia-smi", code=code, err=err)
        check = check_gpu(machine.here())
        assert check.level is Level.WARN
        assert f"cannot be told ({words})" in check.found


def test_an_index_that_gives_nothing_does_not_count_as_one_that_answers(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page to log in before the network, an index that refuses, one that lacks the package."""
    machine.has("uv")
    unsatisfied = "error: No solution found when resolving dependencies\n  cause: Because there "
    for hint, words in (("", "Because there"), ("hint: (401 Unauthorized)", "401 Unauthorized")):
        answer = ToolResult(1, "", f"{unsatisfied}\n\n{hint}\n", timed_out=False)
        monkeypatch.setattr("reprokit.envs.uv_command.Uv.pip", lambda *_, now=answer, **__: now)
        check = check_index(machine.here())
        assert check.level is Level.WARN
        assert words in check.found
        machine.environ["PIP_NO_INDEX"] = "1"
        assert check_index(machine.here()).level is Level.OK, "wheels in a folder may be enough"
        del machine.environ["PIP_NO_INDEX"]


def test_a_sandbox_has_to_work(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_MARKS", ())
    assert "not installed; on the machine itself" in check_sandbox(machine.here()).found
    machine.has("bwrap", code=1, err="bwrap: No permissions to create new namespace")
    assert "No permissions" in check_sandbox(machine.here()).found
    machine.has("bwrap")
    assert check_sandbox(machine.here()).level is Level.OK
    monkeypatch.setattr(devices, "_MARKS", (machine.bin,))
    assert "in a container" in check_sandbox(machine.here()).found


def test_no_program_is_handed_the_token(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    handed: dict[str, str] = {}

    def started(argv: Sequence[str], *, env: dict[str, str], timeout_s: float) -> ToolResult:
        handed.update(env)
        return ToolResult(0, "", "", timed_out=False)

    monkeypatch.setattr("reprokit.doctor.surroundings.run_tool", started)
    machine.environ["HF_TOKEN"] = "hf_secret"
    replace(machine.here(), tool=None).run("git", "--version")
    assert set(handed) == {"PATH", "HOME"}


def test_a_program_that_cannot_be_started_has_failed(machine: Machine) -> None:
    assert machine.here().run("no-such-program").stderr == "cannot start no-such-program"
