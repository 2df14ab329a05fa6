"""What docs/results prints is what its rows say."""

from __future__ import annotations

import json
import lzma
import math
import runpy
from collections import defaultdict
from collections.abc import Collection
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
def test_every_mean_of_a_verdict_follows_from_its_rows(folder: Path) -> None:
    verdict = json.loads(lzma.decompress((folder / "verdict.json.xz").read_bytes()))
    metric = verdict["metric"]
    strata = {(p["point"], s["cell"]): s for p in verdict["points"] for s in p["strata"]}
    keys = {cell: key(s["axes"]) for (_, cell), s in strata.items()}
    means = geometric_means(folder, metric, keys)
    estimated = {
        (point, arm, cell): estimate["value"]
        for (point, cell), stratum in strata.items()
        for arm in ("subject", "baseline")
        for estimate in stratum["estimates"]
        if estimate["name"] == f"{arm}_{metric}" and estimate["value"] is not None
    }

    assert estimated
    for (point, arm, cell), value in estimated.items():
        of = cell if arm == "subject" else keys[cell]
        assert value == pytest.approx(means[point, arm, of], rel=1e-9), (point, arm, cell)


def key(axes: dict[str, Any]) -> str:
    """What an eager cell is known by: every compile mode is compared with the same one."""
    return json.dumps({name: axes[name] for name in sorted(axes) if name != "compile_mode"})


def geometric_means(
    folder: Path, metric: str, keys: dict[str, str]
) -> dict[tuple[str, str, str], float]:
    """By point, arm and cell: the geometric mean over processes of each process's mean time."""
    times: dict[tuple[str, str, str], dict[int, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    with lzma.open(folder / "rows.jsonl.xz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["status"] == "ok" and not row["cold"]:
                cell = row["cell"] if row["arm"] == "subject" else keys[row["cell"]]
                value = row["values"][metric]
                taken = 1.0 / value if metric == "tokps" else value
                times[row["point"], row["arm"], cell][row["invocation"]].append(taken)
    means = {of: _geometric(by.values()) for of, by in times.items()}
    return {of: 1.0 / mean if metric == "tokps" else mean for of, mean in means.items()}


def _geometric(processes: Collection[list[float]]) -> float:
    logs = [math.log(math.fsum(values) / len(values)) for values in processes]
    return math.exp(math.fsum(logs) / len(logs))
