"""The calls that are timed. Each phase has an untimed part before every iteration and a timed one.

prefill    one forward pass over a prompt of `token_len` tokens into an empty cache
kv_decode  `token_len` greedy decode steps; the prompt before them is processed untimed, by the
           model as it is (not compiled), so that no subtraction is needed
e2e_kv     both in one timed call: the prompt of `prompt_len` tokens, then `token_len` decode steps

The loops are what a user of transformers writes: the greedy choice is fed back, nothing is cloned,
and torch is not told where a step begins. What breaks under that is what is to be found out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from cache_compat import CacheSupply, position_arguments
from spec import Spec


@dataclass(frozen=True)
class Produced:
    """What one timed call made, still on the device.

    Attributes:
        logits: of the last call of the model, (batch, positions, vocabulary); None without one.
        tokens: greedy token ids, (batch, tokens).
    """

    logits: torch.Tensor | None
    tokens: torch.Tensor


Mark = Callable[[], None]
"""Marks the moment of the first token on the stopwatch."""

Decoded = tuple[Any, list[Any]]
"""The logits of the last step, (batch, 1, vocabulary), and the tokens of all steps, (batch, 1)."""


class Phase(Protocol):
    """One kind of call; `forward` is the model that it measures."""

    forward: Callable[..., Any]

    def prepare(self, prompt: torch.Tensor) -> None:
        """Do what belongs before one iteration and is not measured."""
        ...

    def run(self, mark: Mark) -> Any:  # noqa: ANN401 - each phase has its own result
        """Do what is measured; call `mark` where the first token of a request is there."""
        ...

    def produced(self, result: Any) -> Produced:  # noqa: ANN401
        """Say what a run made; not measured."""
        ...

    def weighed(self, made: Produced) -> torch.Tensor | None:
        """Return logits at each token, (batch, tokens, vocabulary), by which ties are told."""
        ...


class Prefill:
    """One forward pass over the prompt; the tokens are picked outside the timed part."""

    def __init__(self, spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> None:
        self.forward = forward
        self._supply = _supply(spec, model)
        self._positions = position_arguments(model, 0, spec.token_len, spec.device)
        self._cache: Any = None
        self._prompt: Any = None

    def prepare(self, prompt: torch.Tensor) -> None:
        """Empty the cache."""
        self._cache, self._prompt = self._supply.fresh(), prompt

    def run(self, mark: Mark) -> torch.Tensor:  # noqa: ARG002 - it ends with its first token
        """Process the prompt; return its logits."""
        output = self.forward(
            input_ids=self._prompt, past_key_values=self._cache, use_cache=True, **self._positions
        )
        return output.logits

    def produced(self, result: torch.Tensor) -> Produced:
        """Pick the next token at every position."""
        return Produced(logits=result, tokens=result.argmax(-1))

    def weighed(self, made: Produced) -> torch.Tensor | None:
        """Return the logits of the run itself: it keeps those of every position."""
        return made.logits


class KvDecode:
    """Greedy decode steps on a filled cache, each fed with the token before it."""

    def __init__(self, spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> None:
        self._model, self.forward = model, forward
        self._supply = _supply(spec, model)
        self._prompt_positions = position_arguments(model, 0, spec.prompt_len, spec.device)
        self._positions = [
            position_arguments(model, spec.prompt_len + step, 1, spec.device)
            for step in range(spec.token_len)
        ]
        self._cache: Any = None
        self._prompt: Any = None
        self._first: Any = None

    def prepare(self, prompt: torch.Tensor) -> None:
        """Process the prompt with the model as it is; pick the token that decoding starts from."""
        self._cache, self._prompt = self._supply.fresh(), prompt
        self._first = _greedy(self._process_prompt(self._model))

    def run(self, mark: Mark) -> Decoded:  # noqa: ARG002 - the first token was picked before
        """Decode; return the last logits and the tokens of all steps."""
        return self._decode(self._first)

    def produced(self, result: Decoded) -> Produced:
        """Put the tokens of all steps side by side."""
        logits, tokens = result
        made = torch.cat(tokens, dim=-1) if tokens else self._prompt[:, :0]
        return Produced(logits=logits, tokens=made)

    def weighed(self, made: Produced) -> torch.Tensor | None:
        """Give the model as it is the whole sequence at once."""
        return self._weighed((self._prompt, self._first, made.tokens[:, :-1]), made.tokens)

    def _process_prompt(self, forward: Callable[..., Any]) -> Any:  # noqa: ANN401 - a tensor
        output = forward(
            input_ids=self._prompt, past_key_values=self._cache, use_cache=True,
            **self._prompt_positions,
        )  # fmt: skip
        return output.logits

    def _decode(self, token: Any) -> Decoded:  # noqa: ANN401 - a tensor
        tokens, logits = [], None
        for position in self._positions:
            logits = self.forward(
                input_ids=token, past_key_values=self._cache, use_cache=True, **position
            ).logits
            token = _greedy(logits)
            tokens.append(token)
        return logits, tokens

    def _weighed(self, parts: tuple[Any, ...], tokens: torch.Tensor) -> torch.Tensor | None:
        made = tokens.shape[-1]
        if made == 0:
            return None
        sequence = torch.cat(parts, dim=-1)
        return self._model(input_ids=sequence, use_cache=False).logits[:, -made:]


class EndToEnd(KvDecode):
    """The prompt and the decode steps after it, both through the measured model, in one call."""

    def prepare(self, prompt: torch.Tensor) -> None:
        """Empty the cache."""
        self._cache, self._prompt = self._supply.fresh(), prompt

    def run(self, mark: Mark) -> Decoded:
        """Process the prompt, mark its token, decode; return last logits and all tokens."""
        first = _greedy(self._process_prompt(self.forward))
        mark()
        logits, tokens = self._decode(first)
        return logits, [first, *tokens]

    def weighed(self, made: Produced) -> torch.Tensor | None:
        """Give the model as it is the whole sequence at once."""
        return self._weighed((self._prompt, made.tokens[:, :-1]), made.tokens)


def make_phase(spec: Spec, model: torch.nn.Module, forward: Callable[..., Any]) -> Phase:
    """Return the phase of a spec; `forward` is what it measures, `model` the model as it is."""
    kinds: dict[str, Callable[..., Phase]]
    kinds = {"prefill": Prefill, "kv_decode": KvDecode, "e2e_kv": EndToEnd}
    return kinds[spec.phase](spec, model, forward)


def finite_calls(phase: Phase, run: Callable[[], object]) -> list[bool]:
    """Make a prepared run of a phase; say of each call of the model whether its logits are finite.

    A timed loop keeps only tokens, and the greatest of logits that hold nan is a token like others.
    """
    measured, seen = phase.forward, []

    def looked_at(**arguments: Any) -> Any:  # noqa: ANN401 - as the model
        output = measured(**arguments)
        # At once: the next call of a CUDA graph overwrites these logits.
        seen.append(torch.isfinite(output.logits).all())
        return output

    phase.forward = looked_at
    try:
        run()
    finally:
        phase.forward = measured
    return [bool(each) for each in seen]


def _greedy(logits: Any) -> Any:  # noqa: ANN401 - tensors
    return logits[:, -1:].argmax(-1)


def _supply(spec: Spec, model: torch.nn.Module) -> CacheSupply:
    return CacheSupply(
        spec.cache, model, batch=spec.batch, positions=spec.positions,
        device=spec.device, dtype=getattr(torch, spec.dtype),
    )  # fmt: skip
