"""How much of a sweep's wall time is reprokit's own: everything but the benchmark's processes.

Run: python benchmarks/bench_share.py CLAIM --sweep sha --stack host --weights synthetic ...

All arguments go to `reprokit verify`. The toolkit's is the time in which no process of the
benchmark ran: environments, probes, weights that are built or fetched, starting and watching,
scoring, the report. Processes that run side by side on several GPUs count once. Run it twice to see
it with the caches cold and filled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LIMIT_PERCENT = 5.0

Span = tuple[float, float]


def main() -> int:
    """Measure, print, and end with 1 when the limit is not kept, 4 when nothing was measured."""
    runs = Path("runs-bench-share").absolute()
    before = set(runs.glob("*/*"))
    command = [sys.executable, "-m", "reprokit", "verify", *sys.argv[1:], "--runs", str(runs)]
    begun = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    whole = (begun, time.monotonic())
    spans = [span for run in set(runs.glob("*/*")) - before for span in process_spans(run)]
    result = {**share(whole, spans), "verify_exit_code": code}
    if not result["benchmark_processes_s"]:
        print("no process of the benchmark ended: there is nothing to compare", file=sys.stderr)
        return 4
    print(json.dumps(result, indent=2))
    return 0 if result["kept"] else 1


def share(whole: Span, spans: Iterable[Span]) -> dict[str, float | bool]:
    """Compare the time of a command with that in which processes ran, all on the same clock."""
    total_s, processes_s = whole[1] - whole[0], covered(whole, spans)
    percent = 100.0 * (1.0 - processes_s / total_s)
    return {
        "verify_s": round(total_s, 2),
        "benchmark_processes_s": round(processes_s, 2),
        "own_s": round(total_s - processes_s, 2),
        "own_percent": round(percent, 2),
        "limit_percent": LIMIT_PERCENT,
        "kept": percent < LIMIT_PERCENT,
    }


def covered(whole: Span, spans: Iterable[Span]) -> float:
    """Return how long at least one of some spans lasted, as far as they lie in the whole."""
    seconds, reached = 0.0, whole[0]
    for begin, end in sorted(spans):
        seconds += max(0.0, min(end, whole[1]) - max(begin, reached))
        reached = max(reached, end)
    return seconds


def process_spans(run: Path) -> Iterator[Span]:
    """Yield when each process of the benchmark ran; cells that share one are in its time."""
    for path in (*run.glob("launches/*/exit.json"), *run.glob("probes/*/exit.json")):
        yield _span(path)
    for path in run.glob("invocations/*/exit.json"):
        if _read(path.with_name("spec.json")).get("launch") is None:
            yield _span(path)


def _span(path: Path) -> Span:
    found = _read(path)
    begin = float(found["monotonic_start_s"])
    return begin, begin + float(found["wall_s"])


def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main())
