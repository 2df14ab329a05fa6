"""Every metric that rows may carry: name, unit, direction, definition.

Definitions follow TR147, "Metric Definitions". A claim may name no other metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way is better."""

    LOWER = "lower"
    HIGHER = "higher"


@dataclass(frozen=True)
class Metric:
    """One measured quantity of an iteration."""

    name: str
    unit: str
    direction: Direction
    definition: str


_ALL = (
    Metric(
        "latency_ms", "ms", Direction.LOWER,
        "Wall-clock time of the measured call, with device synchronisation before the timer starts "
        "and before it stops. The phase says what the call is: prefill, kv_decode (prefill "
        "excluded) or e2e_kv.",
    ),
    Metric(
        "wall_ms", "ms", Direction.LOWER,
        "The same as latency_ms under the column name of TR147's v4 probes.",
    ),
    Metric(
        "device_ms", "ms", Direction.LOWER,
        "Time between two events on the device's stream around the same call (CUDA events): the "
        "call as the device saw it.",
    ),
    Metric(
        "tokps", "tok/s", Direction.HIGHER,
        "Decoded tokens per second over the timed generation interval, as the benchmark counts it.",
    ),
    Metric(
        "ttft_ms", "ms", Direction.LOWER,
        "Time from the start of the request to the first generated token.",
    ),
    Metric(
        "bandwidth_gbps", "GB/s", Direction.HIGHER,
        "Model bytes per token times tokens per second: a proxy, used comparatively only.",
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Metric name to definition."""

TIME_METRICS = frozenset({"latency_ms", "wall_ms", "device_ms", "ttft_ms"})
"""Metrics that are durations in ms; the others are work on time."""
