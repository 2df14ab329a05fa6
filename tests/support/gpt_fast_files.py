"""Files as gpt-fast prints and writes them, made up from the format; and a checkout's skeleton."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from adapters.gpt_fast import ADAPTER
from reprokit.adapter import Invocation, Model, PointContext, Setup
from reprokit.records import Arm

OLD_SCRIPT = """
import argparse, torch
def main():
    device = 'cuda'
    precision = torch.bfloat16
    model_size = sum([p.numel() for p in model.parameters()])
    tokens_generated = y.size(0) - prompt_length
parser = argparse.ArgumentParser()
for_help = "--device is not here"
parser.add_argument('--prompt', type=str)
parser.add_argument('--num_samples', type=int)
parser.add_argument('--max_new_tokens', type=int)
parser.add_argument('--top_k', type=int)
parser.add_argument('--temperature', type=float)
parser.add_argument('--checkpoint_path')
parser.add_argument('--compile', action='store_true')
parser.add_argument('--compile_prefill', action='store_true')
parser.add_argument('--profile')
"""
NEW_SCRIPT = (
    OLD_SCRIPT.replace("y.size(0)", "y.size(-1)").replace("    device = 'cuda'\n", "")
    + """
create_block_mask = torch.compile(create_block_mask)
parser.add_argument('--device', default='cpu')
parser.add_argument('--batch_size', type=int)
"""
)


def block(number: int, seconds: float, tokens: int, *, size_gb: float = 0.03) -> list[str]:
    """Return the two lines of one sample that made `tokens` tokens."""
    rate = tokens / seconds
    return [
        f"Time for inference {number}: {seconds:.02f} sec total, {rate:.02f} tokens/sec",
        f"Bandwidth achieved: {size_gb * rate:.02f} GB/s",
    ]


def log_text(
    times: Sequence[float], *, tokens: int = 32, compiled: bool = False, texts: Sequence[str] = ()
) -> str:
    """Return a whole log with one sample per time in seconds."""
    lines = ["Using device=cpu", "Loading model ...", "Time to load model: 0.02 seconds"]
    if compiled:
        lines.append("Compilation time: 7.31 seconds")
    for index, seconds in enumerate(times):
        lines.append(texts[index] if index < len(texts) else "Hello, my name is w01 w02")
        lines += [*block(index + 1, seconds, tokens), "FLOPS achieved: 0.01 TF/s", ""]
    average = sum(tokens / seconds for seconds in times) / len(times)
    lines += [
        "==========", "Batch Size: 1", "Prompt Length: 6", f"Generated tokens: {tokens}",
        f"Average tokens/sec: {average:.2f}", "Memory used: 0.00 GB", "",
    ]  # fmt: skip
    return "\n".join(lines)


def event(name: str, ts: float, dur: float = 1.0, cat: str = "cpu_op") -> dict[str, object]:
    """Return one complete event of a Chrome trace."""
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": 1, "ts": ts, "dur": dur}


def decode_trace(steps: int, *, outside: int = 2) -> list[dict[str, object]]:
    """Return the events of a sample on a CPU whose decode steps all ran a compiled graph."""
    events = []
    for index in range(outside):
        events += [
            event("Torch-Compiled Region: 0/1", 10 * index, 5),
            event("## Call CompiledFxGraph fmask ##", 10 * index + 1),
        ]
    for index in range(steps):
        start = 1000 + 10 * index
        events += [
            event("Torch-Compiled Region: 2/0", start, 8),
            event("aten::mm", start + 1),
            event("## Call CompiledFxGraph fdecode ##", start + 2),
        ]
    return events


def write_trace(path: Path, events: Sequence[dict[str, object]]) -> Path:
    """Write a Chrome trace as the profiler lays it out."""
    path.write_text(json.dumps({"schemaVersion": 1, "traceEvents": list(events)}, indent=2))
    return path


def checkout(folder: Path, script: str | None) -> PointContext:
    """Lay out what the adapter reads of a checkout."""
    folder.mkdir(parents=True)
    if script is not None:
        (folder / "generate.py").write_text(script)
    (folder / "model.py").write_text("# model\n")
    return PointContext(
        point="p", python="/env/bin/python", source=str(folder), commit="d2c5d82" + "0" * 33,
        assets={"checkpoint": "/assets/one"},
    )  # fmt: skip


def setup(*, device: str = "cpu", samples: int = 3, **changes: object) -> Setup:
    """Return a plan's setup for gpt-fast with synthetic weights and 32 new tokens."""
    options = ADAPTER.check_options({"max_new_tokens": 32, **changes})  # type: ignore[dict-item]
    return Setup(
        model=Model(id="stories15M", dtype="bfloat16", weights="synthetic"),
        arms={Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"},
        options=options, device=device, samples=samples, warmup=0, seed=42,
    )  # fmt: skip


def invocation(folder: Path, arm: Arm = Arm.BASELINE, **cell: object) -> Invocation:
    """Return an invocation whose files are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Invocation(id="i", arm=arm, cell=cell, directory=str(folder))  # type: ignore[arg-type]
