"""What docs/results prints is what its rows say."""

from __future__ import annotations

import json
import lzma
import math
import runpy
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/verdict.json.xz"))
TABLES = runpy.run_path(str(RESULTS / "tables.py"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_page_holds_the_table_of_its_verdict(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")

    assert "\n".join(TABLES["table_of"](folder)) in page


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_latency_of_a_verdict_follows_from_its_rows(folder: Path) -> None:
    verdict = json.loads(lzma.decompress((folder / "verdict.json.xz").read_bytes()))
    strata = {s["cell"]: s for point in verdict["points"] for s in point["strata"]}
    means = geometric_means(folder, {cell: key(s["axes"]) for cell, s in strata.items()})
    estimated = {
        (arm, cell): estimate["value"]
        for cell, stratum in strata.items()
        for arm in ("subject", "baseline")
        for estimate in stratum["estimates"]
        if estimate["name"] == f"{arm}_latency_ms" and estimate["value"] is not None
    }

    assert estimated
    for (arm, cell), value in estimated.items():
        of = cell if arm == "subject" else key(strata[cell]["axes"])
        assert value == pytest.approx(means[arm, of], rel=1e-9), (arm, cell)


def key(axes: dict[str, Any]) -> str:
    """What an eager cell is known by: every compile mode is compared with the same one."""
    return json.dumps({name: axes[name] for name in sorted(axes) if name != "compile_mode"})


def geometric_means(folder: Path, keys: dict[str, str]) -> dict[tuple[str, str], float]:
    """By arm and cell: the geometric mean over processes of each process's mean latency, in ms."""
    processes: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    with lzma.open(folder / "rows.jsonl.xz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["status"] == "ok":
                cell = row["cell"] if row["arm"] == "subject" else keys[row["cell"]]
                processes[row["arm"], cell][row["invocation"]].append(row["values"]["latency_ms"])
    return {
        of: math.exp(math.fsum(math.log(math.fsum(v) / len(v)) for v in by.values()) / len(by))
        for of, by in processes.items()
    }
