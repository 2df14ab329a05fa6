"""The claim's hardware against the measured one, and what an outcome means elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from reprokit.adapter import Setup
from reprokit.claim.model import Conclusion, ExpectGain, ExpectValue, Regime
from reprokit.records import Arm, Estimate, RowStatus
from reprokit.regime.gpus import names_gpu
from reprokit.regime.share import LEAST_KEPT, BandwidthShare
from reprokit.stack import ReadyPoint
from reprokit.verdict.gpu import measured_hardware, power_limits
from reprokit.verdict.guards import Decision
from reprokit.verdict.outcome import Outcome, Reason
from reprokit.verdict.records import Asked, Match
from reprokit.verdict.units import Unit

_MEMORY_TOLERANCE = 0.12  # GB against GiB, and what the driver keeps for itself
_POWER_TOLERANCE = 0.02
_GIB = float(2**30)


def compare_regime(
    regime: Regime | None, ready: ReadyPoint | None, unit: Unit, setup: Setup
) -> tuple[Asked, ...]:
    """Compare each part of the regime that the claim states; empty where it names none.

    What was seen of the GPU while measuring comes before what the probe said of it. The prompt is
    compared where the adapter has it as an option; otherwise it is left to the report.
    """
    if regime is None:
        return ()
    device = measured_hardware(unit, ready.probe.device if ready and ready.probe else {})
    measured = measured_device(unit, device, setup.device)
    parts = [_text("device", regime.device, measured)]
    if regime.gpu is not None:
        parts.append(_gpu(regime.gpu, _string(device, "name")))
    if regime.sm is not None:
        parts.append(_text("sm", regime.sm, _string(device, "sm")))
    if regime.vram_gb is not None:
        parts.append(_number("vram_gb", regime.vram_gb, _memory_gb(device), _MEMORY_TOLERANCE))
    if regime.power_limit_w is not None:
        parts.append(_power(regime.power_limit_w, unit, device))
    if regime.batch is not None:
        parts.append(_batch(regime.batch, unit, setup.options))
    prompt = setup.options.get("prompt")
    if regime.prompt is not None and prompt is not None:
        parts.append(_text("prompt", regime.prompt, str(prompt)))
    return tuple(parts)


def measured_device(unit: Unit, device: Mapping[str, JsonValue], asked: str) -> str | None:
    """Name the device type that the work ran on, None where it cannot be told.

    The rows' own word comes first. The probe only knows what torch would compute on: it settles the
    question where that is a CPU, or where nothing ran and it has the device that was asked for.
    """
    ok = [row for row in unit.rows() if row.status is RowStatus.OK]
    seen = {row.evidence.device.split(":")[0] for row in ok if row.evidence.device is not None}
    if len(seen) > 1:
        return None
    if seen:
        return seen.pop()
    probed = _string(device, "type")
    if probed == "cpu" or (not ok and asked == "cpu"):
        return "cpu"
    return probed if not ok and asked == probed else None


def transferred(
    decision: Decision,
    regime: Sequence[Asked],
    expect: Conclusion,
    estimates: Mapping[str, Estimate],
    arms: Mapping[Arm, str],
    share: BandwidthShare | None = None,
) -> Decision:
    """Say what a decision means where the hardware is not shown to be the claim's.

    A figure that is another one here is kept as an effect where the advantage over the baseline is
    kept, and at least half of the share of the memory's ceiling that the claim means. A share that
    cannot be told decides nothing. Undecided outcomes and a silent fallback are about the
    measurement and stay what they are.
    """
    if all(part.status == "match" for part in regime):
        return decision
    outcome = decision.outcome
    if not outcome.decided or outcome is Outcome.SILENT_FALLBACK:
        return decision
    differs = any(part.status == "differs" for part in regime)
    reasons: tuple[str, ...] = (Reason.OTHER_REGIME if differs else Reason.REGIME_UNKNOWN,)
    if outcome is Outcome.REPRODUCED:
        return Decision(Outcome.TRANSFERS, (*reasons, *decision.reasons))
    if outcome is Outcome.NO_SURVIVORS:
        return Decision(Outcome.DOES_NOT_TRANSFER, (outcome, *decision.reasons, *reasons))
    kept = _advantage_kept(expect, estimates, arms)
    if kept is None:
        return Decision(Outcome.INCONCLUSIVE, (Reason.SPEEDUP_UNCLEAR, *reasons))
    lost = kept and share is not None and share.kept is not None and share.kept < LEAST_KEPT
    reasons = (Reason.BANDWIDTH_LOST, *reasons) if lost else reasons
    holds = kept and not lost
    shifted = Outcome.TRANSFERS_SHIFTED if holds else Outcome.DOES_NOT_TRANSFER
    return Decision(shifted, (*reasons, outcome, *decision.reasons))


def _advantage_kept(
    expect: Conclusion, estimates: Mapping[str, Estimate], arms: Mapping[Arm, str]
) -> bool | None:
    """Tell whether the sign of the claimed effect is kept; None where the interval holds zero.

    For a number: the subject is still faster than the baseline, where they are different things.
    For a gain: the bound's own sign. Equivalence and stability have nothing left to keep.
    """
    if isinstance(expect, ExpectValue):
        if arms.get(Arm.BASELINE) in {None, arms.get(Arm.SUBJECT)}:
            return True
        sign = 1.0
    elif isinstance(expect, ExpectGain):
        faster = expect.at_least is not None and expect.at_least >= 0
        slower = expect.at_most is not None and expect.at_most <= 0
        if faster == slower:
            return True
        sign = 1.0 if faster else -1.0
    else:
        return False
    gain = estimates.get("gain")
    if gain is None or gain.low is None or gain.high is None:
        return None
    low, high = sorted((sign * gain.low, sign * gain.high))
    return None if low <= 0 <= high else low > 0


def _gpu(claimed: str, measured: str | None) -> Asked:
    """Compare names; one that cannot be told is no match."""
    if measured is None:
        return Asked(name="gpu", asked=claimed, measured=None, status="unknown")
    same = names_gpu(claimed, measured)
    return _asked("gpu", claimed, measured, "match" if same else "differs")


def _power(claimed: float, unit: Unit, device: Mapping[str, JsonValue]) -> Asked:
    """Compare the power limit; one that was changed while measuring is none that was claimed."""
    limits = power_limits(unit)
    if len(limits) > 1 and limits[-1] - limits[0] > _POWER_TOLERANCE * claimed:
        measured = ", ".join(f"{each:.4g}" for each in limits)
        return _asked("power_limit_w", f"{claimed:g}", measured, "differs")
    return _number("power_limit_w", claimed, _float(device.get("power_limit_w")), _POWER_TOLERANCE)


def _batch(claimed: int, unit: Unit, options: Mapping[str, JsonValue]) -> Asked:
    """Compare the batch: what the benchmark said it used, else what it was told to use."""
    ok = (row for row in unit.rows(Arm.SUBJECT) if row.status is RowStatus.OK)
    seen = {found for row in ok if (found := _batch_in(row.evidence.extra)) is not None}
    cells = [stratum.cell.axes["batch"] for stratum in unit.strata if "batch" in stratum.cell.axes]
    told = {str(value) for value in cells} or {_batch_in(options)} - {None}
    batches = sorted(seen or {value for value in told if value is not None})
    if not batches:
        return _asked("batch", str(claimed), None, "unknown")
    status: Match = "match" if batches == [str(claimed)] else "differs"
    return _asked("batch", str(claimed), ", ".join(batches), status)


def _batch_in(facts: Mapping[str, JsonValue]) -> str | None:
    values = (facts.get(key) for key in ("batch", "batch_size"))
    return next((str(value) for value in values if isinstance(value, int)), None)


def _text(name: str, claimed: str, measured: str | None) -> Asked:
    if measured is None:
        return _asked(name, claimed, None, "unknown")
    return _asked(name, claimed, measured, "match" if claimed == measured else "differs")


def _number(name: str, claimed: float, measured: float | None, tolerance: float) -> Asked:
    if measured is None:
        return _asked(name, f"{claimed:g}", None, "unknown")
    near = abs(measured - claimed) <= tolerance * claimed
    return _asked(name, f"{claimed:g}", f"{measured:.4g}", "match" if near else "differs")


def _asked(name: str, asked: str, measured: str | None, status: Match) -> Asked:
    return Asked(name=name, asked=asked, measured=measured, status=status)


def _memory_gb(device: Mapping[str, JsonValue]) -> float | None:
    """Memory in GiB from whichever unit the probe gives."""
    for key, unit in (("memory_bytes", _GIB), ("memory_mib", 1024.0), ("memory_gb", 1.0)):
        found = _float(device.get(key))
        if found is not None:
            return found / unit
    return None


def _float(value: JsonValue | None) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _string(device: Mapping[str, JsonValue], key: str) -> str | None:
    value = device.get(key)
    return value if isinstance(value, str) and value else None
