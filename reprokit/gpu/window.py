"""A stretch of telemetry in one line: small, and true at its ends.

Standard library only; runs inside the sampler.
"""

from __future__ import annotations

from typing import Any

MOST_POINTS = 12
"""Readings of the energy counter and of the log's size that one window keeps."""


class Window:
    """What was seen in a stretch of time: extremes, means, and the counters as they grew."""

    def __init__(self, begin_s: float) -> None:
        self.begin_s = begin_s
        self._samples: list[dict[str, Any]] = []
        self._energy: list[tuple[float, int]] = []
        self._log: list[tuple[float, int]] = []
        self._processes: dict[str, Any] | None = None

    def add(self, sample: dict[str, Any], log_bytes: int | None) -> None:
        """Take a sample in."""
        self._samples.append(sample)
        at = sample["at_s"]
        _note(self._energy, at, sample["energy_mj"])
        _note(self._log, at, log_bytes)

    def add_processes(self, found: dict[str, Any]) -> None:
        """Take in who computes; what was seen or refused once in the window stays so."""
        before = self._processes
        foreign = found["foreign"] or (before["foreign"] if before else [])
        own = max(found["own"] or 0, (before["own"] or 0) if before else 0)
        why = found["why"] or (before["why"] if before else None)
        self._processes = {"own": None if why else own, "foreign": foreign, "why": why}

    def line(self, end_s: float) -> dict[str, Any] | None:
        """Return the line of the file; None where nothing was seen."""
        if not self._samples:
            return None
        found: dict[str, Any] = {
            "kind": "window", "begin_s": self.begin_s, "end_s": end_s, "n": len(self._samples),
        }  # fmt: skip
        for name in ("sm_mhz", "memory_mhz", "temperature_c", "busy_percent", "used_mib"):
            values = self._values(name)
            found[name] = [min(values), max(values)] if values else None
        powers, events = self._values("power_w"), self._values("events")
        found["power_w"] = sum(powers) / len(powers) if powers else None
        bits: int = 0
        for each in events:
            bits |= each
        found["events"] = bits if events else None
        found["events_n"] = {
            str(1 << bit): sum(bool(each >> bit & 1) for each in events)
            for bit in range(64) if bits >> bit & 1
        }  # fmt: skip
        found["energy"], found["log"] = _thinned(self._energy), _thinned(self._log)
        found["processes"] = self._processes
        return found

    def _values(self, name: str) -> list[Any]:
        return [sample[name] for sample in self._samples if sample[name] is not None]


def _note(points: list[tuple[float, int]], at: float, value: int | None) -> None:
    """Keep a reading of a counter where it changed."""
    if value is not None and (not points or points[-1][1] != value):
        points.append((round(at, 4), value))


def _thinned(points: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Keep the first, the last and some between; but every fall, for that is a reset."""
    if len(points) <= MOST_POINTS:
        return points
    falls = {i for i in range(1, len(points)) if points[i][1] < points[i - 1][1]}
    step = (len(points) - 1) / (MOST_POINTS - 1)
    chosen = {round(i * step) for i in range(MOST_POINTS)} | {i - 1 for i in falls} | falls
    return [points[i] for i in sorted(chosen)]
