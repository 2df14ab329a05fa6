"""Measures how fast this machine reads memory, and what a step of a model must read of it.

The rate is measured, never taken from a data sheet. What must be read is a lower bound that does
not depend on the architecture: the weights of the linear layers that are called in every one of
several forward passes over single tokens. Tables that are only looked up, experts that a router
may pass over, packed weights and unknown modules are not counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from functools import partial

import torch
from floor_rule import Bandwidth, Reads, cpu_cache_bytes, floor_record

__all__ = ["Bandwidth", "bytes_per_step", "measure_bandwidth", "time_floor"]

_MIB = 1 << 20
_REPEATS = 3
_COUNTED = "weights of the linear layers that every forward pass calls"
_OPTIONAL = ("expert", "router", "adapter", "lora")
"""Parts of names of modules that a forward pass may call with some tokens and not with others."""


def measure_bandwidth(device: str) -> Bandwidth:
    """Measure the rate of reading memory: once per process, after the number of threads is set.

    The buffer counts for the device's peak memory: reset that afterwards.
    """
    cache = _cache_bytes(device)
    if cache is None:
        return Bandwidth(None, "not measured", 0, f"the caches of this {device} are unknown")
    wanted = max(16 * cache, 256 * _MIB) if device == "cuda" else max(4 * cache, 128 * _MIB)
    size = min(wanted, _free_bytes(device) // 4) // _MIB * _MIB
    if size < 2 * cache or size < 16 * _MIB:
        reason = f"too little memory is free for a buffer well beyond the caches ({cache} bytes)"
        return Bandwidth(None, "not measured", 0, reason)
    try:
        rate, best = _best_rate(device, size)
    except RuntimeError as error:  # out of memory is one, here and on a GPU
        return Bandwidth(None, "not measured", size, f"the measurement failed: {_short(error)}")
    if device == "cuda":
        torch.cuda.empty_cache()
    method = f"best of {_REPEATS} over {size} bytes: {best}"
    return Bandwidth(gbps=rate, method=method, buffer_bytes=size)


def time_floor(
    model: torch.nn.Module, *, phase: str, steps: int, spec_device: str, bandwidth: Bandwidth
) -> dict[str, object]:
    """Return the header's `floor` for one iteration of `steps` forward passes of the model.

    Every phase reads the weights at least once per forward pass, so `phase` is only named. Runs the
    model as it is, on single tokens: call it before anything is measured or compiled.
    """
    reads = bytes_per_step(model, spec_device)
    found = floor_record(
        reads, steps=steps, device=spec_device, bandwidth=bandwidth,
        cache_bytes=_cache_bytes(spec_device),
    )  # fmt: skip
    return {**found, "method": f"{phase}: {found['method']}"}


def bytes_per_step(model: torch.nn.Module, device: str) -> Reads:
    """Add up the weights that every forward pass reads; each shared one counts once."""
    vocabulary = getattr(getattr(model, "config", None), "vocab_size", None)
    if not isinstance(vocabulary, int) or vocabulary < 1:
        return Reads(None, _COUNTED, "the model does not tell the size of its vocabulary")
    linear = {name: part for name, part in model.named_modules() if _is_linear(name, part)}
    called: set[str] | None = None
    for token in sorted({0, vocabulary // 3, vocabulary - 1}):
        try:
            seen = _called(model, linear, torch.tensor([[token]], device=device))
        except Exception as error:
            reason = f"a forward pass over one token failed: {_short(error)}"
            return Reads(None, _COUNTED, reason)
        called = seen if called is None else called & seen
    read = {id(linear[name].weight): linear[name].weight for name in called or ()}
    return Reads(sum(value.numel() * value.element_size() for value in read.values()), _COUNTED)


def _is_linear(name: str, module: torch.nn.Module) -> bool:
    """Tell layers that multiply by their whole weight; `Conv1D` is what GPT-2 calls one."""
    if any(part in name.lower() for part in _OPTIONAL):
        return False
    known = type(module) is torch.nn.Linear or type(module).__name__ == "Conv1D"
    weight = getattr(module, "weight", None)
    return known and isinstance(weight, torch.nn.Parameter) and weight.is_floating_point()


def _called(
    model: torch.nn.Module, parts: dict[str, torch.nn.Module], token: torch.Tensor
) -> set[str]:
    """Return which of these parts one forward pass calls; the hooks are gone afterwards."""
    seen: set[str] = set()

    def note(name: str, *_: object) -> None:
        seen.add(name)

    hooks = [part.register_forward_hook(partial(note, name)) for name, part in parts.items()]
    try:
        with torch.inference_mode():
            model(input_ids=token, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _best_rate(device: str, size: int) -> tuple[float, str]:
    """Return the best rate in 10^9 bytes per second, and what reached it."""
    with torch.inference_mode():
        buffer = torch.ones(size // 4, dtype=torch.float32, device=device)
        lower, upper = buffer.split(buffer.numel() // 2)
        ways: dict[str, Callable[[], object]] = {
            "sum": buffer.sum,
            "dot": partial(torch.dot, lower, upper),
            "copy, reading and writing": partial(upper.copy_, lower),
        }
        timed = _device_seconds if device == "cuda" else _host_seconds
        rates = {name: size / min(timed(run)) / 1e9 for name, run in ways.items()}
    best = max(rates, key=lambda name: rates[name])
    return rates[best], best


def _host_seconds(run: Callable[[], object]) -> Iterable[float]:
    for _ in range(_REPEATS):
        started = time.perf_counter()
        run()
        yield max(time.perf_counter() - started, 1e-9)


def _device_seconds(run: Callable[[], object]) -> Iterable[float]:
    run()
    for _ in range(_REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        end.synchronize()
        yield max(begin.elapsed_time(end) / 1e3, 1e-9)


def _cache_bytes(device: str) -> int | None:
    if device != "cuda":
        return cpu_cache_bytes()
    size = getattr(
        torch.cuda.get_device_properties(torch.cuda.current_device()), "L2_cache_size", 0
    )
    return int(size) or None


def _free_bytes(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
