"""Everything in which releases of transformers differ, from 4.46 to 5.x.

* the argument for the dtype of a new model: `torch_dtype`, later `dtype`;
* caches: what they are built from, and whether a static one can be emptied for the next run;
* `cache_position`: which positions a call fills; later releases work it out themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers


def build_from_config(
    model_type: str, config: dict[str, Any], dtype: torch.dtype
) -> torch.nn.Module:
    """Build a causal language model with this architecture; its weights are left to the caller."""
    built = transformers.AutoConfig.for_model(model_type, **config)
    return transformers.AutoModelForCausalLM.from_config(built, **_dtype_argument(dtype))


def load_pretrained(
    directory: Path, dtype: torch.dtype, device: str, *, quantized: bool
) -> torch.nn.Module:
    """Load a causal language model from a folder; nothing is downloaded, no foreign code is run.

    A quantized one must be loaded where it computes, by the quantizer of transformers; the others
    are loaded on the CPU, for loading elsewhere needs a package more (accelerate).
    """
    load = partial(
        transformers.AutoModelForCausalLM.from_pretrained, str(directory), local_files_only=True,
        trust_remote_code=False, use_safetensors=True, **_dtype_argument(dtype),
    )  # fmt: skip
    return load(device_map=device) if quantized else load().to(device)


def _dtype_argument(dtype: torch.dtype) -> dict[str, torch.dtype]:
    major = int(transformers.__version__.split(".")[0])
    return {"dtype" if major >= 5 else "torch_dtype": dtype}


class CacheSupply:
    """Gives each run an empty key-value cache of one kind.

    A static cache is one object for all runs, for compiled code may rely on its address.
    """

    def __init__(
        self,
        kind: str,
        model: torch.nn.Module,
        *,
        batch: int,
        positions: int,
        device: str,
        dtype: torch.dtype,
    ) -> None:
        self._kept: transformers.Cache | None = None
        if kind == "StaticCache":
            offered = {
                "config": model.config, "max_batch_size": batch, "batch_size": batch,
                "max_cache_len": positions, "device": torch.device(device), "dtype": dtype,
            }  # fmt: skip
            if "max_batch_size" in inspect.signature(transformers.StaticCache).parameters:
                del offered["batch_size"]
            self._kept = transformers.StaticCache(**_accepted(transformers.StaticCache, offered))
            self._allocate(model, batch, device)

    def fresh(self) -> transformers.Cache:
        """Return an empty cache."""
        if self._kept is None:
            return transformers.DynamicCache()
        self._kept.reset()
        return self._kept

    def _allocate(self, model: torch.nn.Module, batch: int, device: str) -> None:
        """Let a release that allocates at the first call do it now, outside of compiled code.

        Keys and values allocated inside a compiled call would be outputs of its CUDA graph, which
        the next call overwrites, and their address could not be marked as static.
        """
        token = torch.zeros((batch, 1), dtype=torch.int64, device=device)
        positions = position_arguments(model, 0, 1, device)
        model(input_ids=token, past_key_values=self._kept, use_cache=True, **positions)


def position_arguments(
    model: torch.nn.Module, start: int, length: int, device: str
) -> dict[str, Any]:
    """Name the positions of a call, for releases whose models want to be told."""
    if "cache_position" not in inspect.signature(model.forward).parameters:
        return {}
    return {"cache_position": torch.arange(start, start + length, device=device)}


def _accepted(target: Callable[..., Any], offered: dict[str, Any]) -> dict[str, Any]:
    """Choose the arguments that this release's function names."""
    named = inspect.signature(target).parameters
    return {name: value for name, value in offered.items() if name in named}
