"""Watch one GPU while a benchmark runs on it.

A process of its own, standard library only, started by `recording.py` once per benchmark process.
Its standard input is a control pipe: one line of JSON (the task), then silence; end of file means
that the benchmark has ended, or that reprokit is gone. It says "ready" on standard output when
it has looked at the GPU before the benchmark, and writes telemetry.jsonl:

    device, before, window, window, ..., after, end

It must not disturb what it watches: it asks the driver some ten questions ten times a second,
sleeps between, and asks more seldom where the answers take long. A window is one second long and
grows with the time that was written already, so that the file of a week is small too.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from reprokit.gpu.nvml import NO_LIBRARY, Gpu, Nvml, NvmlError, attempt
from reprokit.gpu.owners import Owners, blindness
from reprokit.gpu.window import Window

SCHEMA = "reprokit/telemetry/v1"

REPLACED = 3
"""Exit code when the file that was written is not the one that is there: a benchmark did that."""

PERIOD_S, LONGEST_PERIOD_S = 0.1, 1.0
BUSY_SHARE = 0.02
"""Share of one CPU core that sampling may take before it is done more seldom."""
WINDOW_S, WINDOWS = 1.0, 600
"""Length of a window, which doubles whenever so many were written at one length."""
PROCESSES_S = 1.0
MOST_NAMED = 8
IDLE_PERCENT, IDLE_WAIT_S = 10, 2.0
"""A GPU that is busier than that before the benchmark is looked at again for so long: the driver's
figure is about the last second, in which our own benchmark may have ended."""

_FACTS = (
    "uuid", "name", "vbios", "sm", "memory_mib", "ecc", "mig", "persistence", "power_limit_w",
    "power_default_w", "sm_max_mhz", "memory_max_mhz", "pcie",
)  # fmt: skip
_READINGS = (
    "sm_mhz", "memory_mhz", "temperature_c", "power_w", "events", "busy_percent", "used_mib",
    "energy_mj",
)  # fmt: skip


def read_facts(nvml: Nvml, gpu: Gpu) -> dict[str, Any]:
    """Return what is the same during a measurement; `unknown` says why something is null."""
    asked: dict[str, Callable[[], Any]] = {name: getattr(gpu, name) for name in _FACTS}
    asked |= {"driver": nvml.driver, "cuda": nvml.cuda}
    return _answers(asked)


def read_sample(gpu: Gpu) -> dict[str, Any]:
    """Return one reading of everything that changes."""
    began = time.monotonic()
    found = _answers({name: getattr(gpu, name) for name in _READINGS})
    return {"at_s": (began + time.monotonic()) / 2, **found}


def _answers(asked: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, question in asked.items():
        found[name], why = attempt(question)
        if why is not None:
            unknown[name] = why
    return {**found, "unknown": unknown}


def read_processes(gpu: Gpu, owners: Owners) -> dict[str, Any]:
    """Return how many processes of the benchmark compute on the GPU, and which others do."""
    seen, why = attempt(gpu.processes)
    if seen is None:
        return {"own": None, "foreign": [], "why": why}
    own, foreign = 0, []
    for pid, used in seen:
        mine = owners.is_own(pid)
        own += mine is True
        if mine is False:
            foreign.append({"pid": pid, "name": owners.name(pid), "used_mib": used})
    return {"own": own, "foreign": foreign[:MOST_NAMED], "why": None}


class Sampler:
    """One GPU, one file, one benchmark."""

    def __init__(self, gpu: Gpu, owners: Owners, out: TextIO, log: str | None) -> None:
        self._gpu, self._owners, self._out, self._log = gpu, owners, out, log
        self._samples, self._written, self._length = 0, 0, WINDOW_S
        self._longest_gap, self._last = 0.0, time.monotonic()
        self.period_s = PERIOD_S

    def write(self, line: dict[str, Any]) -> None:
        """Write one line, at once: this process may be killed any time."""
        self._out.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._out.flush()

    def before(self, wait: Callable[[float], bool]) -> None:
        """Look at the GPU while nothing of ours computes; give it time to come to rest."""
        deadline = time.monotonic() + IDLE_WAIT_S
        sample = self._sample()
        waited = 0
        while _is_busy(sample) and time.monotonic() < deadline and not wait(0.2):
            sample, waited = self._sample(), waited + 1
        found = {**sample, "processes": read_processes(self._gpu, self._owners), "waited": waited}
        self.write({"kind": "before", **found})

    def during(self, wait: Callable[[float], bool]) -> None:
        """Sample until `wait` says that the benchmark has ended."""
        window = Window(time.monotonic())
        asked_at = 0.0
        while not wait(self.period_s):
            began, cpu = time.monotonic(), time.process_time()
            window.add(self._sample(), self._log_bytes())
            if began - asked_at >= PROCESSES_S:
                window.add_processes(read_processes(self._gpu, self._owners))
                asked_at = began
            if began - window.begin_s >= self._length:
                window = self._close(window, began)
            self._slow_down(time.process_time() - cpu)
        self._close(window, time.monotonic())

    def after(self) -> None:
        """Look at the GPU when the benchmark has ended."""
        found = {**self._sample(), "processes": read_processes(self._gpu, self._owners)}
        self.write({"kind": "after", **found, "log_bytes": self._log_bytes()})

    def end(self, lost: str | None) -> None:
        """Say that nothing is missing, or that the GPU went away."""
        used = time.process_time()
        self.write({
            "kind": "end", "at_s": time.monotonic(), "samples": self._samples, "cpu_s": used,
            "longest_gap_s": self._longest_gap, "period_s": self.period_s, "lost": lost,
        })  # fmt: skip

    def _sample(self) -> dict[str, Any]:
        found = read_sample(self._gpu)
        self._samples += 1
        if self._samples > 1:
            self._longest_gap = max(self._longest_gap, found["at_s"] - self._last)
        self._last = found["at_s"]
        return found

    def _close(self, window: Window, now: float) -> Window:
        line = window.line(now)
        if line is not None:
            self.write(line)
            self._written += 1
            if self._written % WINDOWS == 0:
                self._length *= 2
        return Window(now)

    def _slow_down(self, took_s: float) -> None:
        wanted = min(max(PERIOD_S, took_s / BUSY_SHARE), LONGEST_PERIOD_S)
        self.period_s += (wanted - self.period_s) / 8  # one slow answer changes little

    def _log_bytes(self) -> int | None:
        if self._log is None:
            return None
        try:
            return os.lstat(self._log).st_size
        except OSError:
            return None


def _is_busy(sample: dict[str, Any]) -> bool:
    return (sample["busy_percent"] or 0) > IDLE_PERCENT


def wait_for_end(seconds: float) -> bool:
    """Sleep for so long; tell whether the control pipe was closed meanwhile."""
    ready, _, _ = select.select([0], [], [], seconds)
    return bool(ready) and not os.read(0, 4096)


def watch(task: dict[str, Any], out: TextIO) -> None:
    """Do one task: {"uuid", "root" (process whose descendants are the benchmark's), "log"}."""
    gpu = sampler = None
    try:
        nvml = Nvml.open()
        gpu = nvml.gpu(task["uuid"])
        sampler = Sampler(gpu, Owners(task["root"]), out, task["log"])
        head = {"kind": "device", "schema": SCHEMA, "at_s": time.monotonic(), "blind": blindness()}
        sampler.write({**head, **read_facts(nvml, gpu)})
        sampler.before(wait_for_end)
        _say_ready()
        sampler.during(wait_for_end)
        sampler.after()
        sampler.end(None)
    except (OSError, NvmlError) as error:
        lost = isinstance(error, NvmlError) and error.lost
        if sampler is None:
            line = {"kind": "unavailable", "schema": SCHEMA, "why": why_not(error)}
            out.write(json.dumps(line) + "\n")
        else:
            sampler.end(f"gpu_lost: {error}" if lost else f"stopped: {error}")
        out.flush()
        _say_ready()
        while not wait_for_end(3600.0):
            pass


def survey() -> dict[str, Any]:
    """Return every GPU that can be seen, or why none can."""
    try:
        nvml = Nvml.open()
        found = [read_facts(nvml, gpu) for gpu in nvml.gpus()]
    except (OSError, NvmlError) as error:
        return {"gpus": [], "why": why_not(error)}
    return {"gpus": found, "why": None if found else "no_gpu: the driver knows no GPU here"}


def why_not(error: Exception) -> str:
    """Say why nothing can be asked."""
    return f"nvml_failed: {error}" if isinstance(error, NvmlError) else f"{NO_LIBRARY}: {error}"


def _say_ready() -> None:
    try:
        os.write(1, b"ready\n")
    except OSError:
        return  # reprokit is gone: the control pipe says so too


def main(arguments: list[str]) -> int:
    """Survey the machine, or do the task that standard input names."""
    if arguments == ["survey"]:
        sys.stdout.write(json.dumps(survey()) + "\n")
        return 0
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 1
    task = json.loads(line)
    with suppress(OSError):
        os.nice(5)  # a benchmark that wants the core gets it
    handle = os.open(task["path"], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        watch(task, out)
        return 0 if _is_ours(task["path"], out) else REPLACED


def _is_ours(path: str, out: TextIO) -> bool:
    """Tell whether the file that bears the name is the one that was written, all of it."""
    try:
        there, ours = os.lstat(path), os.fstat(out.fileno())
    except OSError:
        return False
    same = (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
    return same and there.st_size == out.tell()
