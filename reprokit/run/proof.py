"""What a reported iteration must prove before its row may be `ok` (design, section 6).

Pure functions. A gate that cannot tell lets nothing through as proven: it lowers the status, or
leaves a label where the design asks for no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from reprokit.adapter import Sample, Setup
from reprokit.records import Arm, CompileDecision, Evidence, RowStatus
from reprokit.run.ending import Finding

DEVICE_UNREPORTED = "device_unreported"

_EAGER = "eager"
"""What adapters call the arm that compiles nothing (`Adapter.arms`)."""
_CLOCK_TOLERANCE = 1.02
"""Two clocks and the rounding of printed figures; more than that is no measurement."""
_CLOCK_SLACK_MS = 0.05
"""The events on the device's stream may lie just outside of the host's timer."""
_TIMES_OF_ALL = ("latency_ms", "wall_ms", "device_ms")
"""Metrics that time the whole iteration; the first token alone has another floor."""


def merged(invocation: Evidence, sample: Evidence) -> Evidence:
    """Let a sample's own facts override those of its invocation."""
    own = {name: getattr(sample, name) for name in Evidence.model_fields if name != "extra"}
    stated = {name: value for name, value in own.items() if value is not None}
    if sample.output_tokens is not None:
        # What is said about an output is said about this one or not at all.
        about = ("output_ties", "output_digest", "output_logits")
        stated |= {name: getattr(sample, name) for name in about}
    extra = {**invocation.extra, **sample.extra}
    return invocation.model_copy(update={**stated, "extra": extra})


def lowered(sample: Sample, evidence: Evidence, *, arm: Arm, setup: Setup) -> Finding | None:
    """Say why a sample that calls itself `ok` is not; None when it stands."""
    return (
        _numbers(sample.values)
        or _tokens(evidence)
        or _device(evidence, setup)
        or _floor(sample, evidence)
        or _clocks(sample.values)
        or _compilation(evidence, arm, setup)
    )


def _numbers(values: dict[str, float]) -> Finding | None:
    if not values:
        return Finding(RowStatus.FALL_THROUGH, "no_values: the sample holds no number")
    for name, value in values.items():
        if not math.isfinite(value) or value <= 0:
            reason = f"impossible_value: {name} = {value:g}"
            return Finding(RowStatus.FALL_THROUGH, reason)
    return None


def _tokens(evidence: Evidence) -> Finding | None:
    made, asked = evidence.tokens, evidence.tokens_asked
    if made is not None and made <= 0:
        return Finding(RowStatus.FALL_THROUGH, "no_tokens: nothing was generated")
    if made is not None and asked is not None and made != asked:
        reason = f"wrong_tokens: {made} tokens were generated where {asked} were asked for"
        return Finding(RowStatus.FALL_THROUGH, reason)
    return None


def _device(evidence: Evidence, setup: Setup) -> Finding | None:
    if evidence.device is None or evidence.device.partition(":")[0] == setup.device:
        return None
    reason = f"device_mismatch: ran on {evidence.device}, asked for {setup.device}"
    return Finding(RowStatus.WRONG_OUTPUT, reason)


def _floor(sample: Sample, evidence: Evidence) -> Finding | None:
    """Refuse what is faster than the device can read what it must read."""
    floor = evidence.floor_ms
    if floor is None or not math.isfinite(floor):
        return None
    fastest = min(_whole_ms(sample, evidence), default=math.inf)
    if fastest >= floor:
        return None
    reason = (
        f"too_fast: {fastest:.3g} ms where reading the weights at the measured bandwidth takes "
        f"at least {floor:.3g} ms"
    )
    return Finding(RowStatus.FALL_THROUGH, reason)


def _whole_ms(sample: Sample, evidence: Evidence) -> Iterator[float]:
    """Yield every time in ms that the sample claims for the whole iteration."""
    yield from (sample.values[name] for name in _TIMES_OF_ALL if name in sample.values)
    rate = sample.values.get("tokps")
    if rate is not None and rate > 0 and evidence.tokens is not None:
        yield 1000 * evidence.tokens / rate


def _clocks(values: dict[str, float]) -> Finding | None:
    """Refuse a call that took longer on the device than on the host, which waited for it.

    The other way round is no contradiction: a call that the host cannot feed leaves the device
    idle.
    """
    device = values.get("device_ms")
    host = values.get("latency_ms", values.get("wall_ms"))
    if device is None or host is None or device <= host * _CLOCK_TOLERANCE + _CLOCK_SLACK_MS:
        return None
    reason = f"two_clocks: {device:.3g} ms on the device inside of {host:.3g} ms on the host"
    return Finding(RowStatus.CONTAMINATED, reason)


def _compilation(evidence: Evidence, arm: Arm, setup: Setup) -> Finding | None:
    """Ask for proof of the subject; the baseline only must not have claimed what it did not do.

    That nothing was to be compiled is believed of a subject only where the plan itself calls that
    arm eager: else every adapter could be excused by its benchmark's own word.
    """
    proof = evidence.compile
    if proof is None:
        if arm is Arm.BASELINE:
            return None
        reason = "compile_unknown: the benchmark gave no evidence of what it executed"
        return Finding(RowStatus.SILENT_FALLBACK, reason)
    asked = setup.arms.get(arm)
    if proof.decision is CompileDecision.NOT_ASKED and arm is Arm.SUBJECT and asked != _EAGER:
        reason = f"compile_not_asked: the arm is {asked}, and the benchmark says: {proof.reason}"
        return Finding(RowStatus.SILENT_FALLBACK, reason)
    if proof.decision in {CompileDecision.COMPILED, CompileDecision.NOT_ASKED}:
        return None
    return Finding(RowStatus.SILENT_FALLBACK, f"compile_{proof.decision}: {proof.reason}")


def impossible_time(samples: Iterable[tuple[Sample, Evidence]], *, wall_s: float) -> Finding | None:
    """Compare the time that the samples of one process claim with the life of that process."""
    durations = [_duration_s(sample, evidence) for sample, evidence in samples]
    claimed = sum(value for value in durations if value is not None and math.isfinite(value))
    if claimed <= wall_s * _CLOCK_TOLERANCE:
        return None
    reason = (
        f"impossible_time: {claimed:.3f} s were reported by a process that lived {wall_s:.3f} s"
    )
    return Finding(RowStatus.CONTAMINATED, reason)


def _duration_s(sample: Sample, evidence: Evidence) -> float | None:
    for name in _TIMES_OF_ALL:
        if name in sample.values:
            return sample.values[name] / 1000
    rate = sample.values.get("tokps")
    if rate is not None and rate > 0 and evidence.tokens is not None:
        return evidence.tokens / rate
    first = sample.values.get("ttft_ms")
    return None if first is None else first / 1000
