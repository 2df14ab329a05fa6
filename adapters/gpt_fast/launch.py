"""Runs a checkout's script unmodified, and looks at the machine when it has ended.

Standalone: `PYTHON -s launch.py --report=FILE ... -- SCRIPT ARGUMENTS`, with the checkout as
working directory. The script runs in this process as Python would run it: as `__main__`, with its
own arguments and its own folder first on the import path. Nothing happens beside it: no thread, no
hook, no changed module. Only with `--phases`, in an invocation of its own that is never counted,
are two of its functions timed. Its exceptions and its exit code go through as they are.

When it has ended well, how fast this machine reads memory is measured, so that times that cannot be
can be told.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import gc
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

STAND_INS = ("sentencepiece", "tiktoken")
_PREFILL_TO = "decode_n_tokens"
_WHOLE = "generate"
_STEPS = "num_new_tokens"
_OPTIONAL = ("embed", "expert", "router", "moe", "cond_ffn", "adapter", "lora")
"""Parts of names of weights that a step may read in part or not at all."""
_PRECISION_BYTES = 2


def main() -> None:
    """Run the script of the command line and leave a report."""
    parser = argparse.ArgumentParser(prog="launch")
    parser.add_argument("--report", required=True, help="file to write")
    parser.add_argument("--harness", required=True, help="folder of the memory measurement")
    parser.add_argument("--stand-ins", help="folder that comes last on the import path")
    parser.add_argument("--weights", required=True, help="the model.pth that is measured")
    parser.add_argument("--steps", type=int, required=True, help="forward passes of one sample")
    parser.add_argument("--device", required=True)
    parser.add_argument("--phases", action="store_true", help="time prefill and decode apart")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    timer = PhaseTimer(asked.device) if asked.phases else None
    if asked.stand_ins:
        sys.path.append(asked.stand_ins)
    report: dict[str, Any] = {}
    try:
        run_script(Path(asked.script).resolve(), asked.arguments, timer)
        report["floor"] = floor_of(asked)
    finally:
        report["stand_ins"] = _used_stand_ins(asked.stand_ins)
        report["phases"] = timer.report() if timer else None
        _write(Path(asked.report), report)


def run_script(script: Path, arguments: list[str], timer: PhaseTimer | None) -> None:
    """Run a script as Python runs the one that it is given."""
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=builtins)
    sys.modules["__main__"] = main
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)
    tree = ast.parse(script.read_bytes(), str(script))
    at = _main_block(tree) if timer else len(tree.body)
    parts = [tree.body[:at], tree.body[at:]]
    for part in parts:
        block = ast.Module(body=part, type_ignores=[])
        exec(compile(block, str(script), "exec"), main.__dict__)  # noqa: S102
        if timer and part is parts[0]:
            timer.install(main.__dict__)


def _main_block(tree: ast.Module) -> int:
    """Find `if __name__ == "__main__"`: everything is defined before it and nothing has run."""
    for at, node in enumerate(tree.body):
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            return at
    return len(tree.body)


class PhaseTimer:
    """Times the decode loop apart from what comes before it in each call of `generate`.

    Both are functions that no commit compiles. The device is waited for at three moments of a
    sample; nothing else is changed.
    """

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        self._samples: list[dict[str, float]] = []
        self._problem: str | None = f"the script never called {_WHOLE} and {_PREFILL_TO}"
        self._decoding: list[tuple[float, int]] = []

    def install(self, names: dict[str, Any]) -> None:
        """Put the two timed functions into the script's own namespace."""
        whole, decode = names.get(_WHOLE), names.get(_PREFILL_TO)
        if not inspect.isfunction(whole) or not inspect.isfunction(decode):
            self._problem = f"the script has no functions {_WHOLE} and {_PREFILL_TO} to be timed"
            return
        signature = inspect.signature(decode)
        if _STEPS not in signature.parameters:
            self._problem = f"{_PREFILL_TO} does not say how many steps it makes"
            return
        names[_WHOLE] = self._timed(whole)
        names[_PREFILL_TO] = self._marked(decode, signature)

    def report(self) -> dict[str, Any]:
        """Return what was timed."""
        problem = None if self._samples else self._problem
        method = f"the call of {_PREFILL_TO} inside of {_WHOLE}, the device waited for"
        return {"samples": self._samples, "problem": problem, "method": method}

    def _timed(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self._decoding.clear()
            started = self._now()
            result = whole(*args, **kwargs)
            ended = self._now()
            for begun, steps in self._decoding[:1]:
                self._samples.append({
                    "prefill_ms": 1e3 * (begun - started),
                    "decode_ms": 1e3 * (ended - begun),
                    "decode_steps": steps,
                })  # fmt: skip
            return result

        return timed

    def _marked(
        self, decode: Callable[..., Any], signature: inspect.Signature
    ) -> Callable[..., Any]:
        def marked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            steps = int(signature.bind(*args, **kwargs).arguments[_STEPS])
            self._decoding.append((self._now(), steps))
            return decode(*args, **kwargs)

        return marked

    def _now(self) -> float:
        if self._cuda:
            importlib.import_module("torch").cuda.synchronize()
        return time.perf_counter()


def floor_of(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the least time in ms of a sample, and what it follows from; null with a reason."""
    try:
        gc.collect()
        sys.path.insert(0, asked.harness)
        floor, rule = importlib.import_module("floor"), importlib.import_module("floor_rule")
        reads = rule.Reads(weight_bytes(asked.weights), "weight matrices of the checkpoint")
        found: dict[str, Any] = rule.floor_record(
            reads, steps=asked.steps, device=asked.device,
            bandwidth=floor.measure_bandwidth(asked.device),
            cache_bytes=_cache_bytes(asked.device, rule),
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - what was measured before must not be lost for this
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]
        return {"ms": None, "reason": reason}
    return found


def weight_bytes(checkpoint: str) -> int:
    """Add up the matrices of a checkpoint that every forward pass multiplies by.

    Tables that are only looked up, and what a router may pass over, are left out. The script
    converts floating weights to two bytes each.
    """
    torch = importlib.import_module("torch")
    tensors = torch.load(checkpoint, mmap=True, weights_only=True, map_location="cpu")
    if isinstance(tensors.get("model"), dict):
        tensors = tensors["model"]
    total = 0
    for name, each in tensors.items():
        if each.dim() < 2 or any(part in name.lower() for part in _OPTIONAL):
            continue
        size = each.element_size()
        total += each.numel() * (min(size, _PRECISION_BYTES) if each.is_floating_point() else size)
    return total


def _cache_bytes(device: str, rule: ModuleType) -> int | None:
    if device != "cuda":
        found: int | None = rule.cpu_cache_bytes()
        return found
    cuda = importlib.import_module("torch").cuda
    properties = cuda.get_device_properties(cuda.current_device())
    return int(getattr(properties, "L2_cache_size", 0)) or None


def _used_stand_ins(folder: str | None) -> list[str]:
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in STAND_INS}
    return [name for name, file in files.items() if folder and str(file or "").startswith(folder)]


def _write(path: Path, report: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(report), encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105


if __name__ == "__main__":
    main()
