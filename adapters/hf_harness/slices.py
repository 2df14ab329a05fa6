"""What `--set model=NAME` stands for: a model of models.json with random weights.

`tiny` is more: a slice of the claim that a CPU measures in a few minutes. It keeps what the claim
is about - phases, caches, modes, the axis of its conclusion - and shortens everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import JsonValue

from adapters.hf_harness.models import known_models
from reprokit.adapter import Slice

TINY = "tiny"
LONGEST = 128
"""Tokens: what a tiny model decodes on a CPU in about a tenth of a second."""

_TINY_MODELS = ("tiny-llama", "tiny-qwen2", "tiny-gpt2")
_MOST = {"invocations": 5, "samples": 5, "warmup": 2, "timeout_s": 600}
_LENGTHS = 2


def slice_names() -> tuple[str, ...]:
    """Name the models that random weights can be made for, and `tiny`."""
    dense = (name for name, entry in known_models().items() if "quantized" not in entry)
    return (TINY, *dense)


def make_slice(name: str, claim: Mapping[str, JsonValue]) -> Slice:
    """Say what a name means in a claim; what is already so is not listed."""
    changes: dict[str, JsonValue] = {
        "model.id": name,
        "model.weights": "synthetic",
        "model.revision": None,
        "cells.model": None,
    }
    if name == TINY:
        changes |= _tiny(claim)
    wanted = {path: value for path, value in changes.items() if _at(claim, path) != value}
    return Slice(changes=wanted, device="cpu" if name == TINY else None)


def _tiny(claim: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    changes: dict[str, JsonValue] = {
        "model.id": _TINY_MODELS[0],
        "model.dtype": "float32",
        "adapter.options.threads": 1,
        "protocol.share_process": True,
        # A lock names the files of another machine's build.
        "stack.lock": None,
        "stack.torch_backend": "cpu",
    }
    requirements = _at(claim, "stack.requirements")
    if isinstance(requirements, list) and _axis(claim) != "triton":
        # Inductor writes C++ on a CPU: torch's own build for it brings no Triton.
        changes["stack.requirements"] = [each for each in requirements if not _is_triton(each)]
    models = _at(claim, "cells.model")
    if isinstance(models, list) and len(models) > 1:
        changes["cells.model"] = list(_TINY_MODELS[: len(models)])
    if _axis(claim) != "dtype":
        changes["cells.dtype"] = None
    for name, most in _MOST.items():
        changes[f"protocol.{name}"] = _at_most(_at(claim, f"protocol.{name}"), most)
    lengths = _at(claim, "cells.token_len")
    if isinstance(lengths, list):
        changes["cells.token_len"] = [*_shorter(lengths)]
    for name in ("token_len", "prompt_len"):
        path = f"adapter.options.{name}"
        if _at(claim, path) is not None:
            changes[path] = _at_most(_at(claim, path), LONGEST)
    return changes


def _is_triton(requirement: JsonValue) -> bool:
    return re.match(r"triton\s*([=<>!~;@\[]|$)", str(requirement)) is not None


def _shorter(lengths: list[JsonValue]) -> list[int]:
    """Keep the two shortest; lengths too long for a CPU become shorter ones, as many as needed."""
    whole = sorted({value for value in lengths if isinstance(value, int)})
    kept = [value for value in whole if value <= LONGEST][:_LENGTHS]
    spare = [value for value in (LONGEST // 2, LONGEST) if value not in kept]
    missing = min(_LENGTHS, len(whole)) - len(kept)
    return sorted([*kept, *spare[len(spare) - missing :]])


def _at_most(value: JsonValue, most: int) -> JsonValue:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return most
    return min(value, most)


def _axis(claim: Mapping[str, JsonValue]) -> JsonValue:
    return _at(claim, "expect.axis")


def _at(claim: Mapping[str, JsonValue], path: str) -> JsonValue:
    current: JsonValue = dict(claim)
    for part in path.split("."):
        if not isinstance(current, dict):
            return None
        current = current.get(part)
    return current
