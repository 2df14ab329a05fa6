"""The harness's clock against bare loops on the same call: wall clock, CUDA events, `do_bench`.

    PYTHON benchmarks/bench_harness.py [--model qwen2.5-1.5b] [--device cuda] [--phase prefill]
                                       [--mode eager] [--token-len 128] [--rounds 11] [--json F]

PYTHON is an interpreter with torch and transformers. All ways time the same call, in rounds, each
in another order, in one process; what counts is the median ratio of a round, within 1 %. Take a
call that keeps the device busy (a long prompt): where the host is what is waited for, its own noise
of several per cent is all that is seen. `do_bench` (Triton) overwrites the
L2 cache before every call and queues calls without waiting, so it is given an L2-sized peer of its
own: the harness with the same overwriting. On a CPU the peer is a bare loop of `perf_counter_ns`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "internal_harness"))

import torch
from inputs import Prompts
from model_zoo import build_model
from phases import make_phase
from spec import MODES, Spec
from timing import Stopwatch

Call = Callable[[], object]


def main() -> None:
    """Time one call in every way and print the ratios."""
    arguments = _arguments()
    spec = _spec(arguments)
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    with torch.inference_mode():
        call = _call(spec)
        for _ in range(5):
            call()
        ways = _ways(spec, call, arguments.iterations)
        medians: dict[str, list[float]] = {name: [] for name in ways}
        order = list(ways)
        for turn in range(arguments.rounds):
            Random(turn).shuffle(order)
            for name in order:
                medians[name].append(ways[name]())
    result = _summary(spec, medians)
    print(json.dumps(result, indent=1))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny-llama")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", default=None, help="default: float16 on cuda, float32 on cpu")
    parser.add_argument("--phase", choices=["prefill", "kv_decode"], default="prefill")
    parser.add_argument("--mode", choices=sorted(MODES), default="eager")
    parser.add_argument("--cache", default="DynamicCache")
    parser.add_argument("--token-len", type=int, default=128)
    parser.add_argument("--iterations", type=int, default=20, help="of one way in one round")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _spec(arguments: argparse.Namespace) -> Spec:
    dtype = arguments.dtype or ("float16" if arguments.device == "cuda" else "float32")
    return Spec(
        phase=arguments.phase, mode=arguments.mode, model=arguments.model, cache=arguments.cache,
        dtype=dtype, device=arguments.device, token_len=arguments.token_len, prompt_len=16,
        batch=1, warmup=0, samples=1, seed=42, threads=arguments.threads,
    )  # fmt: skip


def _call(spec: Spec) -> Call:
    """Return one call that can be repeated as often as one likes: empty cache and forward."""
    model = build_model(spec)
    mode = MODES[spec.mode]
    phase = make_phase(spec, model, torch.compile(model, mode=mode) if mode else model)
    prompt, _ = Prompts(spec, model.config.vocab_size).next()

    def call() -> object:
        phase.prepare(prompt)
        return phase.run(lambda: None)

    return call


def _ways(spec: Spec, call: Call, iterations: int) -> dict[str, Callable[[], float]]:
    """Return every way to time the call; each returns its median in ms."""
    if spec.device == "cpu":
        return {
            "harness": lambda: _harness(spec, call, iterations, None)["wall_ms"],
            "bare_loop": lambda: _bare_clock(call, iterations),
        }
    from triton.testing import do_bench  # noqa: PLC0415 - only where there is a GPU

    # As `do_bench` does: a write over the whole L2 and more before every call.
    flush = torch.empty(256 << 20, dtype=torch.int8, device="cuda")
    return {
        "harness": lambda: _harness(spec, call, iterations, None)["device_ms"],
        "cuda_events": lambda: _bare_events(call, iterations),
        "harness_wall": lambda: _harness(spec, call, iterations, None)["wall_ms"],
        "bare_wall": lambda: _bare_clock(call, iterations),
        "harness_flushed": lambda: _harness(spec, call, iterations, flush)["device_ms"],
        "do_bench": lambda: float(do_bench(call, warmup=10, rep=250, return_mode="median")),
    }


def _harness(
    spec: Spec, call: Call, iterations: int, flush: torch.Tensor | None
) -> dict[str, float]:
    watch = Stopwatch(spec.device)
    wall, device = [], []
    for _ in range(iterations):
        if flush is not None:
            flush.zero_()
        watch.start()
        call()
        timed = watch.stop()
        wall.append(timed.wall_ms)
        device.append(timed.device_ms or 0.0)
    return {"wall_ms": statistics.median(wall), "device_ms": statistics.median(device)}


def _bare_clock(call: Call, iterations: int) -> float:
    found = []
    for _ in range(iterations):
        _synchronise()
        begun = time.perf_counter_ns()
        call()
        _synchronise()
        found.append((time.perf_counter_ns() - begun) / 1e6)
    return statistics.median(found)


def _bare_events(call: Call, iterations: int) -> float:
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    found = []
    for _ in range(iterations):
        torch.cuda.synchronize()
        start.record()
        call()
        stop.record()
        torch.cuda.synchronize()
        found.append(float(start.elapsed_time(stop)))
    return statistics.median(found)


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _summary(spec: Spec, medians: dict[str, list[float]]) -> dict[str, Any]:
    pairs = {
        "bare_loop": "harness",
        "cuda_events": "harness",
        "bare_wall": "harness_wall",
        "do_bench": "harness_flushed",
    }
    ratios = {}
    for peer, ours in pairs.items():
        if peer in medians:
            rounds = [a / b for a, b in zip(medians[ours], medians[peer], strict=True)]
            ratios[f"{ours} / {peer}"] = {
                "median": round(statistics.median(rounds), 5),
                "least": round(min(rounds), 5),
                "most": round(max(rounds), 5),
            }
    return {
        "call": f"{spec.model} {spec.dtype} {spec.phase} {spec.token_len} {spec.cache} {spec.mode}",
        "device": torch.cuda.get_device_name() if spec.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "rounds": len(next(iter(medians.values()))),
        "median_ms": {name: round(statistics.median(each), 4) for name, each in medians.items()},
        "ratios": ratios,
    }


if __name__ == "__main__":
    main()
