"""How many invocations would decide what is undecided, if the spread stays as it was seen."""

from __future__ import annotations

import math
from collections.abc import Callable

from reprokit.records import Estimate
from reprokit.stats.logmean import LogMean
from reprokit.stats.rates import clopper_pearson
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import Undefined

MOST = 1000
AT_THE_BOUND = "estimate_at_the_bound"
BEYOND = f"more_than_{MOST}_invocations"
_METHOD = "smallest number per arm whose interval would clear the bound, at the observed spread"


def invocations_needed(
    log: LogMean | Undefined, bounds: tuple[float, ...], level: float
) -> Estimate:
    """Invocations per arm after which the interval no longer straddles a bound.

    Args:
        log: the estimate on the log scale.
        bounds: the bounds it is compared with, on the same scale; infinite ones do not count.
        level: level of the deciding interval.
    """
    if isinstance(log, Undefined):
        return _none(log.reason)
    distance = min((abs(log.value - bound) for bound in bounds if math.isfinite(bound)), default=0)
    if distance <= 0:
        return _none(AT_THE_BOUND)
    return _found(_smallest(lambda k: log.scaled(k).half_width(level) <= distance, log.smallest))


def invocations_needed_for_rate(rate: Estimate, bound: float, level: float) -> Estimate:
    """Invocations after which the exact interval of a crash rate would leave `bound` outside."""
    if rate.value is None:
        return _none(rate.reason or AT_THE_BOUND)
    share = rate.value
    if math.isclose(share, bound, abs_tol=1e-12):
        return _none(AT_THE_BOUND)

    def clears(k: int) -> bool:
        low, high = clopper_pearson(share * k, k, level)
        return high <= bound or low > bound

    return _found(_smallest(clears, max(1, rate.n.get("invocations", 1))))


def _smallest(decides: Callable[[int], bool], start: int) -> int | None:
    """Find the smallest k from `start` to MOST that decides; `decides` is monotone in k."""
    if not decides(MOST):
        return None
    low, high = start, MOST
    while low < high:
        middle = (low + high) // 2
        if decides(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _found(count: int | None) -> Estimate:
    if count is None:
        return _none(BEYOND)
    return Estimate(
        name="invocations_needed", value=float(count), unit="invocations", method=_METHOD
    )


def _none(reason: str) -> Estimate:
    return unknown("invocations_needed", "invocations", _METHOD, reason)
