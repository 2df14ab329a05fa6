"""How often the decisions are right and wrong where the truth is known (fixed seed).

Run: python benchmarks/simulate_error_rates.py [--repeats N] [--index-repeats N] [--seed N]

Two arms are drawn from the same noise and one is shifted by a known factor; reprokit.stats and
reprokit.verdict.decide then decide, over processes and over pooled iterations. Both robustness
indices are asked over three points. Prints the Markdown tables of docs/statistics.md, section 9,
and whether A/A claims are `reproduced` in 95 % once there are as many processes as their noise
needs, and `cri` never calls one fragile; ends with 1 where not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

import simulated_decisions
import simulated_indices
from simulated_decisions import Rates
from simulated_indices import INDICES, Calls
from simulated_noise import NOISES, Noise

SEED = 147
REPEATS = 2000
INDEX_REPEATS = 500
PROCESSES = (2, 3, 4, 5, 6, 8, 10, 12)
INDEX_PROCESSES = (2, 3, 5, 8, 12)
ENOUGH = {"alike": 2, "differ": 5, "drift": 8}
"""From how many processes on an A/A claim with a margin of 3 % is to be `reproduced`."""
SAME_AT_LEAST = 0.95

DECISION_HEADER = (
    "| noise | processes | contrast covered | value covered | A/A `reproduced` | A/A refuted | "
    "at the margin `reproduced` | value at the margin `reproduced` | 10 % slower `falls_short` |\n"
    "|---|---|---|---|---|---|---|---|---|"
)
INDEX_HEADER = (
    "| noise | processes | A/A `robust` | A/A fragile or worse | "
    "20 % slower `robust` | 20 % slower fragile or worse |\n|---|---|---|---|---|---|"
)


def decision_row(noise: Noise, processes: int, rates: dict[str, Rates]) -> str:
    """Write one line: over processes / over pooled iterations, in per cent."""
    units = rates["processes"], rates["pooled"]
    cells = [
        " / ".join(_percent(getattr(unit, name)) for unit in units)
        for name in Rates.__dataclass_fields__
    ]
    return f"| {noise.name} | {processes} | {' | '.join(cells)} |"


def index_row(noise: Noise, processes: int, calls: dict[str, Calls]) -> str:
    """Write one line: `cri` / `cri_d` / `cri_d` alone, in per cent."""
    cells = [
        " / ".join(_percent(getattr(calls[index], name)) for index in INDICES)
        for name in Calls.__dataclass_fields__
    ]
    return f"| {noise.name} | {processes} | {' | '.join(cells)} |"


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f}"


def _decisions(repeats: int, seed: int, missed: list[str]) -> Iterator[str]:
    for noise in NOISES:
        for processes in PROCESSES:
            rates = simulated_decisions.simulate(noise, processes, repeats, seed)
            same = rates["processes"].same
            if processes >= ENOUGH[noise.name] and same < SAME_AT_LEAST:
                missed.append(f"{noise.name}, {processes}: A/A {_percent(same)} %")
            yield decision_row(noise, processes, rates)


def _indices(repeats: int, seed: int, missed: list[str]) -> Iterator[str]:
    for noise in NOISES:
        for processes in INDEX_PROCESSES:
            calls = simulated_indices.simulate(noise, processes, repeats, seed)
            wrong = calls["cri"].same_fragile
            if wrong:
                missed.append(f"{noise.name}, {processes}: `cri` fragile in {_percent(wrong)} %")
            yield index_row(noise, processes, calls)


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--index-repeats", type=int, default=INDEX_REPEATS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    missed: list[str] = []
    print(DECISION_HEADER)
    for line in _decisions(asked.repeats, asked.seed, missed):
        print(line, flush=True)
    print(f"\n{INDEX_HEADER}")
    for line in _indices(asked.index_repeats, asked.seed, missed):
        print(line, flush=True)
    print(f"\nmissed: {'; '.join(missed) or 'nothing'}")
    print(f"{time.process_time():.0f} s of process time", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
