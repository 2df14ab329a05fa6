"""Reads what `launch.py` leaves beside the log: the time floor, stand-ins used, timed phases."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue, ValidationError

from reprokit.evidence import read_evidence
from reprokit.records import Phases, PhaseSample

LAUNCHED = "launched.json"
_LARGEST = 4 << 20
_FACTS = ("ms", "bytes", "bandwidth_gbps", "cache_bytes", "method", "reason")


@dataclass(frozen=True)
class Launched:
    """What was seen around one script.

    Attributes:
        floor_ms: least time of one sample; None with a reason among `floor`.
        floor: what it follows from; empty where the script ended before it could be measured.
        stand_ins: packages that were not there, and whose stand-ins the script imported.
    """

    floor_ms: float | None = None
    floor: dict[str, JsonValue] = field(default_factory=dict)
    stand_ins: tuple[str, ...] = ()
    phases: Phases = field(default_factory=lambda: Phases(problem="nothing was timed"))


def read_launched(path: Path) -> Launched:
    """Read the report of one launch; never raises for what is in it."""
    try:
        found = json.loads(read_evidence(path, limit=_LARGEST))
    except FileNotFoundError:
        return Launched()
    except (OSError, ValueError, RecursionError):
        return Launched(phases=Phases(problem=f"{path.name} cannot be read"))
    if not isinstance(found, Mapping):
        return Launched(phases=Phases(problem=f"{path.name} is damaged"))
    floor, names = found.get("floor"), found.get("stand_ins")
    facts = {key: floor[key] for key in _FACTS if key in floor} if isinstance(floor, dict) else {}
    return Launched(
        floor_ms=_floor_ms(facts.get("ms")),
        floor=facts,
        stand_ins=tuple(map(str, names)) if isinstance(names, list) else (),
        phases=_phases(found.get("phases")),
    )


def _floor_ms(value: JsonValue) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and value >= 0 else None  # type: ignore[arg-type, operator]


def _phases(found: object) -> Phases:
    """Read the timed samples; the first one also loads or compiles."""
    if not isinstance(found, dict):
        return Phases(problem="nothing was timed")
    samples, problem = found.get("samples"), found.get("problem")
    try:
        timed = tuple(
            PhaseSample(**each, cold=at == 0)
            for at, each in enumerate(samples if isinstance(samples, list) else ())
        )
    except (TypeError, ValidationError):
        return Phases(problem="the timed phases are damaged")
    if any(each.decode_steps < 1 or not _is_time(each) for each in timed):
        return Phases(problem="the timed phases are no times")
    return Phases(
        samples=timed,
        method=str(found.get("method", "")),
        problem=str(problem) if problem is not None else None,
    )


def _is_time(sample: PhaseSample) -> bool:
    times = (sample.prefill_ms, sample.decode_ms)
    return all(math.isfinite(each) and each > 0 for each in times)
