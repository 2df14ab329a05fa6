"""What rows say of the GPU: shares of its memory's ceiling, energy, which one it was. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from statistics import fmean

from pydantic import JsonValue

from reprokit.claim.model import Claim, Conclusion, ExpectValue
from reprokit.plan import Plan
from reprokit.records import Arm, Estimate, GpuRecord, Row, RowStatus
from reprokit.regime.share import BandwidthShare, bandwidth_share
from reprokit.verdict.units import Stratum, Unit

SEVERAL_GPUS = "several_gpus"
"""Label: the rows of one point are of more than one GPU."""

_PREFILL = "prefill"
_METHOD = (
    "mean of the invocations' means; the whole GPU's own energy counter over the timed iterations, "
    "nothing idle taken off"
)


def gpus_of(rows: Iterable[Row]) -> Iterator[GpuRecord]:
    """Yield what was seen of the GPU by each row that has it."""
    return (row.gpu for row in rows if row.gpu is not None)


def several_gpus(unit: Unit) -> bool:
    """Tell whether the rows of a unit are of more than one GPU."""
    return len({each.uuid for each in gpus_of(unit.rows()) if each.uuid is not None}) > 1


def measured_hardware(unit: Unit, probed: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Put what was seen while measuring over what the probe said of the device."""
    seen = next((each for each in gpus_of(unit.rows()) if each.name is not None), None)
    if seen is None:
        return dict(probed)
    facts: dict[str, JsonValue] = {
        "name": seen.name, "sm": seen.sm, "power_limit_w": seen.power_limit_w
    }  # fmt: skip
    if seen.memory_mib is not None and "memory_bytes" not in probed:
        facts["memory_mib"] = seen.memory_mib
    return {**probed, **{name: value for name, value in facts.items() if value is not None}}


def power_limits(unit: Unit) -> tuple[float, ...]:
    """Return the power limits that were enforced while measuring, each once, the lowest first."""
    found = {each.power_limit_w for each in gpus_of(unit.rows())}
    return tuple(sorted(each for each in found if each is not None))


def share_of(claim: Claim, plan: Plan, unit: Unit, expect: Conclusion) -> BandwidthShare | None:
    """Return the shares of the memory's ceiling; None where nothing decodes, or on no GPU."""
    decoding = [each for each in unit.strata if each.cell.axes.get("phase") != _PREFILL]
    rows = [row for stratum in decoding for row in _ok(stratum, Arm.SUBJECT)]
    regime = claim.regime
    rate = isinstance(expect, ExpectValue) and expect.metric == "tokps"
    return bandwidth_share(
        rows,
        batch=_batch(plan, decoding),
        claimed_tokps=expect.value if rate and isinstance(expect, ExpectValue) else None,
        claimed_gpu=regime.gpu if regime else None,
        claimed_power_w=regime.power_limit_w if regime else None,
    )


def energy_of(unit: Unit, arms: Iterable[Arm]) -> tuple[Estimate, ...]:
    """Return joules per token of each arm, or why there are none; nothing on no GPU."""
    return tuple(_energy(unit, arm) for arm in arms if any(gpus_of(unit.rows(arm))))


def _energy(unit: Unit, arm: Arm) -> Estimate:
    per_launch: list[float] = []
    iterations = 0
    for launch in unit.launches(arm):
        found = [each.energy.joules_per_token for each in gpus_of(launch.ok)]
        known = [each for each in found if each is not None]
        if known:
            per_launch.append(fmean(known))
            iterations += len(known)
    return Estimate(
        name=f"{arm}_joules_per_token",
        value=fmean(per_launch) if per_launch else None,
        unit="J/token",
        method=_METHOD,
        n={"invocations": len(per_launch), "iterations": iterations},
        reason=None if per_launch else _why_none(unit, arm),
    )


def _why_none(unit: Unit, arm: Arm) -> str:
    reasons = Counter(
        each.energy.reason
        for launch in unit.launches(arm)
        for each in gpus_of(launch.ok)
        if each.energy.reason is not None
    )
    return reasons.most_common(1)[0][0] if reasons else "no_ok_row"


def _ok(stratum: Stratum, arm: Arm) -> Iterator[Row]:
    for launch in stratum.launches[arm]:
        yield from (row for row in launch.ok if row.status is RowStatus.OK)


def _batch(plan: Plan, strata: Iterable[Stratum]) -> int:
    """Return the batch that was asked for; 1 where nobody asked for one."""
    options = plan.setup.options
    asked = [
        *(stratum.cell.axes.get("batch") for stratum in strata),
        options.get("batch"), options.get("batch_size"),
    ]  # fmt: skip
    sizes = [each for each in asked if isinstance(each, int) and each > 0]
    return sizes[0] if sizes else 1
