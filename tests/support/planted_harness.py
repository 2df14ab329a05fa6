"""Runs the harness with faults planted in it; started by path in the benchmark's interpreter.

    PYTHON planted_harness.py HARNESS ARGUMENTS...

An entry whose directory is named `<point>__<fault>__subject__<index>` is measured with that fault,
and the fault is taken out again after it; a fault of `BOTH_ARMS` is in the baseline too. Names
without a fault are measured as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import runpy
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

sys.path.insert(0, sys.argv[1])

import cache_compat
import compile_watch
import inputs
import phases
import session
import spec
import torch
import torch._dynamo
import transformers
from planted_model import (
    DECODE_STEPS,
    MODEL,
    Plant,
    half_of_the_window_eager,
    hand_on,
    in_model,
    in_steps,
    nan_at_the_choice,
    one_step_asked,
)

COMPILE, PREFILL, DECODE = torch.compile, phases.Prefill.run, phases.KvDecode.run
NEXT = inputs.Prompts.next
CLOCK = time.perf_counter_ns


def compiling(replacement: Callable[..., Any]) -> Plant:
    return lambda: patch.object(torch, "compile", replacement)


def prefilling(replacement: Callable[..., Any]) -> Plant:
    return lambda: patch.object(phases.Prefill, "run", replacement)


def decoding(replacement: Callable[..., Any]) -> Plant:
    return lambda: patch.object(phases.KvDecode, "run", replacement)


def prompting(replacement: Callable[..., Any]) -> Plant:
    return lambda: patch.object(inputs.Prompts, "next", replacement)


@contextlib.contextmanager
def stance(name: str) -> Iterator[None]:
    torch.compiler.set_stance(name)
    try:
        yield
    finally:
        torch.compiler.set_stance("default")


def create_and_forget(model: Any, **options: Any) -> Any:
    COMPILE(model, **options)
    return model


def compile_and_ignore(model: Any, **options: Any) -> Any:
    """The compiled model runs, and what is handed out comes from the model as it is."""
    compiled = COMPILE(model, **options)

    def forward(**arguments: Any) -> Any:
        compiled(**arguments)
        return model(**{**arguments, "past_key_values": None})

    return forward


def through_eager(model: Any, **_: Any) -> Any:
    return COMPILE(model, backend="eager")


@contextlib.contextmanager
def one_graph_suppressed() -> Iterator[None]:
    from torch._inductor.compile_fx import compile_fx

    seen: list[int] = []

    def backend(graph: Any, example: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            raise RuntimeError("this graph cannot be lowered")
        return compile_fx(graph, example)

    def with_break(model: Any) -> None:
        part = model.lm_head
        real = part.forward

        def forward(value: Any) -> Any:
            torch._dynamo.graph_break()
            return real(value)

        part.forward = forward

    with (
        torch._dynamo.config.patch(suppress_errors=True),
        in_model(with_break)(),
        patch.object(torch, "compile", lambda model, **_: COMPILE(model, backend=backend)),
    ):
        yield


def leave_out(part: Callable[[Any], Any]) -> Plant:
    """Keep a part of the model from being compiled."""

    def change(model: Any) -> None:
        found = part(model)
        found.forward = torch.compiler.disable(found.forward)

    return in_model(change)


def skip_a_layer(model: Any) -> None:
    model.model.layers[1] = model.model.layers[0]


def perturb(model: Any) -> None:
    torch.manual_seed(0)
    for weight in model.parameters():
        weight.mul_(1 + 0.03 * torch.randn_like(weight))


def head_with_nan(model: Any) -> None:
    model.lm_head.weight[7] = float("nan")


def other_seed() -> AbstractContextManager[Any]:
    def model_of(self: Any, spec: Any) -> Any:
        self._key = None
        return MODEL(self, dataclasses.replace(spec, seed=spec.seed + 1))

    return patch.object(session.Session, "_model_of", model_of)


@contextlib.contextmanager
def compiled_in_window() -> Iterator[None]:
    """The timed iterations have a shape that no warm-up had; each shape is one that others have."""

    def short_in_warmup(self: Any) -> Any:
        prompt, digest = NEXT(self)
        return (prompt[:, :8] if self._drawn <= 3 else prompt), digest

    with (
        torch._dynamo.config.patch(automatic_dynamic_shapes=False),
        prompting(short_in_warmup)(),
    ):
        yield


def skipping_one(self: Any) -> Any:
    NEXT(self)
    return NEXT(self)


def zeros(self: Any) -> Any:
    prompt, digest = NEXT(self)
    return torch.zeros_like(prompt), digest


def last_position_only(self: Any, mark: Any) -> Any:
    logits = PREFILL(self, mark)
    wrong = logits.roll(1, -1)
    wrong[:, -1] = logits[:, -1]
    return wrong


def once(real: Callable[..., Any]) -> Callable[..., Any]:
    """Compute once and hand the same result out again and again; the compiled code still runs."""

    def run(self: Any, mark: Any) -> Any:
        made = real(self, mark)
        self.kept = getattr(self, "kept", None) or [made]
        return self.kept[0]

    return run


@contextlib.contextmanager
def half_the_steps() -> Iterator[None]:
    def decode(self: Any, token: Any) -> Any:
        everything = self._positions
        self._positions = everything[: len(everything) // 2]
        logits, tokens = DECODE_STEPS(self, token)
        self._positions = everything
        return logits, [*tokens, *tokens]

    with patch.object(phases.KvDecode, "_decode", decode):
        yield


def stale_cache() -> AbstractContextManager[Any]:
    def fresh(self: Any) -> Any:
        self.mine = getattr(self, "mine", None) or transformers.DynamicCache()
        return self.mine

    return patch.object(cache_compat.CacheSupply, "fresh", fresh)


def recompile_limit() -> Any:
    """Every step of a growing cache is another shape; the limit is passed at the second."""
    config = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    return config.patch({limit: 1, "automatic_dynamic_shapes": False})


def clock(read: Callable[[], int]) -> Plant:
    return lambda: patch.object(time, "perf_counter_ns", read)


@contextlib.contextmanager
def on_the_cpu_instead() -> Iterator[None]:
    """A GPU is asked for, and everything silently happens on the CPU."""
    import bench

    real = bench.measure

    def measure(spec: Any, model: Any, results: Any) -> None:
        asked = dataclasses.asdict(spec)
        with patch.object(bench, "asdict", lambda _: asked):
            real(dataclasses.replace(spec, device="cpu"), model, results)

    def model_of(self: Any, spec: Any) -> Any:
        return MODEL(self, dataclasses.replace(spec, device="cpu"))

    with (
        patch.object(session, "_check_device", lambda _: None),
        patch.object(session, "measure", measure),
        patch.object(session.Session, "_model_of", model_of),
    ):
        yield


FAULTS: dict[str, Plant] = {
    "force_eager": lambda: stance("force_eager"),
    "eager_on_recompile": lambda: stance("eager_on_recompile"),
    "wrapper_never_called": compiling(create_and_forget),
    "compiled_for_show": compiling(compile_and_ignore),
    "backend_eager": compiling(through_eager),
    "one_graph_suppressed": one_graph_suppressed,
    "one_part_left_out": leave_out(lambda model: model.model.layers[1].mlp),
    "head_left_out": leave_out(lambda model: model.lm_head),
    "errors_suppressed": lambda: torch._dynamo.config.patch(suppress_errors=True),
    "recompile_limit": recompile_limit,
    "compiled_in_window": compiled_in_window,
    "layer_skipped": in_model(skip_a_layer),
    "weights_perturbed": in_model(perturb),
    "weights_perturbed_decode": in_model(perturb),
    "shorter_dtype": in_model(lambda model: model.to(torch.bfloat16)),
    "other_seed": other_seed,
    "other_prompts": prompting(skipping_one),
    "prompts_ignored": prompting(zeros),
    "last_position_only": prefilling(last_position_only),
    "prefill_repeated": prefilling(once(PREFILL)),
    "nan": in_model(lambda model: model.model.embed_tokens.weight.fill_(float("nan"))),
    "one_nan": in_model(head_with_nan),
    "clock_slow": clock(lambda: CLOCK() // 1000),
    "clock_fast": clock(lambda: CLOCK() * 3),
    "clock_stopped": clock(lambda: 5),
    "returns_at_once": decoding(lambda self, mark: (None, [])),
    "decode_repeated": decoding(once(DECODE)),
    "half_the_steps": half_the_steps,
    "stale_cache": stale_cache,
    "on_meta": in_model(lambda model: model.to("meta")),
    "on_the_cpu_instead": on_the_cpu_instead,
    "half_of_the_window_eager": half_of_the_window_eager,
    "mode_ignored": lambda: patch.dict(spec.MODES, {"default": None}),
    "one_step_asked": one_step_asked,
    "fewer_layers_in_steps": in_steps(lambda model: model.model.layers[1], hand_on),
    "nan_in_a_step": in_steps(lambda model: model, nan_at_the_choice),
}
BOTH_ARMS = {"fewer_layers_in_steps", "nan_in_a_step"}
"""Faults that no comparison of the arms finds."""


def main() -> None:
    """Measure as the harness would, with the faults that directories name."""
    measure = session.Session.measure

    def planted(self: Any, spec: Any, results: Any) -> None:
        _, fault, arm, _ = results.path.parent.name.split("__")
        plant = FAULTS.get(fault) if arm == "subject" or fault in BOTH_ARMS else None
        with plant() if plant is not None else contextlib.nullcontext():
            measure(self, spec, results)
        self._key = None
        if not gc.get_freeze_count():
            # Modules are imported by now: collecting garbage need not look at them between cells.
            compile_watch.forget()
            gc.freeze()

    sys.argv = sys.argv[1:]
    with patch.object(session.Session, "measure", planted):
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
