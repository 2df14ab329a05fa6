"""Prints a result's table of cells as Markdown, from the verdict that lies beside it.

    python docs/results/tables.py docs/results/phase_split_h200

Latencies are geometric means over invocations in milliseconds, gains are percentages of time saved
against eager with their 95 % intervals, both as `verdict.json.xz` holds them.
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any

COLUMNS = ("phase", "cache", "token_len")
MODES = ("default", "reduce-overhead")


def table_of(folder: Path) -> list[str]:
    """The table's lines, one row for each phase, cache and length, one pair of columns a mode."""
    verdict = json.loads(lzma.decompress((folder / "verdict.json.xz").read_bytes()))
    points = {
        tuple(point["axes"][a] for a in (*COLUMNS, "compile_mode")): point
        for point in verdict["points"]
    }
    heads = (*COLUMNS, "eager, ms", *(h for mode in MODES for h in (f"{mode}, ms", "gain, %")))
    lines = ["| " + " | ".join(heads) + " |", "|---|---|" + "--:|" * (len(heads) - 2)]
    for cell in dict.fromkeys(key[:-1] for key in points):
        of_modes = [points[(*cell, mode)] for mode in MODES]
        eager = _figure(of_modes[0], "baseline_latency_ms")
        measured = [text for point in of_modes for text in _columns(point)]
        lines.append(
            "| " + " | ".join([*map(str, cell), f"{eager['value']:.2f}", *measured]) + " |"
        )
    return lines


def _columns(point: dict[str, Any]) -> tuple[str, str]:
    """Latency and gain of a point's subject; what happened instead where nothing survived."""
    if _figure(point, "gain")["value"] is None:
        return "-", str(point["outcome"]).replace("_", " ")
    latency, gain = _figure(point, "subject_latency_ms"), _figure(point, "gain")
    undecided = "" if point["outcome"] == "reproduced" else " ?"
    return (
        f"{latency['value']:.2f}",
        f"{gain['value']:.1f} [{gain['low']:.1f}, {gain['high']:.1f}]{undecided}",
    )


def _figure(point: dict[str, Any], name: str) -> dict[str, Any]:
    return next(estimate for estimate in point["estimates"] if estimate["name"] == name)


if __name__ == "__main__":
    print("\n".join(table_of(Path(sys.argv[1]))))
