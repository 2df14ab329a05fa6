"""What was seen of the GPU, put beside the rows of an invocation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reprokit.gpu.energy import Timed, energies, when_logged
from reprokit.gpu.judge import (
    POWER_CAP,
    Interval,
    Judgement,
    event_names,
    event_share,
    judge,
    windows_within,
)
from reprokit.gpu.telemetry import FILE, Range, Telemetry, WindowLine, read_telemetry
from reprokit.plan import Plan
from reprokit.records import Energy, GpuRecord, GpuState, Row, RowStatus
from reprokit.run.directory import RunDirectory
from reprokit.run.seats import read_copy

GPU_UNWATCHED = "gpu_unwatched"
"""Label: it could not be seen whether something disturbed the GPU; the row's `gpu` says why."""


def with_gpu(rows: Sequence[Row], plan: Plan, run: RunDirectory, launch: str | None) -> list[Row]:
    """Give the rows of one invocation what was seen of the GPU; lower those that were disturbed.

    Args:
        rows: all rows of the invocation.
        plan: it says whether a GPU was asked for at all.
        run: the run directory.
        launch: folder of the process that measured several invocations, relative to the run.
    """
    if plan.setup.device != "cuda" or not rows:
        return list(rows)
    invocation = rows[0].id.rpartition("__")[0]
    telemetry = read_telemetry(telemetry_of(run, invocation, launch))
    timed = [_timed(row, telemetry, shared=launch is not None) for row in rows]
    within = _within(rows, timed)
    judged = judge(telemetry, within)
    record = _record(telemetry, judged, windows_within(telemetry, within))
    copied = read_copy(run, record.uuid) if record.uuid else None
    record = record.model_copy(update={"copy_gbps": copied.gbps if copied else None})
    return [
        _watched(row, record, energy)
        for row, energy in zip(rows, energies(telemetry, timed), strict=True)
    ]


def _watched(row: Row, record: GpuRecord, energy: Energy) -> Row:
    update: dict[str, object] = {"gpu": record.model_copy(update={"energy": energy})}
    if record.state is GpuState.UNKNOWN:
        update["labels"] = (*row.labels, GPU_UNWATCHED)
    if record.state is GpuState.CONTAMINATED and row.status is RowStatus.OK:
        update |= {"status": RowStatus.CONTAMINATED, "reason": record.reason}
    return row.model_copy(update=update)


def _timed(row: Row, telemetry: Telemetry, *, shared: bool) -> Timed | None:
    """Say when an iteration was measured: by its own clock, or by when it was printed."""
    tokens = row.evidence.tokens or 0
    if row.evidence.window_s is not None:
        begin, end = row.evidence.window_s
        return Timed(begin, end, tokens) if begin < end else None
    latency = row.values.get("latency_ms", row.values.get("wall_ms"))
    if shared or row.evidence.log_end is None or latency is None:
        return None
    printed = when_logged(telemetry, row.evidence.log_end)
    return None if printed is None else Timed(printed - latency / 1000, printed, tokens)


def _within(rows: Sequence[Row], timed: Sequence[Timed | None]) -> Interval | None:
    """Return the time of all iterations; None where that of a measured one is not known."""
    known = [each for each in timed if each is not None]
    if len(known) < sum(bool(row.values) for row in rows) or not known:
        return None
    return min(each.begin_s for each in known), max(each.end_s for each in known)


def _record(telemetry: Telemetry, judged: Judgement, windows: Sequence[WindowLine]) -> GpuRecord:
    device, before = telemetry.device, telemetry.before
    facts = {} if device is None else device.model_dump(exclude=_NOT_KEPT)
    if before is not None:
        facts["unknown"] = {**facts.get("unknown", {}), **before.unknown}
    bits = 0
    for each in windows:
        bits |= each.events or 0
    powers = [(each.power_w, each.n) for each in windows if each.power_w is not None]
    temperature = _extremes([each.temperature_c for each in windows])
    return GpuRecord(
        state=judged.state, reason=judged.reason, **facts,
        sm_mhz=_extremes([each.sm_mhz for each in windows]),
        memory_mhz=_extremes([each.memory_mhz for each in windows]),
        temperature_c=temperature[1] if temperature else None,
        power_w=sum(w * n for w, n in powers) / sum(n for _, n in powers) if powers else None,
        events=event_names(bits),
        power_capped=event_share(windows, POWER_CAP),
    )  # fmt: skip


_NOT_KEPT = {"kind", "at_s", "blind", "memory_max_mhz"}


def _extremes(ranges: Sequence[Range | None]) -> tuple[int, int] | None:
    known = [each for each in ranges if each is not None]
    if not known:
        return None
    return round(min(low for low, _ in known)), round(max(high for _, high in known))


def telemetry_of(run: RunDirectory, invocation: str, launch: str | None = None) -> Path:
    """Return the file of what was seen while an invocation was measured."""
    return (run.path / launch if launch else run.invocation(invocation)) / FILE
