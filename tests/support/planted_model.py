"""Faults in the model that the harness measures, and in its single steps and calls.

Imported by `planted_harness.py`, which has put the harness on the path.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import phases
import session
import spec
import timing
import torch

Plant = Callable[[], AbstractContextManager[Any]]
MODEL, DECODE_STEPS = session.Session._model_of, phases.KvDecode._decode


def in_model(change: Callable[[Any], object]) -> Plant:
    """Change the model after it was built."""

    def model_of(self: Any, spec: Any) -> Any:
        self._key = None
        model = MODEL(self, spec)
        with torch.inference_mode():
            change(model)
        return model

    return lambda: patch.object(session.Session, "_model_of", model_of)


def in_steps(part: Callable[[Any], Any], change: Callable[[Any, Any], Any]) -> Plant:
    """Change what a part of the model hands on where it is given a single token.

    Args:
        part: finds it in the model.
        change: of its arguments and its result.
    """

    def plant(model: Any) -> None:
        found = part(model)
        real = found.forward

        @functools.wraps(real)
        def forward(*given: Any, **named: Any) -> Any:
            made = real(*given, **named)
            # Nothing of this module by name: while the harness runs, it is not `__main__`.
            tensor: Any = given[0] if given else named.get("input_ids", named.get("hidden_states"))
            return change((given, named), made) if tensor.shape[1] == 1 else made

        found.forward = forward

    return in_model(plant)


def hand_on(arguments: Any, made: Any) -> Any:
    """Leave the layer out, in releases whose layers return one tensor or several."""
    given, named = arguments
    hidden = given[0] if given else named["hidden_states"]
    return (hidden, *made[1:]) if isinstance(made, tuple) else hidden


def nan_at_the_choice(arguments: Any, made: Any) -> Any:
    """The second step's greatest logit is nan: the greatest is then found at the same place."""
    named = arguments[1]
    given = named.get("cache_position")
    # Releases without positions know how many the cache holds, this one among them.
    filled = given[0] + 1 if given is not None else named["past_key_values"].get_seq_length()
    choice = made.logits.argmax(-1, keepdim=True)
    spoiled = made.logits.scatter(-1, choice, float("nan"))
    is_second = torch.as_tensor(filled, device=made.logits.device) == 18
    made.logits = torch.where(is_second, spoiled, made.logits)
    return made


@contextlib.contextmanager
def half_of_the_window_eager() -> Iterator[None]:
    """A guard fails in every other timed call, and what is new to it runs as it is, unseen."""
    state: dict[str, Any] = {}
    rest, prepare = timing.Stopwatch.rest, phases.Prefill.prepare

    def change(model: Any) -> None:
        real = model.forward
        model.odd = False
        state["model"] = model

        @functools.wraps(real)
        def forward(*given: Any, **named: Any) -> Any:
            if model.odd:
                return real(*given, **named)
            return real(*given, **named)

        model.forward = forward

    def window_opens(self: Any) -> None:
        state["calls"] = 0
        torch.compiler.set_stance("eager_on_recompile")
        rest(self)

    def prepared(self: Any, prompt: Any) -> None:
        if "calls" in state:
            state["calls"] += 1
            state["model"].odd = state["calls"] == 2
        prepare(self, prompt)

    with (
        in_model(change)(),
        patch.object(timing.Stopwatch, "rest", window_opens),
        patch.object(phases.Prefill, "prepare", prepared),
    ):
        try:
            yield
        finally:
            torch.compiler.set_stance("default")


@contextlib.contextmanager
def one_step_asked() -> Iterator[None]:
    """The harness believes that it was asked for one step, makes it, and proves it."""

    def decode(self: Any, token: Any) -> Any:
        everything = self._positions
        self._positions = everything[:1]
        try:
            return DECODE_STEPS(self, token)
        finally:
            self._positions = everything

    with (
        patch.object(spec.Spec, "steps", 1),
        patch.object(spec.Spec, "tokens_asked", property(lambda self: self.batch)),
        patch.object(phases.KvDecode, "_decode", decode),
    ):
        yield
