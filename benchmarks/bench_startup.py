"""How long `reprokit --help` takes, as a ratio to a bare `python -c pass` and against its limit.

Run: python benchmarks/bench_startup.py [--repeats N]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

LIMIT_S = 0.3


def _median_s(argv: list[str], repeats: int) -> float:
    """Median wall time in s of a command; the first launch warms the file cache, uncounted."""
    times = []
    for repeat in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        if repeat:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> int:
    """Measure, print, and end with 1 when the limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    bare = _median_s([sys.executable, "-c", "pass"], repeats)
    call = "from reprokit.cli.main import main; main(['--help'])"
    help_s = _median_s([sys.executable, "-c", call], repeats)
    result = {
        "bare_python_s": round(bare, 4),
        "reprokit_help_s": round(help_s, 4),
        "ratio": round(help_s / bare, 2),
        "limit_s": LIMIT_S,
        "kept": help_s < LIMIT_S,
    }
    print(json.dumps(result, indent=2))
    return 0 if result["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
