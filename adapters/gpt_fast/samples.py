"""Turns the log and the trace of one `generate.py` into samples with their evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from adapters.gpt_fast.chrome_trace import decide, read_trace
from adapters.gpt_fast.generate_log import Block, GenerateLog, read_log
from adapters.gpt_fast.generate_source import GenerateSource
from adapters.gpt_fast.launched import Launched
from adapters.gpt_fast.options import Options
from reprokit.adapter import Reading, Sample
from reprokit.records import CompileDecision, CompileEvidence, Evidence

_HALF = 0.005
"""Half of the last printed digit: every figure in the log has two decimals."""
_SLACK = 1e-6
"""Relative; the script averages in single precision."""

TOKEN_RULES = {
    "y.size(0) - prompt_length": "max_new_tokens",
    "y.size(-1) - prompt_length": "max_new_tokens",
}
"""What a commit's rule comes to: both fill a buffer of prompt + max_new_tokens, with no early stop,
and count one sequence whatever the batch."""


@dataclass(frozen=True)
class Asked:
    """What one invocation was asked for.

    Attributes:
        weights: "synthetic" or "hub".
        origin: repository and commit of weights from a hub.
    """

    options: Options
    batch_size: int
    samples: int
    compiled: bool
    device: str
    weights: str
    origin: Mapping[str, JsonValue]

    @property
    def synthetic(self) -> bool:
        """Whether the weights are random."""
        return self.weights == "synthetic"

    @property
    def printed(self) -> int:
        """Samples that the script is told to run: the compiled arm's last one is profiled."""
        return self.samples + 1 if self.compiled else self.samples

    def flags(self) -> tuple[str, ...]:
        """Switches of the compiled arm."""
        if not self.compiled:
            return ()
        return ("compile", "compile_prefill") if self.options.compile_prefill else ("compile",)

    def labels(self, launched: Launched) -> tuple[str, ...]:
        """Facts that a reader must know beside the number."""
        told: tuple[str, ...] = ("includes_prefill",)
        if self.synthetic:
            told += ("synthetic_weights", "synthetic_tokenizer")
        elif self.options.checkpoint is not None:
            told += ("local_checkpoint",)
        return (*told, "stand_in_tokenizer") if launched.stand_ins else told


def read_samples(
    asked: Asked, *, source: GenerateSource, stdout: Path, trace: Path, launched: Launched
) -> Reading:
    """Read what one `generate.py` left behind; never raises for what it wrote."""
    log = read_log(stdout, asked=asked.printed)
    contradiction = _inconsistency(asked, log)
    believed = log.blocks if contradiction is None else ()
    tokens = asked.options.max_new_tokens if source.token_rule in TOKEN_RULES else None
    evidence = Evidence(
        device=_device(log),
        tokens_asked=asked.options.max_new_tokens,
        floor_ms=launched.floor_ms,
        compile=_compile_evidence(asked, log, source, trace),
        extra=_extra(asked, log, source, launched),
    )
    return Reading(
        samples=tuple(_sample(asked, block, tokens) for block in believed[: asked.samples]),
        evidence=evidence,
        labels=asked.labels(launched),
        problem=contradiction or log.problem or _missing(asked, log),
    )


def _sample(asked: Asked, block: Block, tokens: int | None) -> Sample:
    return Sample(
        iteration=block.number - 1,
        values=_values(block, tokens),
        # Without --compile the script has no warm-up: its first sample also loads and builds.
        cold=not asked.compiled and block.number == 1,
        evidence=Evidence(
            tokens=tokens,
            log_end=block.end,
            extra={} if block.tflops is None else {"tflops": block.tflops},
        ),
    )


def _values(block: Block, tokens: int | None) -> dict[str, float]:
    """Return what was measured; a figure that two decimals show as 0.00 is no measurement."""
    found = {
        "tokps": block.tokps,
        "latency_ms": latency_ms(block, tokens),
        "bandwidth_gbps": block.bandwidth,
    }
    return {name: value for name, value in found.items() if value > 0}


def latency_ms(block: Block, tokens: int | None) -> float:
    """Time of one sample in ms, prefill included, as precise as the log allows.

    Both the time and its reciprocal are printed with two decimals; the larger of the two numbers
    has the smaller relative rounding error, and is the one used.
    """
    if tokens is not None and block.tokps > block.seconds:
        return 1000.0 * tokens / block.tokps
    return 1000.0 * block.seconds


def _device(log: GenerateLog) -> str | None:
    """Device type: reserved GPU memory proves cuda; the script's own word is taken for the cpu."""
    memory = float(log.tail.get("memory_gb", "nan"))
    if memory > 0:
        return "cuda"
    said = log.head.get("device", "").split(":")[0]
    return said if said == "cpu" else None


def _compile_evidence(
    asked: Asked, log: GenerateLog, source: GenerateSource, trace: Path
) -> CompileEvidence:
    if not asked.compiled:
        return CompileEvidence(decision=CompileDecision.NOT_ASKED, reason="the arm is eager")
    facts: dict[str, JsonValue] = {
        "compile_s": float(log.head["compile_s"]) if "compile_s" in log.head else None,
        "decode_steps": asked.options.max_new_tokens - 1,
    }
    unknown = None
    if "profile" not in source.options:
        unknown = "this commit has no --profile option, so nothing shows what executed"
    elif "compile_s" not in log.head:
        unknown = "the log has no 'Compilation time' line"
    elif log.problem is None and len(log.blocks) < asked.printed:
        unknown = "the run ended before its profiled sample"
    if unknown is not None:
        return CompileEvidence(decision=CompileDecision.UNKNOWN, reason=unknown, facts=facts)
    found = decide(
        read_trace(trace),
        steps=asked.options.max_new_tokens - 1,
        device=_device(log) or asked.device,
    )
    return found.model_copy(update={"facts": {**found.facts, **facts}})


def _extra(
    asked: Asked, log: GenerateLog, source: GenerateSource, launched: Launched
) -> dict[str, JsonValue]:
    rule = source.token_rule
    meaning = TOKEN_RULES.get(rule or "", "not known to this adapter")
    extra: dict[str, JsonValue] = {
        "token_rule": f"{rule} = {meaning}",
        "size_rule": source.size_rule,
        "always_compiled": list(source.always_compiled),
        "batch_size": asked.batch_size,
        "printed": {**log.head, **log.tail},
        "floor": launched.floor,
        "stand_ins": list(launched.stand_ins),
        **asked.origin,
    }
    if asked.compiled and len(log.blocks) == asked.printed:
        last = log.blocks[-1]
        extra["profiled_sample"] = {"seconds": last.seconds, "tokps": last.tokps}
    return extra


def _missing(asked: Asked, log: GenerateLog) -> str | None:
    if len(log.blocks) < asked.samples:
        return f"{len(log.blocks)} of {asked.samples} samples were printed"
    return None


def _inconsistency(asked: Asked, log: GenerateLog) -> str | None:
    """Say what in a readable log contradicts itself or what was asked for."""
    for block in log.blocks:
        if not _agree(block, asked.options.max_new_tokens):
            return (
                f"sample {block.number}: {block.seconds} s at {block.tokps} tokens/s is not "
                f"{asked.options.max_new_tokens} tokens"
            )
    if not _one_size(log.blocks):
        return "bandwidth over tokens/s is not the same in all samples"
    for name, wanted in (
        ("generated_tokens", asked.options.max_new_tokens),
        ("batch_size", asked.batch_size),
    ):
        if name in log.tail and int(log.tail[name]) != wanted:
            return f"the script says {name} {log.tail[name]}, and {wanted} was asked for"
    return _average_differs(asked, log)


def _agree(block: Block, tokens: int) -> bool:
    """Tell whether time and rate can both be roundings of `tokens` tokens."""
    low = tokens / (block.tokps + _HALF)
    high = tokens / (block.tokps - _HALF) if block.tokps > _HALF else math.inf
    slack = _HALF + _SLACK * block.seconds
    return low - slack <= block.seconds <= high + slack


def _one_size(blocks: Sequence[Block]) -> bool:
    """Tell whether one model size can explain the bandwidth of every sample."""
    low, high = 0.0, math.inf
    for block in blocks:
        low = max(low, (block.bandwidth - _HALF) / (block.tokps + _HALF))
        if block.tokps > _HALF:
            high = min(high, (block.bandwidth + _HALF) / (block.tokps - _HALF))
    return low <= high * (1 + _SLACK)


def _average_differs(asked: Asked, log: GenerateLog) -> str | None:
    if "average_tokps" not in log.tail:
        return None
    if len(log.blocks) != asked.printed:
        return f"an average is printed after {len(log.blocks)} of {asked.printed} samples"
    printed = float(log.tail["average_tokps"])
    mean = math.fsum(block.tokps for block in log.blocks) / len(log.blocks)
    if abs(mean - printed) <= 2 * _HALF + _SLACK * printed:
        return None
    return f"the samples average {mean:.2f} tokens/s, and the script prints {printed:.2f}"
