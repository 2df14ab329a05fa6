"""What an invocation was asked for, worked out here from the spec that was handed over.

The harness's own word for it is only compared: a harness that was asked for eight tokens and says
that it was asked for one would be right about all that it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from adapters.hf_harness.models import known_models
from adapters.hf_harness.options import EAGER
from adapters.hf_harness.records import CompileRecord, HeaderRecord, IterationRecord, ModelFacts
from reprokit.records import CompileDecision, CompileEvidence

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


def steps_asked(spec: Mapping[str, JsonValue]) -> int:
    """Calls of the model in one iteration."""
    decoded = _count(spec, "token_len")
    return {"prefill": 1, "kv_decode": decoded}.get(str(spec["phase"]), 1 + decoded)


def tokens_asked(spec: Mapping[str, JsonValue]) -> int:
    """Greedy choices of one iteration: one for each position of a prompt, or for each call."""
    prefill = spec["phase"] == "prefill"
    return _count(spec, "batch") * (_count(spec, "token_len") if prefill else steps_asked(spec))


def dependent_tokens(spec: Mapping[str, JsonValue]) -> int:
    """Length of one sequence of tokens of which each depends on the one before it.

    The positions of a prompt are chosen independently, so that each is a sequence of its own.
    """
    return 1 if spec["phase"] == "prefill" else steps_asked(spec)


def contradiction(
    header: HeaderRecord, iterations: Iterable[IterationRecord], spec: Mapping[str, JsonValue]
) -> str | None:
    """Say how the records contradict the spec; None where they do not.

    Another token count, weights of another dtype, or not as many of them as the model has.
    """
    asked = tokens_asked(spec)
    for record in iterations:
        if record.tokens_asked != asked:
            return (
                f"the harness says that an iteration was asked for {record.tokens_asked} tokens; "
                f"it was asked for {asked}"
            )
    return _other_weights(header.model_facts, spec)


def compile_evidence(record: CompileRecord, spec: Mapping[str, JsonValue]) -> CompileEvidence:
    """Return the evidence as the harness gives it, or `unknown` where it is about something else.

    What was to be compiled is not `not_asked`, what was not is nothing else, and a proof must count
    the calls of the model that an iteration makes.
    """
    complaint = _beside_the_point(record, spec)
    if complaint is None:
        return CompileEvidence(decision=record.decision, reason=record.reason, facts=record.facts)
    return CompileEvidence(decision=CompileDecision.UNKNOWN, reason=complaint, facts=record.facts)


def _beside_the_point(record: CompileRecord, spec: Mapping[str, JsonValue]) -> str | None:
    eager, not_asked = spec["mode"] == EAGER, record.decision is CompileDecision.NOT_ASKED
    if eager != not_asked:
        return f"the harness says {record.decision}, and the mode asked for is {spec['mode']}"
    steps, asked = record.facts.get("steps"), steps_asked(spec)
    if record.decision is CompileDecision.COMPILED and steps != asked:
        return f"the proof is of {steps} calls of the model, and an iteration makes {asked}"
    return None


def _other_weights(model: ModelFacts, spec: Mapping[str, JsonValue]) -> str | None:
    name, dtype = str(spec["model"]), str(spec["dtype"])
    entry = known_models().get(name)
    if model.quantized if entry is None else "quantized" in entry:
        return None  # packed weights: neither their dtype nor their number is the model's
    if not model.dtypes:
        return "the harness does not say of what dtype the weights are"
    others = {each: count for each, count in model.dtypes.items() if each != dtype}
    kept = others.get("float32") == model.kept_in_float32 and len(others) == 1
    if dtype not in model.dtypes or (others and not kept):
        return f"{dtype} weights are asked for, and the harness has {', '.join(model.dtypes)}"
    counted = sum(model.dtypes.values())
    expected = counted if entry is None else int(entry["parameters"])
    if not counted == model.parameters == expected:
        return f"{name} has {expected} parameters, and the harness has {counted} in its dtypes"
    size = sum(count * _BYTES[each] for each, count in model.dtypes.items())
    if model.weight_bytes != size:
        return f"{counted} weights of {dtype} take {size} bytes, not {model.weight_bytes}"
    return None


def _count(spec: Mapping[str, JsonValue], name: str) -> int:
    value = spec[name]
    assert isinstance(value, int), f"{name} was checked when the spec was made"
    return value
