"""Samples: what one arm of one stratum measured, reduced to one number per invocation.

The unit of replication is the invocation: iterations of one process share its memory layout,
clocks and compiled kernels (Kalibera & Jones, ISMM 2013). Work is on time, so throughput enters as
its reciprocal, and an invocation's mean throughput is total work over total time (harmonic mean).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from reprokit.metrics import METRICS, TIME_METRICS

FloatArray = npt.NDArray[np.float64]

NO_DATA: Final = "no_data"
TOO_FEW: Final = "too_few_invocations"
ZERO_VARIANCE: Final = "zero_variance"
IMPOSSIBLE: Final = "impossible_value"

# Spread of log means that rounding of equal numbers can leave; far below any clock's resolution.
_EQUAL: Final = 1e-12


@dataclass(frozen=True)
class Undefined:
    """No estimate, and the code that says why."""

    reason: str


@dataclass(frozen=True)
class ArmSample:
    """Log mean time of every usable invocation: m_i = log(mean_j y_ij), y in time per work.

    Attributes:
        means: the m_i, in the order of the invocations.
        iterations: how many iterations they were computed from.
    """

    means: tuple[float, ...]
    iterations: int

    @property
    def k(self) -> int:
        """Number of invocations."""
        return len(self.means)


def is_time(metric: str) -> bool:
    """Tell a duration from work on time.

    Raises:
        KeyError: the metric is not in `reprokit.metrics`.
    """
    return METRICS[metric].name in TIME_METRICS


def as_times(metric: str, values: Sequence[float] | FloatArray) -> FloatArray:
    """Turn measured values into times: durations stay, throughputs become their reciprocal.

    Impossible values (zero, negative, not finite) come out as NaN.
    """
    array = np.asarray(values, dtype=np.float64)
    possible = np.isfinite(array) & (array > 0)
    clean = np.where(possible, array, np.nan)
    with np.errstate(over="ignore"):
        return clean if is_time(metric) else 1.0 / clean


def in_metric(metric: str, log_time: float) -> float:
    """Turn a log time back into the metric's own unit; the inverse of `as_times`, then log."""
    return exp(log_time if is_time(metric) else -log_time)


def exp(value: float) -> float:
    """Exponential that overflows to infinity: an interval may be open upwards."""
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def arm_sample(
    metric: str, invocations: Sequence[Sequence[float] | FloatArray]
) -> ArmSample | Undefined:
    """Reduce each invocation to its log mean time.

    Args:
        metric: name of the metric of the values.
        invocations: one array of iterations per invocation; empty ones do not count.

    Returns:
        The sample, or `no_data` without any iteration, `impossible_value` where any value is zero,
        negative or not finite: a clock that lies once is not believed elsewhere.
    """
    there = [values for values in invocations if len(values)]
    if not there:
        return Undefined(NO_DATA)
    duration = is_time(metric)
    means = [_log_mean_time(values, duration=duration) for values in there]
    if not all(map(math.isfinite, means)):
        return Undefined(IMPOSSIBLE)
    return ArmSample(tuple(means), sum(map(len, there)))


def _log_mean_time(values: Sequence[float] | FloatArray, *, duration: bool) -> float:
    """Log of the mean time; NaN where a value is impossible.

    Invocations are short: adding up a list costs less than asking NumPy to.
    """
    times = values.tolist() if isinstance(values, np.ndarray) else values
    if not (min(times) > 0 and max(times) < math.inf):
        return math.nan
    try:
        total = math.fsum(times if duration else [1.0 / each for each in times])
    except OverflowError:
        return math.nan
    return math.log(total / len(times)) if 0.0 < total < math.inf else math.nan


def has_no_spread(means: Sequence[float]) -> bool:
    """Tell whether all numbers are the same but for rounding; identical timings are no evidence."""
    return max(means) - min(means) <= _EQUAL
