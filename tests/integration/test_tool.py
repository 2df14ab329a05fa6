"""Helper tools end whole, in time, and with their output."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from reprokit.errors import ReprokitError
from reprokit.process.tool import kill_running_tools, run_tool

pytestmark = pytest.mark.integration

_GRANDCHILD = """
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
"""


def _is_gone(pid: int) -> bool:
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_output_exit_code_environment_and_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tool.log"
    code = "import os, sys; print(sorted(os.environ)); sys.stderr.write('e'); sys.exit(3)"
    result = run_tool([sys.executable, "-I", "-c", code], env={"A": "1"}, timeout_s=20, log=log)
    assert (result.returncode, result.stderr, result.timed_out, result.ok) == (3, "e", False, False)
    assert "'A'" in result.stdout
    assert "'HOME'" not in result.stdout
    assert "[exit 3]" in log.read_text()


def test_there_is_no_terminal_and_no_input() -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())"
    result = run_tool([sys.executable, "-c", code], env={}, timeout_s=20)
    assert result.stdout.split() == ["''", "True"]


def test_the_end_of_long_output_is_kept_and_the_log_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "print('x' * 100_000 + 'END')"
    result = run_tool([sys.executable, "-c", code], env={}, timeout_s=20, log=log, max_output=1000)
    assert len(result.stdout) == 1000
    assert result.stdout.endswith("END\n")
    assert log.stat().st_size > 100_000


def test_bytes_that_are_no_text_do_not_raise() -> None:
    code = "import sys; sys.stdout.buffer.write(b'a\\xff')"
    assert run_tool([sys.executable, "-c", code], env={}, timeout_s=20).stdout == "a\ufffd"


def test_a_signal_is_told_from_an_exit_code() -> None:
    code = "import os; os.kill(os.getpid(), 11)"
    assert run_tool([sys.executable, "-c", code], env={}, timeout_s=20).returncode == -11


def test_a_timeout_kills_grandchildren_too() -> None:
    code = _GRANDCHILD + "import time; time.sleep(60)"
    begun = time.monotonic()
    result = run_tool([sys.executable, "-c", code], env=dict(os.environ), timeout_s=1)
    assert result.timed_out
    assert not result.ok
    assert time.monotonic() - begun < 10
    assert _is_gone(int(result.stdout))


def test_what_a_finished_tool_leaves_behind_is_killed() -> None:
    begun = time.monotonic()
    result = run_tool([sys.executable, "-c", _GRANDCHILD], env=dict(os.environ), timeout_s=20)
    assert result.ok
    assert time.monotonic() - begun < 10
    assert _is_gone(int(result.stdout))


def test_a_tool_that_is_not_there_is_a_clear_error() -> None:
    with pytest.raises(ReprokitError, match="cannot start /no/such/tool"):
        run_tool(["/no/such/tool"], env={}, timeout_s=1)


def test_running_tools_can_be_ended_from_another_thread() -> None:
    ended: list[int] = []

    def work() -> None:
        ended.append(run_tool(["/bin/sleep", "60"], env={}, timeout_s=60).returncode)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 10
    while thread.is_alive() and time.monotonic() < deadline:
        kill_running_tools()
        thread.join(0.05)
    assert ended == [-9]
