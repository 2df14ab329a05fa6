"""The models that the harness measures: built from models.json, or loaded from the hub's files.

models.json holds architectures, not weights: for each model its configuration, the number of its
parameters, the hub repository that it corresponds to, and where these facts come from. What is
built or loaded is counted and compared, and so is its dtype, so that a release of transformers
which reads a configuration differently is found out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from cache_compat import build_from_config
from hub_weights import load_model, read_origin
from random_weights import WithoutDrawing, fill
from spec import Spec, SpecError

MODELS = Path(__file__).with_name("models.json")
SYNTHETIC, HUB = "synthetic", "hub"


def build_model(spec: Spec) -> torch.nn.Module:
    """Make the model of a spec on its device, in its dtype, ready to be measured.

    Raises:
        SpecError: there is no such model, it has too few positions, its weights are not there, or
            what this release of transformers makes is not what models.json describes, or of
            another dtype.
    """
    entry = _known().get(spec.model)
    model = _loaded(spec) if spec.weights == HUB else _synthetic(spec, entry)
    check_positions(spec, model)
    counted = count_parameters(model)
    checked = entry is not None and "quantized" not in entry
    if entry is not None and checked and counted != entry["parameters"]:
        raise SpecError(f"{spec.model} has {counted} parameters, not {entry['parameters']}")
    check_dtype(spec, model)
    return model.eval()


def check_dtype(spec: Spec, model: torch.nn.Module) -> None:
    """Refuse weights of another dtype than that asked for; those of quantized models are packed.

    Raises:
        SpecError: there are such.
    """
    if _quantized(model):
        return
    found = {str(value.dtype) for name, value in _floating(model) if not _is_kept(model, name)}
    others = found - {f"torch.{spec.dtype}"}
    if others:
        raise SpecError(
            f"{spec.dtype} weights of {spec.model} are asked for, and this release of transformers "
            f"makes some of {', '.join(sorted(others))}"
        )


def check_positions(spec: Spec, model: torch.nn.Module) -> None:
    """Refuse more positions than the model has; GPT-2 has another word for them.

    Raises:
        SpecError: the spec asks for more.
    """
    config = vars(model.config)
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    if positions is not None and spec.positions > positions:
        raise SpecError(
            f"{spec.model} has {positions} positions, and {spec.positions} are asked for"
        )


def model_facts(spec: Spec, model: torch.nn.Module) -> dict[str, object]:
    """Say what was measured, for the header: size, attention, and whose weights."""
    facts: dict[str, object] = {
        "parameters": count_parameters(model),
        "weight_bytes": weight_bytes(model),
        "dtypes": _dtypes(value for _, value in _floating(model)),
        "kept_in_float32": sum(
            value.numel()
            for name, value in _floating(model)
            if _is_kept(model, name) and value.dtype == torch.float32
        ),
        "quantized": _quantized(model),
        "attention": getattr(model.config, "_attn_implementation", None),
        "weights": spec.weights,
        "revision": None,
    }
    if spec.weights == HUB:
        origin = read_origin(_directory(spec))
        return {**facts, "source": origin["repo"], "revision": origin["revision"]}
    return {**facts, "source": f"architecture of models.json, random weights from seed {spec.seed}"}


def count_parameters(model: torch.nn.Module) -> int:
    """Count parameters, shared ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def weight_bytes(model: torch.nn.Module) -> int:
    """Bytes of all weights, shared ones once; packed ones of a quantized model are buffers."""
    total: int = sum(value.numel() * value.element_size() for value in model.parameters())
    if not _quantized(model):
        return total
    packed: int = sum(value.numel() * value.element_size() for value in model.buffers())
    return total + packed


def _quantized(model: torch.nn.Module) -> bool:
    return getattr(model.config, "quantization_config", None) is not None


def _floating(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the parameters that a dtype was asked for, shared ones once."""
    return ((name, each) for name, each in model.named_parameters() if each.is_floating_point())


def _dtypes(parameters: Iterable[torch.Tensor]) -> dict[str, int]:
    """Count parameters by dtype."""
    found: dict[str, int] = {}
    for value in parameters:
        name = str(value.dtype).removeprefix("torch.")
        found[name] = found.get(name, 0) + value.numel()
    return found


def _is_kept(model: torch.nn.Module, name: str) -> bool:
    """Tell the modules that the model's code in transformers keeps in float32, by its own lists."""
    lists = (
        getattr(model, attribute, None) or ()
        for attribute in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    )
    return any(re.search(rf"(^|\.){part}($|\.)", name) for parts in lists for part in parts)


def _known() -> dict[str, Any]:
    return dict(json.loads(MODELS.read_text(encoding="utf-8")))


def _synthetic(spec: Spec, entry: dict[str, Any] | None) -> torch.nn.Module:
    if entry is None:
        raise SpecError(f"there is no model {spec.model!r}; known: {', '.join(sorted(_known()))}")
    if "quantized" in entry:
        raise SpecError(
            f"{spec.model} is quantized ({entry['quantized']}), and random weights have no "
            "calibrated scales: measure it with weights from the hub"
        )
    dtype = getattr(torch, spec.dtype)
    # Built where it is measured: there are never two copies of a large model.
    with torch.device(spec.device), WithoutDrawing():
        model = build_from_config(entry["model_type"], entry["config"], dtype)
    fill(model, spec.seed)
    return model


def _loaded(spec: Spec) -> torch.nn.Module:
    directory = _directory(spec)
    read_origin(directory)
    return load_model(directory, getattr(torch, spec.dtype), spec.device)


def _directory(spec: Spec) -> Path:
    if spec.weights_dir is None:
        raise SpecError(f"weights of {spec.model} from the hub are asked for, and no folder named")
    return Path(spec.weights_dir)
