"""The worked examples of docs/statistics.md are true."""

from __future__ import annotations

import doctest
import json
import lzma
import re
from pathlib import Path
from typing import Any

from reprokit.verdict.outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_the_examples_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted >= 15
    assert result.failed == 0


def test_every_outcome_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in text] == []


def test_every_estimate_that_a_verdict_holds_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = {name for kept in RESULTS for name in estimates(kept)}
    assert len(names) > 20

    assert [name for name in sorted(names) if not explained(name, text)] == []


RESULTS = sorted((PAGE.parent / "results").glob("*/verdict.json.xz"))


def estimates(kept: Path) -> set[str]:
    """Names of all estimate records, at any depth."""
    found: set[str] = set()
    left: list[Any] = [json.loads(lzma.decompress(kept.read_bytes()))]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if {"name", "value", "method"} <= set(each):
                found.add(each["name"])
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)
    return found


def explained(name: str, text: str) -> bool:
    """A name stands there as it is, or with `<metric>` or `<arm>` in their places."""
    metrics = ("latency_ms", "wall_ms", "tokps", "ttft_ms", "bandwidth_gbps", "device_ms")
    general = re.sub("|".join(metrics), "<metric>", name)
    arms = {re.sub(r"^(subject|baseline)_", each, general) for each in ("", "<arm>_")} | {general}
    return any(f"`{each}`" in text for each in arms)
