"""The least time that memory leaves to an iteration, as arithmetic. Pure: no torch here.

A step cannot end before the weights that it must read have come from memory, except those that the
caches can have kept from the step before. The result must stay a lower bound: whatever is not
certain lowers it, and what cannot be told makes it null, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SLACK = {"cuda": 2.0, "cpu": 4.0}
"""The bound is divided by this. A GPU's measured rate lies within some 15 % of the best possible
one; a CPU shares its memory with others, and may have been slow just while it was measured."""

CPU_FOLDER = Path("/sys/devices/system/cpu")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Bandwidth:
    """The best rate seen at reading memory.

    Attributes:
        gbps: 10^9 bytes per second; None where it could not be measured.
        method: what was timed.
        buffer_bytes: of the buffer that was read.
        reason: why there is no rate; None where there is one.
    """

    gbps: float | None
    method: str
    buffer_bytes: int
    reason: str | None = None


@dataclass(frozen=True)
class Reads:
    """What a step of the model reads.

    Attributes:
        step_bytes: of the weights that every step reads; None where that cannot be told.
        method: which weights were counted.
        reason: why it cannot be told.
    """

    step_bytes: int | None
    method: str
    reason: str | None = None


def floor_record(
    reads: Reads, *, steps: int, device: str, bandwidth: Bandwidth, cache_bytes: int | None
) -> dict[str, object]:
    """Return the header's `floor`: ms of one iteration (null with a reason), and where it is from.

    `bytes` is what one step must read; the caches can have kept `cache_bytes` of it.
    """
    slack = SLACK.get(device, max(SLACK.values()))
    reason = _missing(reads, device, bandwidth, cache_bytes)
    milliseconds = None
    if reason is None and bandwidth.gbps:
        fetched = max(0, (reads.step_bytes or 0) - (cache_bytes or 0))
        milliseconds = steps * fetched / (bandwidth.gbps * 1e6) / slack
    return {
        "ms": milliseconds,
        "bytes": reads.step_bytes or 0,
        "bandwidth_gbps": bandwidth.gbps,
        "cache_bytes": cache_bytes,
        "method": f"{steps} steps x ({reads.method}, less the caches) / ({bandwidth.method}), "
        f"divided by {slack:g}",
        "reason": reason,
    }


def _missing(
    reads: Reads, device: str, bandwidth: Bandwidth, cache_bytes: int | None
) -> str | None:
    if reads.step_bytes is None:
        return reads.reason or "what a step reads cannot be told"
    if cache_bytes is None:
        return f"the caches of this {device} do not tell their sizes"
    if bandwidth.gbps is None or bandwidth.gbps <= 0:
        return bandwidth.reason or "the rate of the memory was not measured"
    return None


def cpu_cache_bytes(folder: Path = CPU_FOLDER) -> int | None:
    """Add up all distinct data caches of all CPUs, of every level; None where they are not told.

    Of every level, because the last level of many CPUs does not repeat what the others hold; of all
    CPUs, because threads may move between them.
    """
    found: dict[tuple[str, str], int] = {}
    for cache in folder.glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            kind, level, shared, size = (
                (cache / name).read_text(encoding="ascii").strip()
                for name in ("type", "level", "shared_cpu_list", "size")
            )
        except OSError:
            return None
        if kind != "Instruction":
            parsed = parse_size(size)
            if parsed is None:
                return None
            found[level, shared] = parsed
    return sum(found.values()) or None


def parse_size(text: str) -> int | None:
    """Read "32768K" as bytes; None for what is no such size."""
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    return int(number) * unit if number.isascii() and number.isdigit() else None
