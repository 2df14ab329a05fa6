"""Whether something else disturbed a measurement on a GPU: pure, from what was written meanwhile.

Three answers. `contaminated` needs only one thing that was seen, whatever else could not be;
`clean` needs that everything could be seen, the benchmark itself at work too, and that nothing
disturbed it; all between is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reprokit.gpu.telemetry import Processes, SampleLine, Telemetry, WindowLine
from reprokit.records import GpuState

EVENTS = {
    0x1: "idle", 0x2: "application_clocks", 0x4: "power_cap", 0x8: "hardware_slowdown",
    0x10: "sync_boost", 0x20: "software_thermal_slowdown", 0x40: "hardware_thermal_slowdown",
    0x80: "power_brake", 0x100: "display_clocks", 0x200: "board_limit", 0x400: "reliability",
}  # fmt: skip
"""Bits of nvmlClocksEventReasons, and two older ones."""

POWER_CAP = 0x4
"""Normal under load: the power limit is part of the regime, not a disturbance."""
DISTURBING = 0x8 | 0x20 | 0x40 | 0x80

BUSY_BEFORE_PERCENT = 10
_LONGEST_GAP_S = 5.0
_LONGEST_SHORT_GAP_S = 2.0
"""The same where the timed iterations took less than that: they might lie inside of the gap."""
_AROUND_S = 1.0
"""Time before and after an invocation in which what is seen counts as during it."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Judgement:
    """The answer and what it rests on."""

    state: GpuState
    reason: str | None = None


def judge(telemetry: Telemetry, within: Interval | None = None) -> Judgement:
    """Say whether an invocation was disturbed.

    Args:
        telemetry: of the whole process.
        within: when the invocation's timed iterations lay, on the monotonic clock; without it all
            of the process counts.
    """
    windows = windows_within(telemetry, within)
    seen = _disturbance(telemetry, windows)
    if seen is not None:
        return Judgement(GpuState.CONTAMINATED, seen)
    unseen = _unseen(telemetry, windows, within)
    return Judgement(GpuState.UNKNOWN, unseen) if unseen else Judgement(GpuState.CLEAN)


def windows_within(telemetry: Telemetry, within: Interval | None) -> list[WindowLine]:
    """Return the windows that overlap an interval, with a little around it."""
    if within is None:
        return list(telemetry.windows)
    begin, end = within[0] - _AROUND_S, within[1] + _AROUND_S
    return [each for each in telemetry.windows if each.end_s >= begin and each.begin_s <= end]


def event_names(bits: int) -> tuple[str, ...]:
    """Name the bits; one that nobody knows keeps its number."""
    every = (1 << place for place in range(64) if bits >> place & 1)
    return tuple(EVENTS.get(bit, f"event_0x{bit:x}") for bit in every)


def event_share(windows: Sequence[WindowLine], bit: int) -> float | None:
    """Return the share of samples in which an event was active; None where none told."""
    told = [each for each in windows if each.events is not None]
    samples = sum(each.n for each in told)
    return sum(each.events_n.get(str(bit), 0) for each in told) / samples if samples else None


def _disturbance(telemetry: Telemetry, windows: Sequence[WindowLine]) -> str | None:
    lost = telemetry.end.lost if telemetry.end else None
    if lost is not None and lost.startswith("gpu_lost"):
        return lost
    return _throttled(windows) or _foreign(telemetry, windows) or _busy_before(telemetry)


def _throttled(windows: Sequence[WindowLine]) -> str | None:
    bits = 0
    for each in windows:
        bits |= (each.events or 0) & DISTURBING
    if not bits:
        return None
    shares = (
        f"{name} in {100 * (event_share(windows, bit) or 0):.2g} % of the samples"
        for bit in EVENTS if bits & bit for name in event_names(bit)
    )  # fmt: skip
    return f"throttled: {', '.join(shares)}"


def _foreign(telemetry: Telemetry, windows: Sequence[WindowLine]) -> str | None:
    found: dict[int, str] = {}
    for processes in _looks(telemetry, windows):
        found |= {each.pid: each.name or "unknown" for each in processes.foreign}
    if not found:
        return None
    told = ", ".join(f"{pid} ({name})" for pid, name in sorted(found.items()))
    return f"foreign_processes: others computed on the GPU: {told}"


def _busy_before(telemetry: Telemetry) -> str | None:
    before = telemetry.before
    if before is None or (before.busy_percent or 0) <= BUSY_BEFORE_PERCENT:
        return None
    return f"foreign_load: the GPU was {before.busy_percent} % busy before the benchmark began"


def _unseen(
    telemetry: Telemetry, windows: Sequence[WindowLine], within: Interval | None
) -> str | None:
    """Say what could not be seen; None where everything was."""
    if telemetry.problem is not None:
        return telemetry.problem
    device, end = telemetry.device, telemetry.end
    before, after = telemetry.before, telemetry.after
    if device is None or end is None or before is None or after is None:
        return "telemetry_damaged: a part of it is missing"
    if end.lost is not None:
        return f"telemetry_ended_early: {end.lost}"
    if device.mig is not False:
        return "mig: the GPU is divided" if device.mig else _told("mig", device.unknown)
    watched = (before.at_s, after.at_s)
    if not windows or (within is not None and not _lies_in(within, watched)):
        return "telemetry_elsewhere: nobody looked at the GPU while the iterations were timed"
    return (
        _gap(end.longest_gap_s, within or watched)
        or _unseen_events(telemetry, windows)
        or _unseen_processes(telemetry, windows)
    )


def _lies_in(within: Interval, watched: Interval) -> bool:
    return watched[0] - _AROUND_S <= within[0] <= within[1] <= watched[1] + _AROUND_S


def _gap(longest_s: float, within: Interval) -> str | None:
    if longest_s <= min(_LONGEST_GAP_S, max(_LONGEST_SHORT_GAP_S, within[1] - within[0])):
        return None
    return f"telemetry_gap: nobody looked at the GPU for {longest_s:.0f} s"


def _unseen_events(telemetry: Telemetry, windows: Sequence[WindowLine]) -> str | None:
    samples = [each for each in (telemetry.before, telemetry.after) if each is not None]
    blind = next((each for each in samples if each.events is None), None)
    if blind is not None:
        return _told("events", blind.unknown)
    if any(each.events is None for each in windows):
        return "throttling_unseen: the driver did not tell it at all times"
    return None


def _unseen_processes(telemetry: Telemetry, windows: Sequence[WindowLine]) -> str | None:
    for processes in _looks(telemetry, windows):
        if processes.why is not None:
            return f"processes_unseen: {processes.why}"
    blind = telemetry.device.blind if telemetry.device else None
    if blind is not None:
        return f"processes_unseen: {blind}{_in_use(telemetry.before)}"
    if any(each.processes is not None and each.processes.own for each in windows):
        return None
    return (
        "benchmark_unseen: no process of the benchmark was seen on this GPU, so it computed on "
        "another one or the driver does not tell processes"
    )


def _in_use(before: SampleLine | None) -> str:
    if before is None or before.used_mib is None:
        return ""
    return f"; {before.used_mib} MiB of the GPU's memory were in use before the benchmark"


def _told(name: str, unknown: dict[str, str]) -> str:
    what = {"mig": "division_unseen", "events": "throttling_unseen"}[name]
    return f"{what}: {unknown.get(name, 'the driver does not tell')}"


def _looks(telemetry: Telemetry, windows: Sequence[WindowLine]) -> Iterator[Processes]:
    for sample in (telemetry.before, telemetry.after):
        if sample is not None:
            yield sample.processes
    yield from (each.processes for each in windows if each.processes is not None)
