"""How much of a sweep's wall time is reprokit's own: everything but the benchmark's processes.

Run: python benchmarks/bench_share.py CLAIM --sweep sha --stack host --weights synthetic ...

All arguments go to `reprokit verify`. What is left of its wall time when the wall times of the
benchmark's own processes are taken away is the toolkit's: environments, probes, weights that are
built or fetched, supervising, scoring, the report. Run it twice to see it with the caches cold and
filled. A sweep over several GPUs at once has no such share: processes overlap.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT_PERCENT = 5.0


def main() -> int:
    """Measure, print, and end with 1 when the limit is not kept, 4 when nothing was measured."""
    runs = Path("runs-bench-share").absolute()
    begun = time.perf_counter()
    command = [sys.executable, "-m", "reprokit", "verify", *sys.argv[1:], "--runs", str(runs)]
    code = subprocess.run(command, check=False).returncode
    total_s = time.perf_counter() - begun
    newest = max(runs.glob("*/*"), key=lambda path: path.stat().st_mtime, default=None)
    processes_s = sum(_wall_times(newest)) if newest is not None else 0.0
    if processes_s == 0.0:
        print("no process of the benchmark ended: there is nothing to compare", file=sys.stderr)
        return 4
    share = 100.0 * (1.0 - processes_s / total_s)
    result = {
        "verify_s": round(total_s, 2),
        "benchmark_processes_s": round(processes_s, 2),
        "own_s": round(total_s - processes_s, 2),
        "own_percent": round(share, 2),
        "limit_percent": LIMIT_PERCENT,
        "kept": share < LIMIT_PERCENT,
        "verify_exit_code": code,
    }
    print(json.dumps(result, indent=2))
    return 0 if result["kept"] else 1


def _wall_times(run: Path) -> list[float]:
    """Wall times in s of all processes; cells that share one are in its time."""
    shared = [_exit(path) for path in run.glob("launches/*/exit.json")]
    alone = [
        _exit(path)
        for path in run.glob("invocations/*/exit.json")
        if _spec(path).get("launch") is None
    ]
    return [float(each["wall_s"]) for each in (*shared, *alone)]


def _exit(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _spec(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.with_name("spec.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
