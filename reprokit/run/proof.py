"""What a reported iteration must prove before its row may be `ok` (design, section 6).

Pure functions. A gate that cannot tell lets nothing through as proven: it lowers the status, or
leaves a label where the design asks for no more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from reprokit.adapter import Sample, Setup
from reprokit.records import Arm, CompileDecision, Evidence, RowStatus
from reprokit.run.ending import Finding

DEVICE_UNREPORTED = "device_unreported"
OUTPUT_UNCHECKED = "output_unchecked"

_CLOCK_TOLERANCE = 1.02
"""Two clocks and the rounding of printed figures; more than that is no measurement."""


def merged(invocation: Evidence, sample: Evidence) -> Evidence:
    """Let a sample's own facts override those of its invocation."""
    own = {name: getattr(sample, name) for name in ("device", "tokens", "tokens_asked", "compile")}
    own["output_tokens"] = sample.output_tokens
    stated = {name: value for name, value in own.items() if value is not None}
    extra = {**invocation.extra, **sample.extra}
    return invocation.model_copy(update={**stated, "extra": extra})


def lowered(sample: Sample, evidence: Evidence, *, arm: Arm, setup: Setup) -> Finding | None:
    """Say why a sample that calls itself `ok` is not; None when it stands."""
    return (
        _numbers(sample.values)
        or _tokens(evidence)
        or _device(evidence, setup)
        or _compilation(evidence, arm)
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


def _compilation(evidence: Evidence, arm: Arm) -> Finding | None:
    """Ask for proof of the subject; the baseline only must not have claimed what it did not do."""
    proof = evidence.compile
    if proof is None:
        if arm is Arm.BASELINE:
            return None
        reason = "compile_unknown: the benchmark gave no evidence of what it executed"
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
    for name in ("latency_ms", "wall_ms"):
        if name in sample.values:
            return sample.values[name] / 1000
    rate = sample.values.get("tokps")
    if rate is not None and rate > 0 and evidence.tokens is not None:
        return evidence.tokens / rate
    first = sample.values.get("ttft_ms")
    return None if first is None else first / 1000


def disagreement(output: tuple[int, ...], references: Iterable[tuple[int, ...]]) -> Finding | None:
    """Compare a subject's tokens with the baseline's; None when they equal one of them.

    A baseline may disagree with itself from one process to the next; that is no error of the
    subject, so one equal output is enough.
    """
    known = sorted(set(references))
    if output in known:
        return None
    position = max(_first_difference(output, reference) for reference in known)
    among = "the baseline's" if len(known) == 1 else f"each of {len(known)} outputs of the baseline"
    reason = f"output_differs: from {among} at token {position}"
    return Finding(RowStatus.WRONG_OUTPUT, reason)


def _first_difference(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    pairs = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((at for at, (left, right) in enumerate(pairs) if left != right), shorter)
