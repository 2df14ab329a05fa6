"""Rates of failure and survival with exact bounds (Clopper & Pearson 1934)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy import special

from reprokit.records import Estimate
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import NO_DATA

_EXACT = "Clopper-Pearson 1934"
_CLUSTERED = (
    "mean over processes of the share of failed iterations; Clopper-Pearson interval with the "
    "processes as effective sample size (Korn & Graubard 1998)"
)


def clopper_pearson(events: float, trials: int, level: float) -> tuple[float, float]:
    """Two-sided exact interval of a proportion; `events` may be a fraction (effective counts).

    Without trials nothing is known: (0, 1).
    """
    if trials <= 0:
        return 0.0, 1.0
    tail = (1.0 - level) / 2.0
    low = float(special.betaincinv(events, trials - events + 1.0, tail)) if events > 0 else 0.0
    if events >= trials:
        return low, 1.0
    return low, float(special.betaincinv(events + 1.0, trials - events, 1.0 - tail))


def upper_bound_of_none(trials: int, level: float) -> float:
    """Largest rate that 0 of `trials` still allows, one-sided: 1 - (1 - level)^(1/n).

    0 of 5 at 95 % still allows 45 %; without trials every rate.
    """
    return 1.0 if trials <= 0 else -math.expm1(math.log1p(-level) / trials)


def survival(survivors: int, attempted: int, level: float) -> Estimate:
    """Share of invocations that survived whole.

    With no survivor the interval is [0, one-sided bound], else the two-sided exact one.
    """
    if attempted <= 0:
        return unknown("survival", "proportion", _EXACT, NO_DATA)
    if survivors == 0:
        low, high = 0.0, upper_bound_of_none(attempted, level)
        method = f"{_EXACT}, one-sided upper bound: none survived"
    else:
        low, high = clopper_pearson(survivors, attempted, level)
        method = _EXACT
    return Estimate(
        name="survival",
        value=survivors / attempted,
        low=low,
        high=high,
        unit="proportion",
        level=level,
        method=method,
        n={"invocations": attempted},
    )


def crash_rate(failed: int, attempted: int, level: float) -> Estimate:
    """n_not_ok / n_attempted over iterations, as TR147 counts it.

    Iterations of one process fail together, so this interval is too narrow to decide by; it is
    what a reader of TR147 knows.
    """
    name = "crash_rate_as_published"
    if attempted <= 0:
        return unknown(name, "proportion", _EXACT, NO_DATA)
    low, high = clopper_pearson(failed, attempted, level)
    return Estimate(
        name=name,
        value=failed / attempted,
        low=low,
        high=high,
        unit="proportion",
        level=level,
        method=f"{_EXACT} over iterations (as published)",
        n={"iterations": attempted},
    )


def clustered_crash_rate(
    invocations: Sequence[tuple[int, int]], level: float, name: str = "crash_rate"
) -> Estimate:
    """Crash rate with the process as the unit.

    Args:
        invocations: (failed, attempted) iterations per process; without attempts not counted.
        level: level of the interval.
        name: name of the estimate.

    Returns:
        The mean share of failures. When every invocation fails or survives whole, the interval is
        the exact binomial one over invocations; where shares differ, taking the design effect at
        its largest keeps it conservative.
    """
    shares = [failed / attempted for failed, attempted in invocations if attempted > 0]
    if not shares:
        return unknown(name, "proportion", _CLUSTERED, NO_DATA)
    count = len(shares)
    events = math.fsum(shares)
    low, high = clopper_pearson(events, count, level)
    return Estimate(
        name=name,
        value=events / count,
        low=low,
        high=high,
        unit="proportion",
        level=level,
        method=_CLUSTERED,
        n={"invocations": count, "iterations": sum(attempted for _, attempted in invocations)},
    )
