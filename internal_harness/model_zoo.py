"""Models built from a configuration, with random weights from a seed; nothing is downloaded.

models.json holds the architectures with their parameter counts. Weights are uniform with mean 0
and deviation 1/sqrt(fan in), so that logits are well apart; norms are 1 and biases 0. They are
drawn as integers from torch's Mersenne Twister in the order of the parameters' names: the same
weights in every release of torch and transformers, which their own initialisation does not promise.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from cache_compat import build_from_config
from spec import Spec, SpecError

MODELS = Path(__file__).with_name("models.json")

_STEPS = 1 << 24
_AT_ONCE = 1 << 22


def build_model(spec: Spec) -> torch.nn.Module:
    """Build the model of a spec on its device, in its dtype.

    Raises:
        SpecError: there is no such model, it has too few positions, or what this release of
            transformers builds is not the architecture that models.json describes.
    """
    known = json.loads(MODELS.read_text(encoding="utf-8"))
    if spec.model not in known:
        raise SpecError(f"there is no model {spec.model!r}; known: {', '.join(sorted(known))}")
    entry = known[spec.model]
    positions = entry["config"]["max_position_embeddings"]
    if spec.positions > positions:
        raise SpecError(
            f"{spec.model} has {positions} positions, and {spec.positions} are asked for"
        )
    model = build_from_config(entry["model_type"], entry["config"], getattr(torch, spec.dtype))
    _fill(model, spec.seed)
    counted = count_parameters(model)
    if counted != entry["parameters"]:
        raise SpecError(f"{spec.model} has {counted} parameters, not {entry['parameters']}")
    return model.eval().to(spec.device)


def count_parameters(model: torch.nn.Module) -> int:
    """Count parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of all parameters, shared ones once."""
    return sum(value.numel() * value.element_size() for value in model.parameters())


def _fill(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.ndim < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            scale = (12.0 / parameter.shape[-1]) ** 0.5 / _STEPS
            for part in parameter.view(-1).split(_AT_ONCE):
                drawn = torch.empty(part.numel(), dtype=torch.int32)
                drawn.random_(0, _STEPS, generator=generator)
                part.copy_((drawn - _STEPS // 2).to(torch.float32) * scale)
