"""What lives in one process from one spec to the next: the model, and nothing that was compiled."""

from __future__ import annotations

import gc
from typing import Any

import torch
from bench import measure
from compile_watch import forget
from model_zoo import build_model, check_positions
from result_file import ResultFile
from spec import Spec, SpecError

_MODEL_FIELDS = ("model", "dtype", "device", "seed", "weights", "weights_dir")


class Session:
    """Measures one spec after the other.

    Neighbours that ask for the same model get the same object. Whatever was compiled for a spec,
    its caches and counters are dropped before the next: each is measured as if it were the first.
    """

    def __init__(self) -> None:
        self._own_threads = torch.get_num_threads()
        self._is_first = True
        self._key: tuple[Any, ...] | None = None
        self._model: Any = None

    def measure(self, spec: Spec, results: ResultFile) -> None:
        """Measure a spec and write all that was seen; exceptions are the caller's to record.

        Raises:
            SpecError: this machine or this model cannot do what is asked.
        """
        _check_device(spec)
        torch.set_num_threads(spec.threads or self._own_threads)
        if not self._is_first:
            gc.unfreeze()
            forget()
            _free_memory()
        self._is_first = False
        measure(spec, self._model_of(spec), results)

    def _model_of(self, spec: Spec) -> torch.nn.Module:
        key = tuple(getattr(spec, name) for name in _MODEL_FIELDS)
        if key == self._key:
            check_positions(spec, self._model)  # it was built for a spec that may ask for fewer
            return self._model
        # The old one goes first: two may not fit on the device.
        self._key = self._model = None
        _free_memory()
        with torch.inference_mode():
            self._model = build_model(spec)
        self._key = key
        return self._model


def _check_device(spec: Spec) -> None:
    if spec.device != "cuda" or torch.cuda.is_available():
        return
    built = torch.version.cuda or getattr(torch.version, "hip", None)
    why = "it finds no usable device or driver" if built else "it is built without support for one"
    raise SpecError(f"cuda is asked for, and torch {torch.__version__} has no GPU here: {why}")


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
