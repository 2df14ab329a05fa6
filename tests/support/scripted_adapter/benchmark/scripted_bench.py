"""The scripted benchmark: takes its orders as JSON, reports known numbers, or misbehaves.

Standard library only. Every scenario is a function; `report` is the good behaviour.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

Order = dict[str, Any]


def line(order: Order, iteration: int, **changes: Any) -> str:
    latency_ms = order["latencies_ms"][iteration]
    time.sleep(latency_ms / 1000)
    tokens = order["tokens"]
    facts = {
        "iteration": iteration,
        "latency_ms": latency_ms,
        "tokps": 1000 * tokens / latency_ms,
        "tokens": tokens,
        "tokens_asked": tokens,
        "output_tokens": list(range(tokens)),
        "device": order["device"],
        "compile": order["compile"],
    }
    return json.dumps({**facts, **changes})


def report(order: Order, count: int | None = None, **changes: Any) -> None:
    time.sleep(order["sleep_s"])
    for iteration in range(len(order["latencies_ms"]) if count is None else count):
        print(line(order, iteration, **changes), flush=True)


def hang(order: Order) -> None:
    """Wait for ever with one child that ignores SIGTERM and one that left for its own session."""
    wait = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    stubborn = subprocess.Popen([sys.executable, "-c", wait])
    gone = subprocess.Popen([sys.executable, "-c", wait], start_new_session=True)
    Path("pids.json").write_text(json.dumps([os.getpid(), stubborn.pid, gone.pid]))
    report(order, 1)
    time.sleep(600)


def orphan(order: Order) -> None:
    """End well and leave a daemon behind."""
    daemon = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True
    )
    Path("pids.json").write_text(json.dumps([daemon.pid]))
    report(order)


def killed(_: Order, number: int) -> None:
    os.kill(os.getpid(), number)


def half_line(order: Order) -> None:
    report(order, 1)
    sys.stdout.write(line(order, 1)[:20])


def flood(order: Order) -> None:
    """Write 200 MB of stderr, then die of an exception."""
    piece = b"x" * 79 + b"\n"
    for _ in range(200):
        sys.stderr.buffer.write(piece * 12_500)
    sys.stderr.flush()
    crash(order)


def crash(_: Order) -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError("the configuration of layer 17\nis not readable") from error


def late_crash(order: Order) -> None:
    report(order)
    sys.exit(7)


def early_crash(order: Order) -> None:
    report(order, 1)
    sys.exit(7)


def out_of_memory(_: Order) -> None:
    raise MemoryError("Unable to allocate 93.1 GiB")


def too_many(order: Order) -> None:
    order["latencies_ms"] += [1.0]
    report(order)


def twice(order: Order) -> None:
    report(order, 1)
    report(order, len(order["latencies_ms"]) - 1)


def alter_environment(order: Order) -> None:
    """Rewrite a package of the environment; a new file, so that uv's cache stays what it is."""
    import dummy  # type: ignore[import-not-found]

    module = Path(dummy.__file__)
    module.parent.chmod(0o755)
    module.unlink()
    module.write_text("__version__ = '1.0'  # faster\n")
    report(order)


def signal_supervisor(order: Order, number: int) -> None:
    """Turn against the process that watches, and leave something that bears no mark."""
    wait = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    bare = subprocess.Popen([sys.executable, "-c", wait], start_new_session=True, env={})
    Path("pids.json").write_text(json.dumps([bare.pid]))
    report(order, 1)
    os.kill(os.getppid(), number)
    time.sleep(600)


def remove_files(order: Order, *names: str) -> None:
    """Report well, then remove some of one's own files, or all of them."""
    report(order)
    for name in names or [path.name for path in Path().iterdir()]:
        Path(name).unlink()


def remove_directory(order: Order) -> None:
    report(order)
    shutil.rmtree(Path.cwd())


def link_directory(order: Order) -> None:
    """Leave a link in place of the directory."""
    report(order)
    here = Path.cwd()
    here.rename(here.parent.parent / "moved")
    here.symlink_to(here.parent.parent / "moved")


def exit_directory(order: Order) -> None:
    report(order)
    Path("exit.json").mkdir()


def replace_log(order: Order, name: str, make: Callable[[Path], object]) -> None:
    report(order)
    Path(name).unlink()
    make(Path(name))


def make_stranger(order: Order) -> None:
    """Leave a directory beside one's own, and a copy of one's own."""
    Path("../left-over/sub").mkdir(parents=True)
    shutil.copytree(".", "../copy")
    report(order)


DAMAGE: dict[str, Callable[[Order], None]] = {
    "kill_supervisor": lambda order: signal_supervisor(order, signal.SIGKILL),
    "stop_supervisor": lambda order: signal_supervisor(order, signal.SIGSTOP),
    "remove_all": remove_files,
    "remove_directory": remove_directory,
    "remove_lease": lambda order: remove_files(order, "supervisor.json"),
    "remove_spec": lambda order: remove_files(order, "spec.json"),
    "link_directory": link_directory,
    "exit_directory": exit_directory,
    "endless_stdout": lambda order: replace_log(
        order, "stdout.log", lambda log: log.symlink_to("/dev/zero")
    ),
    "endless_stderr": lambda order: replace_log(
        order, "stderr.log", lambda log: log.symlink_to("/dev/zero")
    ),
    "pipe_stdout": lambda order: replace_log(order, "stdout.log", os.mkfifo),
    "forged_stdout": lambda order: replace_log(
        order, "stdout.log", lambda log: log.write_text("another")
    ),
    "stranger": make_stranger,
}
"""What a benchmark may do to its own directory and to the process that watches it."""

SCENARIOS: dict[str, Callable[[Order], None]] = {
    "ok": report,
    "hang": hang,
    "alter_environment": alter_environment,
    "orphan": orphan,
    "segfault": lambda order: killed(order, signal.SIGSEGV),
    "sigkill": lambda order: killed(order, signal.SIGKILL),
    "half_line": half_line,
    "no_sample": lambda _: None,
    "missing_sample": lambda order: report(order, 1),
    "flood": flood,
    "crash": crash,
    "late_crash": late_crash,
    "early_crash": early_crash,
    "oom": out_of_memory,
    "too_many": too_many,
    "twice": twice,
    "unsupported": crash,
    "fallback": lambda order: report(order, compile="fell_back"),
    "unproven": lambda order: report(order, compile=None),
    "wrong_output": lambda order: report(order, output_tokens=[0, 1, 999]),
    "no_output": lambda order: report(order, output_tokens=None),
    "few_tokens": lambda order: report(order, tokens=1),
    "wrong_device": lambda order: report(order, device="cuda:0"),
    "no_device": lambda order: report(order, device=None),
    "forged_done": report,
    "dies_after": report,
    "ends_between": report,
    "no_start": report,
    "impossible_time": lambda order: report(order, latency_ms=1e6),
    "zero_time": lambda order: report(order, latency_ms=0.0),
    **DAMAGE,
}


def measure_all(orders: list[Order]) -> None:
    """Measure one order after the other, as `reprokit.adapter.Launch` asks."""
    for order in orders:
        if order["scenario"] == "ends_between":
            return
        directory = Path(order["directory"])
        os.chdir(directory)
        for handle, name in ((1, "stdout.log"), (2, "stderr.log")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), handle)
        begun = time.monotonic()
        code = 0
        try:
            SCENARIOS[order["scenario"]](order)
        except (RuntimeError, MemoryError):
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        if order["scenario"] == "forged_done":
            directory.joinpath("done.json").write_text('{"returncode": "yes"}')
            os._exit(0)
        done = {"returncode": code, "wall_s": time.monotonic() - begun}
        directory.joinpath("done.json").write_text(json.dumps(done))
        if order["scenario"] == "dies_after":
            os.kill(os.getpid(), signal.SIGSEGV)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if isinstance(given, list):
        if any(order["scenario"] == "no_start" for order in given):
            raise ImportError("libnothing.so: cannot open shared object file")
        measure_all(given)
    else:
        SCENARIOS[given["scenario"]](given)
