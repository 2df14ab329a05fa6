"""Prints a result's table of cells as Markdown, from the verdict that lies beside it.

    python docs/results/tables.py docs/results/phase_split_h200

Where the metric is throughput, one row a stack point with tokens per second of both arms. Elsewhere
one row a cell: latencies are geometric means over invocations in milliseconds, gains are
percentages of time saved against eager with their 95 % intervals, both as `verdict.json.xz` holds
them.
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
    """The table's lines: of stack points where the metric is throughput, else of cells."""
    verdict = json.loads(lzma.decompress((folder / "verdict.json.xz").read_bytes()))
    return _by_point(verdict) if verdict["metric"] == "tokps" else _by_cell(verdict)


def _by_point(verdict: dict[str, Any]) -> list[str]:
    """One row a stack point: what survived of each arm, tokens per second, what ended the rest."""
    axes = [effect["axis"] for effect in verdict["axes"]]
    heads = [*axes, "eager ok", "eager, tok/s", "compiled ok", "compiled, tok/s", "what ended it"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for point in verdict["points"]:
        arms = [
            text for arm in ("baseline", "subject") for text in (_ok(point, arm), _rate(point, arm))
        ]
        ended = sorted({f"`{group['fingerprint']}`" for group in point["failures"]}) or ["-"]
        values = [str(point["axes"][axis]) for axis in axes]
        lines.append("| " + " | ".join([*values, *arms, ", ".join(ended)]) + " |")
    return lines


def _ok(point: dict[str, Any], arm: str) -> str:
    found = next(each for each in point["survival"] if each["arm"] == arm)
    return f"{found['complete']} of {found['attempted']}"


def _rate(point: dict[str, Any], arm: str) -> str:
    named = (each for each in point["estimates"] if each["name"] == f"{arm}_tokps")
    found = next(named, None)
    if found is None or found["value"] is None:
        return "-"
    return f"{found['value']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def _by_cell(verdict: dict[str, Any]) -> list[str]:
    """One row for each phase, cache and length, one pair of columns a mode."""
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
