"""Telemetry as a sampler would have written it, for tests that change one thing in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reprokit.gpu.telemetry import Telemetry, read_telemetry

WATTS = 300
NOBODY: dict[str, Any] = {"own": 0, "foreign": [], "why": None}
OURS: dict[str, Any] = {"own": 1, "foreign": [], "why": None}
STRANGER: dict[str, Any] = {"pid": 4242, "name": "python3", "used_mib": 900}


def device(**changes: Any) -> dict[str, Any]:
    line = {
        "kind": "device", "schema": "reprokit/telemetry/v1", "at_s": 100.0, "blind": None,
        "uuid": "GPU-1", "name": "NVIDIA A100-SXM4-80GB", "sm": "sm_80", "memory_mib": 81920,
        "mig": False, "ecc": True, "power_limit_w": 330.0, "driver": "570.00", "cuda": "12.8",
        "sm_max_mhz": 1410, "unknown": {},
    }  # fmt: skip
    return {**line, **changes}


def sample(kind: str, at_s: float, **changes: Any) -> dict[str, Any]:
    line = {
        "kind": kind, "at_s": at_s, "sm_mhz": 1400, "memory_mhz": 1593, "temperature_c": 50,
        "power_w": float(WATTS), "events": 4, "busy_percent": 0, "used_mib": 3,
        "energy_mj": energy(at_s), "unknown": {}, "processes": NOBODY, "log_bytes": None,
    }  # fmt: skip
    return {**line, **changes}


def window(begin_s: float, **changes: Any) -> dict[str, Any]:
    moments = [begin_s + 0.1 * step for step in range(1, 11)]
    line = {
        "kind": "window", "begin_s": begin_s, "end_s": begin_s + 1, "n": 10,
        "sm_mhz": [1380, 1410], "memory_mhz": [1593, 1593], "temperature_c": [50, 60],
        "busy_percent": [0, 99], "used_mib": [3, 900], "power_w": float(WATTS), "events": 4,
        "events_n": {"4": 5}, "energy": [[at, energy(at)] for at in moments],
        "log": [[at, int(100 * (at - 100))] for at in moments], "processes": OURS,
    }  # fmt: skip
    return {**line, **changes}


def end(**changes: Any) -> dict[str, Any]:
    line = {
        "kind": "end", "at_s": 111.0, "samples": 102, "cpu_s": 0.05, "longest_gap_s": 0.12,
        "period_s": 0.1, "lost": None,
    }  # fmt: skip
    return {**line, **changes}


def energy(at_s: float) -> int:
    """Millijoules at a moment, of a GPU that takes `WATTS`."""
    return int(1000 * WATTS * at_s)


def good(seconds: int = 10) -> list[dict[str, Any]]:
    """Ten undisturbed seconds from 100 s on."""
    return [
        device(),
        sample("before", 100.0),
        *(window(100.0 + second) for second in range(seconds)),
        sample("after", 100.1 + seconds),
        end(),
    ]


def saved(folder: Path, lines: list[dict[str, Any]]) -> Telemetry:
    path = folder / "telemetry.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_telemetry(path)
