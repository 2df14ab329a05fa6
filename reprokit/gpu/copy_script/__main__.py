"""Measure how fast the GPU copies from its memory to its memory; print one line of JSON.

Runs with the Python of a stack point: standard library and torch only.

    python copy_script

Bytes are counted as STREAM does, those read and those written. The best of some copies is a
ceiling that this very GPU reached at these very clocks; a datasheet's figure is reached by none.
"""

from __future__ import annotations

import json
import sys

REPEATS = 20
WARMUP = 5
LARGEST = 2 << 30
LEAST = 64 << 20


def main() -> None:
    """Measure and print."""
    sys.stdout.write(json.dumps(_measure()) + "\n")


def _measure() -> dict[str, object]:
    try:
        import torch  # noqa: PLC0415 - its absence is an answer
    except ImportError as error:
        return {"reason": f"no_torch: {error}"}
    if not torch.cuda.is_available():
        return {"reason": "no_cuda: torch sees no GPU"}
    free = int(torch.cuda.mem_get_info()[0])
    size = min(LARGEST, free // 4)
    if size < LEAST:
        return {"reason": f"no_memory: {free >> 20} MiB are free"}
    source = torch.ones(size // 4, dtype=torch.float32, device="cuda")
    target = torch.empty_like(source)
    for _ in range(WARMUP):
        target.copy_(source)
    seconds = []
    for _ in range(REPEATS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    if not bool((target[-1] == 1.0).item()) or min(seconds) <= 0:
        return {"reason": "no_copy: the target is not what was copied"}
    moved = 2 * source.numel() * source.element_size()
    ordered = sorted(seconds)
    return {
        "gbps": moved / ordered[0] / 1e9,
        "median_gbps": moved / ordered[len(ordered) // 2] / 1e9,
        "buffer_bytes": moved // 2,
        "repeats": REPEATS,
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(),
    }


if __name__ == "__main__":
    main()
