"""Models with real weights, from a folder that `fetch_weights.py` has filled before measuring."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from cache_compat import load_pretrained

ORIGIN = "reprokit-weights.json"
"""Beside the weights: repository, revision and the digest of every file."""


class WeightsError(Exception):
    """The folder with the weights is not what was asked for."""


def read_origin(directory: Path) -> dict[str, Any]:
    """Return where the weights come from: at least `repo` and `revision`.

    Raises:
        WeightsError: the folder holds no weights, or does not say whose.
    """
    path = directory / ORIGIN
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}; fetch the weights again") from error
    if not isinstance(found, dict) or not {"repo", "revision"} <= set(found):
        raise WeightsError(f"{path} does not name repo and revision; fetch the weights again")
    return found


def load_model(directory: Path, dtype: torch.dtype, device: str) -> torch.nn.Module:
    """Load a causal language model from a folder alone: no network, no code of the repository.

    A quantized checkpoint goes through the quantizer of transformers.

    Raises:
        WeightsError: the folder holds no model.
        ImportError: a package that the quantizer wants is not installed; the message names it.
    """
    quantized = is_quantized(directory)
    if quantized and importlib.util.find_spec("accelerate") is None:
        raise ImportError(
            "transformers loads quantized weights with the package accelerate and that of their "
            "format (for AWQ gptqmodel, earlier autoawq): add both to stack.requirements"
        )
    return load_pretrained(directory, dtype, device, quantized=quantized)


def is_quantized(directory: Path) -> bool:
    """Tell whether the folder's configuration describes quantized weights."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{directory} holds no configuration of a model: {error}") from error
    return isinstance(config, dict) and config.get("quantization_config") is not None
