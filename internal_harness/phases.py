"""The calls that are timed. Each phase has an untimed part before every iteration and a timed one.

prefill    one forward pass over a prompt of `token_len` tokens into an empty cache
kv_decode  `token_len` greedy decode steps; the prompt before them is processed untimed, by the
           model as it is (not compiled), so that no subtraction is needed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from cache_compat import CacheSupply, position_arguments
from spec import Spec

Result = TypeVar("Result")


@dataclass(frozen=True)
class Produced:
    """What one timed call made, still on the device.

    Attributes:
        logits: of the last call of the model, (batch, positions, vocabulary).
        tokens: greedy token ids, (batch, tokens).
    """

    logits: torch.Tensor
    tokens: torch.Tensor


class Phase(Protocol[Result]):
    """One kind of call; `steps` counts calls of the model in its timed part."""

    steps: int

    def prepare(self) -> None:
        """Do what belongs before one iteration and is not measured."""
        ...

    def run(self) -> Result:
        """Do what is measured."""
        ...

    def produced(self, result: Result) -> Produced:
        """Say what a run made; not measured."""
        ...


class Prefill:
    """One forward pass over the prompt; the first token is picked outside the timed part."""

    steps = 1

    def __init__(self, spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._supply = _supply(spec, model)
        self._arguments = {
            "input_ids": _prompt(spec, model, spec.token_len),
            **position_arguments(model, 0, spec.token_len, spec.device),
        }
        self._cache: Any = None

    def prepare(self) -> None:
        """Empty the cache."""
        self._cache = self._supply.fresh()

    def run(self) -> torch.Tensor:
        """Process the prompt; return its logits."""
        output = self._forward(**self._arguments, past_key_values=self._cache, use_cache=True)
        return output.logits

    def produced(self, result: torch.Tensor) -> Produced:
        """Pick the first token."""
        return Produced(logits=result, tokens=result[:, -1:].argmax(-1))


class KvDecode:
    """Greedy decode steps on a filled cache, each fed with the token before it."""

    def __init__(self, spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> None:
        self.steps = spec.token_len
        self._model, self._forward = model, forward
        self._supply = _supply(spec, model)
        self._prompt = {
            "input_ids": _prompt(spec, model, spec.prompt_len),
            **position_arguments(model, 0, spec.prompt_len, spec.device),
        }
        self._positions = [
            position_arguments(model, spec.prompt_len + step, 1, spec.device)
            for step in range(self.steps)
        ]
        self._cache: Any = None
        self._first: Any = None

    def prepare(self) -> None:
        """Process the prompt with the model as it is; pick the token that decoding starts from."""
        self._cache = self._supply.fresh()
        output = self._model(**self._prompt, past_key_values=self._cache, use_cache=True)
        self._first = output.logits[:, -1:].argmax(-1)

    def run(self) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Decode; return the last logits and the tokens of all steps."""
        token, tokens, logits = self._first, [], None
        for position in self._positions:
            logits = self._forward(
                input_ids=token, past_key_values=self._cache, use_cache=True, **position
            ).logits
            token = logits[:, -1:].argmax(-1)
            tokens.append(token)
        return logits, tokens

    def produced(self, result: tuple[torch.Tensor, list[torch.Tensor]]) -> Produced:
        """Put the tokens of all steps side by side."""
        logits, tokens = result
        return Produced(logits=logits, tokens=torch.cat(tokens, dim=-1))


def make_phase(spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> Phase[Any]:
    """Return the phase of a spec; `forward` is what it measures, `model` the model as it is."""
    if spec.phase == "prefill":
        return Prefill(spec, model, forward)
    return KvDecode(spec, model, forward)


def _supply(spec: Spec, model: torch.nn.Module) -> CacheSupply:
    return CacheSupply(
        spec.cache, model, batch=spec.batch, positions=spec.positions,
        device=spec.device, dtype=getattr(torch, spec.dtype),
    )  # fmt: skip


def _prompt(spec: Spec, model: torch.nn.Module, length: int) -> torch.Tensor:
    """Draw a prompt of random tokens, the same for the same seed, on every device."""
    generator = torch.Generator().manual_seed(spec.seed)
    shape = (spec.batch, length)
    drawn = torch.empty(shape, dtype=torch.int64)
    drawn.random_(0, model.config.vocab_size, generator=generator)
    return drawn.to(spec.device)
