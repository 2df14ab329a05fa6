"""The GPU while it was measured on: what disturbed it, its clocks and power, energy, bandwidth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from reprokit.records import GpuRecord, GpuState, Row
from reprokit.regime.share import BandwidthShare
from reprokit.report.evidence_section import place
from reprokit.report.markup import code, table, text
from reprokit.report.wording import estimate_words
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.wording import count, decimals, number, point_noun

_HEAD = (
    "GPU", "driver, CUDA", "power limit, drawn (W)", "SM clock (MHz)", "hottest (°C)",
    "clock events", "watched",
)  # fmt: skip
_HOW = (
    "Seen from a process of its own, ten times a second, before, during and after each benchmark; "
    "`telemetry.jsonl` lies beside its logs. `clean` means that everything could be seen and "
    "nothing disturbed it."
)
_ENERGY = (
    "Energy is the whole GPU's, from its own counter over the timed iterations; what it takes when "
    "idle is not taken off."
)
_SHARES = (
    "Share of the memory's ceiling that decoding uses (bytes of the weights per token x tokens per "
    "second / ceiling; the KV cache is not counted). The measured ceiling is a copy from device to "
    "device on this very GPU, bytes read and written; the published one is a datasheet's."
)
_MOST_REASONS = 6


def gpu_section(verdict: Verdict, rows: Sequence[Row]) -> list[str]:
    """Write what was seen of the GPUs; nothing where none was asked for."""
    seen: dict[str, list[GpuRecord]] = {}
    for row in rows:
        if row.gpu is not None:
            seen.setdefault(row.point, []).append(row.gpu)
    if not seen:
        return []
    lines = ["## GPU", "", _HOW, ""]
    lines += table(
        ["stack point", *_HEAD], ([code(name), *_row(found)] for name, found in seen.items())
    )
    lines += _reasons(record for found in seen.values() for record in found)
    return [*lines, *_energies(verdict), *_shares(verdict)]


def _row(found: Sequence[GpuRecord]) -> list[str]:
    last = found[-1]
    names = dict.fromkeys(f"{each.name or 'unknown'} {(each.uuid or '')[:12]}" for each in found)
    states = Counter(each.state for each in found)
    temperatures = [each.temperature_c for each in found if each.temperature_c is not None]
    events = dict.fromkeys(name for each in found for name in each.events if name != "idle")
    return [
        text(", ".join(names)),
        text(", ".join(part for part in (last.driver, last.cuda) if part)),
        ", ".join(
            (_span(each.power_limit_w for each in found), _span(each.power_w for each in found))
        ),
        _clocks(found),
        str(max(temperatures)) if temperatures else "unknown",
        text(", ".join(events)) or "none",
        ", ".join(f"{state}: {count(n, 'row')}" for state, n in sorted(states.items())),
    ]


def _clocks(found: Sequence[GpuRecord]) -> str:
    ranges = [each.sm_mhz for each in found if each.sm_mhz is not None]
    if not ranges:
        return "unknown"
    most = f" of {found[-1].sm_max_mhz}" if found[-1].sm_max_mhz else ""
    return f"{min(low for low, _ in ranges)} to {max(high for _, high in ranges)}{most}"


def _span(values: Iterable[float | None]) -> str:
    known = sorted({round(each) for each in values if each is not None})
    if not known:
        return "unknown"
    return str(known[0]) if known[0] == known[-1] else f"{known[0]} to {known[-1]}"


def _reasons(records: Iterable[GpuRecord]) -> list[str]:
    """Say once what disturbed rows, and what could not be seen."""
    found = Counter(
        (each.state, each.reason or "")
        for each in records if each.state is not GpuState.CLEAN
    )  # fmt: skip
    lines = [
        f"- {state}, {count(n, 'row')}: {text(reason)}"
        for (state, reason), n in found.most_common(_MOST_REASONS)
    ]
    if (left := len(found) - _MOST_REASONS) > 0:
        lines.append(f"- and {count(left, 'other reason')}, in `rows.jsonl`")
    return ["", *lines] if lines else []


def _energies(verdict: Verdict) -> list[str]:
    points = [point for point in verdict.points if point.energy]
    if not points:
        return []
    rows = [
        [place(point), code(each.name.partition("_")[0]), text(estimate_words(each))]
        for point in points
        for each in point.energy
    ]
    return ["", _ENERGY, "", *table([point_noun(verdict.axes), "arm", "energy"], rows)]


def _shares(verdict: Verdict) -> list[str]:
    points = [(point, point.bandwidth) for point in verdict.points if point.bandwidth is not None]
    if not points:
        return []
    head = [
        point_noun(verdict.axes), "bytes per token", "measured ceiling (GB/s)", "used of it",
        "used of the published", "claimed of the published", "kept",
    ]  # fmt: skip
    lines = ["", _SHARES, "", *table(head, (_share(point, share) for point, share in points))]
    unknown = {name: why for _, share in points for name, why in share.unknown.items()}
    lines += [""] if unknown else []
    return [*lines, *(f"- {name.replace('_', ' ')}: {text(why)}" for name, why in unknown.items())]


def _share(point: PointVerdict, share: BandwidthShare) -> list[str]:
    return [
        place(point),
        number(share.bytes_per_token) if share.bytes_per_token is not None else "unknown",
        number(share.copy_gbps) if share.copy_gbps is not None else "unknown",
        *(_percent(each) for each in (share.mbu, share.mbu_of_peak, share.claimed_mbu_of_peak)),
        _percent(share.kept),
    ]


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{decimals(100 * share, 1)} %"
