"""Three ways in which timings of the same code vary, for simulations with a known truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reprokit.stats.sample import FloatArray

LATENCY_MS = 10.0
ITERATIONS = 12
_TRUTH_PROCESSES = 200_000
_TRUTH_SEED = 20147


@dataclass(frozen=True)
class Noise:
    """Relative noise of latencies on the log scale; standard deviations unless said otherwise.

    Attributes:
        between: of a process's level.
        within: of one iteration about it.
        correlation: of an iteration with the one before it (AR(1)).
        trend: change from the first to the last iteration of every process.
        slow_share: probability that a process is slow throughout, by the factor `slow`.
    """

    name: str
    between: float
    within: float
    correlation: float = 0.0
    trend: float = 0.0
    slow_share: float = 0.0
    slow: float = 1.0

    def draw(self, generator: np.random.Generator, repeats: int, processes: int) -> FloatArray:
        """Draw latencies in ms: (repeats, processes, ITERATIONS)."""
        shape = (repeats, processes, ITERATIONS)
        inside = generator.normal(0.0, self.within, shape)
        fresh = math.sqrt(1.0 - self.correlation**2)
        for step in range(1, ITERATIONS):
            inside[..., step] *= fresh
            inside[..., step] += self.correlation * inside[..., step - 1]
        level = generator.normal(0.0, self.between, shape[:2])
        level += math.log(self.slow) * (generator.random(shape[:2]) < self.slow_share)
        trend = self.trend * (np.arange(ITERATIONS) / (ITERATIONS - 1) - 0.5)
        logs = math.log(LATENCY_MS) + level[..., np.newaxis] + inside + trend
        return np.asarray(np.exp(logs), dtype=np.float64)

    def true_log_mean(self) -> float:
        """Mean of log(mean latency) over very many processes: what the estimates are about."""
        times = self.draw(np.random.default_rng(_TRUTH_SEED), 1, _TRUTH_PROCESSES)[0]
        return float(np.log(times.mean(axis=1)).mean())


NOISES = (
    Noise("alike", between=0.0, within=0.01),
    Noise("differ", between=0.01, within=0.002),
    Noise(
        "drift", between=0.005, within=0.005, correlation=0.8, trend=-0.01,
        slow_share=0.05, slow=1.05,
    ),
)  # fmt: skip
"""Processes are alike; they differ; they drift inside, and now and then one is slow."""
