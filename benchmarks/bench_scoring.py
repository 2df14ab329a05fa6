"""Process time and memory of scoring: TR147's matrix of 52,410 rows, and a million.

Run: python benchmarks/bench_scoring.py [--rows 52410] [--profile] [--scipy-cells 50]

Rows are generated from a seed: cells of 60 rows (5 processes x 12 iterations), two of which make a
comparison with an equivalence test, over three Triton versions. Timed: `score` (estimates, 1,000
bootstrap resamples of each cell, TOST, both robustness indices), the five gates, Holm over all
decisions and comparisons (`summarize`), and the report. Beside it a plain loop over
`scipy.stats.bootstrap` on the same cells, which has invocation means only. Ends with 1 when a limit
is not kept.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from generated_run import (
    INVOCATIONS,
    ITERATIONS,
    keep,
    make_claim,
    make_plan,
    make_ready,
    make_rows,
)
from scipy import stats

from reprokit.gates.judge import Judged, judge, with_gates
from reprokit.plan import Plan
from reprokit.records import Row
from reprokit.report.markdown import render_figures, render_scored
from reprokit.summary.summarize import summarize
from reprokit.verdict.score import score

MATRIX_ROWS, MATRIX_S = 52_410, 2.0
LARGE_ROWS, LARGE_S, LARGE_MIB = 1_000_000, 30.0, 1500
RESAMPLES = 1000
_DEPTH = INVOCATIONS * ITERATIONS


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    start = time.process_time()
    yield
    stages[name] = round(time.process_time() - start, 3)


def measure(plan: Plan, rows: tuple[Row, ...]) -> dict[str, float]:
    """Score the rows, judge the gates, adjust the family and write the report; seconds each."""
    claim = make_claim()
    ready = {point.id: make_ready(point) for point in plan.points}
    stages: dict[str, float] = {}
    with _timed(stages, "score_s"):
        verdict = score(claim, plan, ready, rows)
    with _timed(stages, "gates_s"):
        figures = render_figures(verdict)
        verdict = with_gates(verdict, judge(verdict, Judged(plan, ready, rows), figures))
    with _timed(stages, "holm_s"):
        summarize([keep(claim, plan, ready, rows, verdict)])
    with _timed(stages, "report_s"):
        render_scored(verdict, claim, plan, ready, rows, figures=figures)
    if not verdict.outcome.decided and "gate_failed" in verdict.reasons:
        raise SystemExit(f"the generated run is not sound: {verdict.sentence}")
    return stages


def scipy_loop(rows: tuple[Row, ...], cells: int) -> float:
    """Process time of a plain loop over some cells, scaled up to all, in seconds."""
    every = len(rows) // _DEPTH
    times = np.array([row.values["latency_ms"] for row in rows[: cells * _DEPTH]])
    start = time.process_time()
    for cell in times.reshape(-1, INVOCATIONS, ITERATIONS):
        stats.bootstrap(
            (np.log(cell.mean(axis=1)),), np.mean, n_resamples=RESAMPLES, method="BCa",
            rng=np.random.default_rng(42),
        )  # fmt: skip
    return (time.process_time() - start) * every / cells


def _limits(rows: int) -> tuple[float, float]:
    """Limits of time in seconds and of memory in MiB; of no other size is anything promised."""
    if rows <= MATRIX_ROWS:
        return MATRIX_S, LARGE_MIB
    return LARGE_S, LARGE_MIB


def main() -> int:
    """Measure, print, and end with 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=MATRIX_ROWS, help=f"or {LARGE_ROWS}")
    parser.add_argument("--scipy-cells", type=int, default=50)
    parser.add_argument("--profile", action="store_true", help="print the 40 costliest functions")
    asked = parser.parse_args()
    plan = make_plan(make_claim(), asked.rows)
    rows = tuple(make_rows(plan))
    before_mib = _peak_mib()
    profile = cProfile.Profile(timer=time.process_time) if asked.profile else None
    stages = profile.runcall(measure, plan, rows) if profile else measure(plan, rows)
    seconds, mib = sum(stages.values()), _peak_mib()
    plain = scipy_loop(rows, asked.scipy_cells)
    limit_s, limit_mib = _limits(asked.rows)
    result = {
        "rows": len(rows), "cells": len(rows) // _DEPTH, **stages, "all_s": round(seconds, 3),
        "limit_s": limit_s, "peak_mib": mib, "of_these_rows_mib": before_mib,
        "limit_mib": limit_mib, "scipy_loop_s": round(plain, 2),
        "scipy_loop_over_scoring": round(plain / seconds, 2),
        "time_kept": seconds <= limit_s, "memory_kept": mib <= limit_mib,
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    if profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)
    return 0 if result["time_kept"] and result["memory_kept"] else 1


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
