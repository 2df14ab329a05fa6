"""What a sampler wrote, read back: telemetry.jsonl of one benchmark process.

Nothing in the file is believed that is not whole and of its form; it lies where the benchmark can
write. A file cut short is one that tells less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from reprokit.evidence import open_evidence
from reprokit.records import Record

FILE = "telemetry.jsonl"
_LONGEST_LINE = 1 << 18
_MOST_LINES = 50_000

Range = tuple[float, float]
Points = tuple[tuple[float, int], ...]


class _Line(Record):
    # Lists stand in JSON where records have tuples, and numbers without a fraction for floats.
    model_config = ConfigDict(strict=False, extra="ignore", allow_inf_nan=False)


class Foreign(_Line):
    """A process on the GPU that is none of the benchmark's."""

    pid: int
    name: str = ""
    used_mib: int | None = None


class Processes(_Line):
    """Who computes on the GPU; `why` where the driver does not tell."""

    own: int | None
    foreign: tuple[Foreign, ...] = ()
    why: str | None = None


class DeviceLine(_Line):
    """The GPU itself; `blind` says why processes of others may be hidden, None where none are."""

    kind: Literal["device"]
    at_s: float
    blind: str | None
    uuid: str | None = None
    name: str | None = None
    vbios: str | None = None
    sm: str | None = None
    memory_mib: int | None = None
    ecc: bool | None = None
    mig: bool | None = None
    persistence: bool | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    sm_max_mhz: int | None = None
    memory_max_mhz: int | None = None
    pcie: str | None = None
    driver: str | None = None
    cuda: str | None = None
    unknown: dict[str, str] = Field(default_factory=dict)


class SampleLine(_Line):
    """One reading, before or after the benchmark."""

    kind: Literal["before", "after"]
    at_s: float
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    events: int | None = None
    busy_percent: int | None = None
    used_mib: int | None = None
    energy_mj: int | None = None
    processes: Processes
    unknown: dict[str, str] = Field(default_factory=dict)
    log_bytes: int | None = None


class WindowLine(_Line):
    """A stretch of time: extremes of the readings, means, and counters as they grew."""

    kind: Literal["window"]
    begin_s: float
    end_s: float
    n: int
    sm_mhz: Range | None = None
    memory_mhz: Range | None = None
    temperature_c: Range | None = None
    busy_percent: Range | None = None
    used_mib: Range | None = None
    power_w: float | None = None
    events: int | None = None
    events_n: dict[str, int] = Field(default_factory=dict)
    energy: Points = ()
    log: Points = ()
    processes: Processes | None = None


class EndLine(_Line):
    """The sampler ended by itself; `lost` where the GPU went away."""

    kind: Literal["end"]
    at_s: float
    samples: int
    cpu_s: float
    longest_gap_s: float
    period_s: float
    lost: str | None = None


class UnavailableLine(_Line):
    """There was nothing to ask."""

    kind: Literal["unavailable"]
    why: str


Line = DeviceLine | SampleLine | WindowLine | EndLine | UnavailableLine
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


@dataclass(frozen=True)
class Telemetry:
    """One file. `problem` says why it tells less than it should; None where it is whole."""

    device: DeviceLine | None = None
    before: SampleLine | None = None
    windows: tuple[WindowLine, ...] = ()
    after: SampleLine | None = None
    end: EndLine | None = None
    problem: str | None = None

    def energy(self) -> list[tuple[float, int]]:
        """Readings of the energy counter in mJ, in the order of time."""
        found = [(self.before.at_s, self.before.energy_mj)] if self.before else []
        found += [point for window in self.windows for point in window.energy]
        found += [(self.after.at_s, self.after.energy_mj)] if self.after else []
        return [(at, value) for at, value in found if value is not None]

    def log(self) -> list[tuple[float, int]]:
        """Sizes of stdout.log as they were first seen, in the order of time."""
        found = [point for window in self.windows for point in window.log]
        if self.after is not None and self.after.log_bytes is not None:
            found.append((self.after.at_s, self.after.log_bytes))
        return found


def read_telemetry(path: Path) -> Telemetry:
    """Read what a sampler wrote; never raises for what is in the file."""
    lines: list[Line] = []
    problem = None
    try:
        lines.extend(_lines(path))
    except FileNotFoundError:
        problem = "no_telemetry: nothing watched the GPU"
    except OSError as error:
        problem = f"no_telemetry: {path.name} cannot be read: {error.strerror}"
    except ValidationError as error:
        problem = f"telemetry_damaged: {path.name}:{len(lines) + 1}: {error.errors()[0]['msg']}"
    return _made(lines, problem)


def _made(lines: list[Line], problem: str | None) -> Telemetry:
    nothing = next((each for each in lines if isinstance(each, UnavailableLine)), None)
    end = next((each for each in lines if isinstance(each, EndLine)), None)
    samples = [each for each in lines if isinstance(each, SampleLine)]
    if nothing is not None:
        problem = nothing.why
    elif problem is None and end is None:
        problem = "telemetry_ended_early: what watched the GPU did not live to the end"
    return Telemetry(
        device=next((each for each in lines if isinstance(each, DeviceLine)), None),
        before=next((each for each in samples if each.kind == "before"), None),
        windows=tuple(each for each in lines if isinstance(each, WindowLine)),
        after=next((each for each in samples if each.kind == "after"), None),
        end=end,
        problem=problem,
    )


def _lines(path: Path) -> Iterator[Line]:
    """Yield whole lines; one that is cut short is the last that a killed sampler wrote."""
    with open_evidence(path) as file:
        for _ in range(_MOST_LINES):
            line = file.readline(_LONGEST_LINE)
            if not line.endswith(b"\n"):
                return
            yield _LINE.validate_json(line)
