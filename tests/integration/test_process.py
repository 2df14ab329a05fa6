"""The process seam: every way to end has its own record, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from processes import MARK, file_appears, marked, wait_for

from reprokit.errors import DamagedRunError, RunError
from reprokit.process import launch
from reprokit.process.launch import Exit, ProcessSpec, read_exit, supervise
from reprokit.process.lease import LEASE, end_stale

pytestmark = pytest.mark.integration

LINUX = sys.platform.startswith("linux")
needs_subreaper = pytest.mark.skipif(not LINUX, reason="needs Linux: a child subreaper")

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
FAMILY = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}])
subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True)
open("up", "w").write("x")
time.sleep(600)
"""


@pytest.fixture
def mark() -> Iterator[str]:
    name = uuid4().hex
    yield name
    left = marked(name)
    for process in left:
        process.kill()
    assert not left, "processes were left behind"


def spec(tmp_path: Path, mark: str, code: str, **changes: Any) -> ProcessSpec:
    directory = tmp_path / "invocation"
    directory.mkdir(exist_ok=True)
    made: dict[str, Any] = {
        "argv": (sys.executable, "-c", code), "cwd": str(directory), "directory": str(directory),
        "env": {"PATH": os.environ["PATH"], MARK: mark}, "timeout_s": 30.0, "grace_s": 0.3,
    }  # fmt: skip
    return ProcessSpec(**{**made, **changes})


def stdout(tmp_path: Path) -> str:
    return (tmp_path / "invocation" / "stdout.log").read_text()


def test_a_good_end(tmp_path: Path, mark: str) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.stdin.read()"
    found = supervise(spec(tmp_path, mark, code))
    assert (found.returncode, found.signal, found.stopped_by) == (0, None, None)
    assert (found.outcome(), found.leftovers, found.unkillable) == ("ok", 0, 0)
    assert (found.stdout_bytes, found.stderr_bytes) == (4, 4)
    assert found.wall_s > 0
    assert found.max_rss_bytes > 1 << 20
    folder = tmp_path / "invocation"
    assert read_exit(folder) == found
    assert {path.name for path in folder.iterdir()} == {"stdout.log", "stderr.log", "exit.json"}


@pytest.mark.parametrize(
    ("code", "returncode", "signal_name"),
    [
        ("raise SystemExit(3)", 3, None),
        ("raise SystemExit(139)", 139, None),
        ("import os; os.kill(os.getpid(), 11)", None, "SIGSEGV"),
        ("import os; os.abort()", None, "SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", None, "SIGKILL"),
    ],
)
def test_an_end_by_signal_is_not_an_end_by_code(
    tmp_path: Path, mark: str, code: str, returncode: int | None, signal_name: str | None
) -> None:
    found = supervise(spec(tmp_path, mark, code))
    assert (found.returncode, found.signal, found.stopped_by) == (returncode, signal_name, None)


def test_the_environment_is_the_given_one(tmp_path: Path, mark: str) -> None:
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    supervise(spec(tmp_path, mark, code, env={"A": "ä\n", MARK: mark}))
    seen = json.loads(stdout(tmp_path))
    assert set(seen) - {"LC_CTYPE"} == {"A", MARK, "REPROKIT_INVOCATION"}
    assert seen["A"] == "ä\n"


@pytest.mark.parametrize(
    "changes", [{"argv": ("/nonexistent/x",)}, {"cwd": "/nonexistent"}, {"argv": ("a\0b",)}]
)
def test_a_command_that_cannot_start_is_recorded(
    tmp_path: Path, mark: str, changes: dict[str, Any]
) -> None:
    found = supervise(spec(tmp_path, mark, "", **changes))
    assert found.spawn_error
    assert (found.returncode, found.outcome()) == (None, "not started")


def test_a_file_that_is_no_program_cannot_start(tmp_path: Path, mark: str) -> None:
    (tmp_path / "data").write_text("x")
    found = supervise(spec(tmp_path, mark, "", argv=(str(tmp_path / "data"),)))
    assert "Permission denied" in (found.spawn_error or "")


def test_a_timeout_asks_first(tmp_path: Path, mark: str) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('asked', flush=True), sys.exit(5)))\n"
        "time.sleep(600)"
    )
    found = supervise(spec(tmp_path, mark, code, timeout_s=0.5, grace_s=5.0))
    assert found.timed_out
    assert (found.returncode, stdout(tmp_path)) == (5, "asked\n")
    assert 0.5 <= found.wall_s < 3


def test_a_timeout_insists(tmp_path: Path, mark: str) -> None:
    found = supervise(spec(tmp_path, mark, STUBBORN, timeout_s=0.5))
    assert (found.signal, found.stopped_by) == ("SIGKILL", "timeout")
    assert found.wall_s < 3


@needs_subreaper
def test_the_whole_family_goes(tmp_path: Path, mark: str) -> None:
    found = supervise(spec(tmp_path, mark, FAMILY, timeout_s=1.0))
    assert (found.outcome(), found.leftovers) == ("timeout", 2)


@needs_subreaper
def test_a_daemon_of_a_process_that_ended_well_goes_too(tmp_path: Path, mark: str) -> None:
    code = FAMILY.replace("time.sleep(600)\n", "")
    found = supervise(spec(tmp_path, mark, code))
    assert (found.outcome(), found.leftovers) == ("ok", 2)


def test_helpers_that_leave_by_themselves_are_not_leftovers(tmp_path: Path, mark: str) -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(0.1)'])"
    )
    assert supervise(spec(tmp_path, mark, code)).leftovers == 0


def test_a_runaway_log_is_stopped(tmp_path: Path, mark: str) -> None:
    code = "import sys, time\nwhile True: sys.stderr.write('x' * 100_000); time.sleep(0.01)"
    found = supervise(spec(tmp_path, mark, code, log_limit_bytes=1_000_000))
    assert found.outcome() == "log limit"
    assert found.stderr_bytes > 1_000_000


def test_a_full_disk_is_an_error_and_no_result(tmp_path: Path, mark: str) -> None:
    with pytest.raises(RunError, match=r"disk that holds .* is full"):
        supervise(spec(tmp_path, mark, "import time; time.sleep(600)", min_free_bytes=1 << 60))
    assert read_exit(tmp_path / "invocation") is None


def test_a_directory_that_cannot_be_written_is_an_error(tmp_path: Path, mark: str) -> None:
    given = spec(tmp_path, mark, "print(1)")
    (tmp_path / "invocation" / "stdout.log").mkdir()
    with pytest.raises(RunError, match="cannot write in"):
        supervise(given)


def test_a_damaged_exit_is_named(tmp_path: Path, mark: str) -> None:
    supervise(spec(tmp_path, mark, ""))
    path = tmp_path / "invocation" / "exit.json"
    path.write_text(path.read_text().replace('"wall_s"', '"wall"'))
    with pytest.raises(DamagedRunError, match=r"exit\.json: wall"):
        read_exit(tmp_path / "invocation")


class Running:
    """`supervise` in a thread, with its supervisor's process."""

    def __init__(self, given: ProcessSpec) -> None:
        self.end: Exit | RunError | None = None
        self.folder = Path(given.directory)
        self._thread = threading.Thread(target=self._run, args=(given,))
        self._thread.start()
        lease = json.loads(file_appears(self.folder, LEASE).read_text())
        self.supervisor = psutil.Process(lease["pid"])
        file_appears(self.folder, "up")

    def _run(self, given: ProcessSpec) -> None:
        try:
            self.end = supervise(given)
        except RunError as error:
            self.end = error

    def join(self) -> Exit | RunError:
        self._thread.join(timeout=30)
        assert self.end is not None
        return self.end


@needs_subreaper
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_supervisor_leaves_nothing_and_is_a_result(
    tmp_path: Path, mark: str, number: int
) -> None:
    running = Running(spec(tmp_path, mark, FAMILY))
    running.supervisor.send_signal(number)
    end = running.join()
    assert isinstance(end, Exit)
    assert end.outcome() == "supervisor died"
    assert end.wall_s > 0
    assert not (running.folder / LEASE).exists()


BARE = f"""
import os, subprocess, sys, time
bare = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True, env={{}})
with open("up.tmp", "w") as file:
    file.write(str(bare.pid))
os.rename("up.tmp", "up")
time.sleep(600)
"""


@needs_subreaper
def test_an_orphan_without_any_mark_goes_with_its_killed_supervisor(
    tmp_path: Path, mark: str
) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        running = Running(spec(tmp_path, mark, BARE))
        orphan = psutil.Process(int((running.folder / "up").read_text()))
        running.supervisor.kill()
        end = running.join()
        assert isinstance(end, Exit)
        assert end.leftovers >= 1
        assert not orphan.is_running()
        assert bystander.poll() is None, "a child that is none of its business was killed"
    finally:
        bystander.kill()
        bystander.wait()


@needs_subreaper
def test_a_stopped_supervisor_is_overdue_and_goes(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "OVERDUE_S", 1.0)
    running = Running(spec(tmp_path, mark, FAMILY, timeout_s=2.0))
    running.supervisor.suspend()
    end = running.join()
    assert isinstance(end, Exit)
    assert end.outcome() == "supervisor stalled"
    assert end.wall_s < 10
    assert not running.supervisor.is_running()


@needs_subreaper
def test_ctrl_c_ends_a_stopped_supervisor_at_once(tmp_path: Path, mark: str) -> None:
    given = spec(tmp_path, mark, FAMILY)
    process = parent(given, mark)
    psutil.Process(json.loads((Path(given.directory) / LEASE).read_text())["pid"]).suspend()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT
    assert not marked(mark)


@pytest.mark.parametrize(
    "code",
    [
        "import os, shutil; shutil.rmtree(os.getcwd())",
        "import os; os.mkdir('exit.json')",
        "import os; os.mkfifo('.exit.json.tmp')",
        "import os; os.remove('supervisor.json')",
        "import os; os.remove('supervisor.json'); os.mkdir('supervisor.json')",
    ],
)
def test_a_directory_that_the_benchmark_spoils_costs_no_result(
    tmp_path: Path, mark: str, code: str
) -> None:
    found = supervise(spec(tmp_path, mark, f"print('out', flush=True); {code}"))
    assert (found.outcome(), found.stdout_bytes) == ("ok", 4)


PARENT = """
import sys
from reprokit.process.launch import ProcessSpec, supervise
supervise(ProcessSpec.model_validate_json(sys.argv[1]))
"""


def parent(given: ProcessSpec, mark: str) -> subprocess.Popen[bytes]:
    """Start another Python that supervises, and wait until the benchmark is up."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, given.model_dump_json()],
        env={**os.environ, MARK: mark}, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    file_appears(Path(given.directory), "up")
    return process


@needs_subreaper
def test_a_killed_parent_takes_everything_with_it(tmp_path: Path, mark: str) -> None:
    given = spec(tmp_path, mark, FAMILY)
    process = parent(given, mark)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not marked(mark))
    assert read_exit(Path(given.directory)) is None


@needs_subreaper
def test_ctrl_c_ends_only_after_everything_has(tmp_path: Path, mark: str) -> None:
    given = spec(tmp_path, mark, FAMILY)
    process = parent(given, mark)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == -signal.SIGINT
    assert not marked(mark)
    assert read_exit(Path(given.directory)) is None


@needs_subreaper
def test_what_outlived_parent_and_supervisor_is_found_again(tmp_path: Path, mark: str) -> None:
    given = spec(tmp_path, mark, FAMILY)
    folder = Path(given.directory)
    process = parent(given, mark)
    process.send_signal(signal.SIGSTOP)  # so that it cannot clean up
    psutil.Process(json.loads((folder / LEASE).read_text())["pid"]).kill()
    process.kill()
    process.wait()
    assert marked(mark)
    end_stale(folder)
    assert not marked(mark)


def test_a_lease_of_another_boot_touches_nobody(tmp_path: Path, mark: str) -> None:
    bystander = subprocess.Popen(["sleep", "60"], env={"REPROKIT_INVOCATION": "abc"})
    try:
        lease = {"pid": bystander.pid, "created": 0.0, "boot": "another", "token": "abc"}
        (tmp_path / LEASE).write_text(json.dumps(lease))
        end_stale(tmp_path)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_pid_that_now_is_somebody_else_s_is_left_alone(tmp_path: Path, mark: str) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        given = spec(tmp_path, mark, "")
        created = psutil.Process(bystander.pid).create_time()
        boot = supervise(given).boot_id
        lease = {"pid": bystander.pid, "created": created, "boot": boot or "", "token": "none"}
        (tmp_path / LEASE).write_text(json.dumps(lease))
        end_stale(tmp_path)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
