"""Times one call: the wall clock with the device at rest at both ends, CUDA events beside it.

The events are recorded inside the synchronised interval and cost the host some microseconds; they
say what the device saw of the same call. A second clock of the system, read just outside of the
first one's readings, says whether the first can be believed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch

_SECOND_CLOCK: int = getattr(time, "CLOCK_MONOTONIC_RAW", time.CLOCK_MONOTONIC)
"""The counter of the processor itself, where the system has it; nobody adjusts it."""


@dataclass(frozen=True)
class Timed:
    """Durations of one call in ms; None where nothing can tell or nothing was marked.

    Attributes:
        wall_ms: on the host's clock, the device idle at both readings.
        device_ms: between two events on the device's stream; None on a CPU.
        marked_ms: from the start to the mark.
        check_ms: the same call on the second clock, which encloses the first one's readings.
        idle_ms: from the end of the call before to the start, on the host's clock: what the host
            spent outside of timed calls; None for the first.
        window_s: both readings of the host's clock; on Linux the system's monotonic one, which
            whoever watches the machine reads too.
    """

    wall_ms: float
    device_ms: float | None
    marked_ms: float | None
    check_ms: float
    idle_ms: float | None
    window_s: tuple[float, float]


class Stopwatch:
    """Times one call after another on one device."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        # Made once: the first recording of an event allocates it.
        self._events: dict[str, Any] = {}
        if self._on_gpu:
            names = ("start", "mark", "stop")
            self._events = {name: torch.cuda.Event(enable_timing=True) for name in names}
            for event in self._events.values():
                event.record()
        self._started = self._marked = self._checked = 0
        self._has_mark = False
        self._ended: int | None = None

    def start(self) -> None:
        """Let the device come to rest, then start."""
        self._has_mark = False
        self._synchronise()
        self._checked = time.clock_gettime_ns(_SECOND_CLOCK)
        self._started = time.perf_counter_ns()
        if self._on_gpu:
            self._events["start"].record()

    def rest(self) -> None:
        """Let the time outside of calls count from now on, not from the end of the last one."""
        self._ended = time.perf_counter_ns()

    def mark(self) -> None:
        """Mark a moment inside the call; on a GPU by an event, so that nothing waits for it."""
        self._has_mark = True
        if self._on_gpu:
            self._events["mark"].record()
        else:
            self._marked = time.perf_counter_ns()

    def stop(self) -> Timed:
        """Let the device come to rest, then stop."""
        if self._on_gpu:
            self._events["stop"].record()
        self._synchronise()
        before, self._ended = self._ended, time.perf_counter_ns()
        checked = time.clock_gettime_ns(_SECOND_CLOCK) - self._checked
        return Timed(
            wall_ms=(self._ended - self._started) / 1e6,
            device_ms=self._between("stop") if self._on_gpu else None,
            marked_ms=self._mark_ms() if self._has_mark else None,
            check_ms=checked / 1e6,
            idle_ms=None if before is None else (self._started - before) / 1e6,
            window_s=(self._started / 1e9, self._ended / 1e9),
        )

    def _mark_ms(self) -> float:
        if self._on_gpu:
            return self._between("mark")
        return (self._marked - self._started) / 1e6

    def _between(self, end: str) -> float:
        return float(self._events["start"].elapsed_time(self._events[end]))

    def _synchronise(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()
