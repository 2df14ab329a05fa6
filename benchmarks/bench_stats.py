"""The hierarchical bootstrap over TR147's cells, against a plain loop over `scipy.stats.bootstrap`.

Run: python benchmarks/bench_stats.py [--cells 114] [--scipy-cells 5]

The loop gets invocation means only, which is less work, and a few cells, scaled up.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time

import numpy as np
from scipy import stats

from reprokit.stats.bootstrap import bootstrap_rate
from reprokit.stats.sample import FloatArray
from reprokit.stats.steady import cell_steadiness

LIMIT_S = 1.0
RESAMPLES = 1000


def _plain(cell: FloatArray) -> None:
    """One cell as one would write it: a Python statistic that SciPy calls for every resample."""
    stats.bootstrap(
        (np.log(cell.mean(axis=1)),),
        lambda sample: float(np.mean(sample)),
        n_resamples=RESAMPLES,
        vectorized=False,
        method="BCa",
        random_state=42,
    )


def main() -> int:
    """Measure process time, print, and end with 1 when the limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=114)
    parser.add_argument("--scipy-cells", type=int, default=5)
    arguments = parser.parse_args()
    generator = np.random.default_rng(147)
    level = generator.normal(2, 0.01, (arguments.cells, 5, 1))
    cells = np.exp(level + generator.normal(0, 0.005, (arguments.cells, 5, 12)))
    start = time.process_time()
    for cell in cells:
        bootstrap_rate("latency_ms", list(cell), resamples=RESAMPLES)
    ours = time.process_time() - start
    start = time.process_time()
    for cell in cells:
        cell_steadiness(list(cell))
    steady = time.process_time() - start
    start = time.process_time()
    for cell in cells[: arguments.scipy_cells]:
        _plain(cell)
    plain = (time.process_time() - start) * arguments.cells / arguments.scipy_cells
    result = {
        "cells": arguments.cells,
        "rows": int(cells.size),
        "bootstrap_s": round(ours, 3),
        "steady_s": round(steady, 3),
        "scipy_loop_s": round(plain, 3),
        "ratio": round(plain / ours, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "limit_s": LIMIT_S,
        "kept": ours < LIMIT_S,
    }
    print(json.dumps(result, indent=2))
    return 0 if result["kept"] else 1


if __name__ == "__main__":
    sys.exit(main())
