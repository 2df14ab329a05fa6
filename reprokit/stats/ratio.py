"""Ratios as records: measured rate, ratio to a claim, contrast of arms, gain and overhead."""

from __future__ import annotations

import math

from reprokit.metrics import METRICS
from reprokit.records import Estimate
from reprokit.stats.logmean import LogMean
from reprokit.stats.sample import IMPOSSIBLE, Undefined, as_times, exp, in_metric, is_time

_T = "t interval on log invocation means (Kalibera & Jones 2013), Satterthwaite df"
_WELCH = "Welch t interval on log invocation means (Welch 1947; Kalibera & Jones 2013)"


def log_claimed_time(metric: str, claimed: float) -> float:
    """Log of the time that the claimed figure means; NaN for one that no clock can show."""
    return math.log(float(as_times(metric, [claimed])[0]))


def log_ratio_to_claim(
    mean: LogMean | Undefined, metric: str, claimed: float
) -> LogMean | Undefined:
    """Log of r, measured speed over claimed speed, the same as claimed time over measured time.

    r > 1 is always better than claimed, whatever the metric's direction: for a throughput V it is
    exp(-mean m)/V, for a latency V it is V/exp(mean m).
    """
    if isinstance(mean, Undefined):
        return mean
    time = log_claimed_time(metric, claimed)
    return mean.negated().shifted(time) if math.isfinite(time) else Undefined(IMPOSSIBLE)


def measured_rate(mean: LogMean | Undefined, metric: str, level: float) -> Estimate:
    """Return the metric itself in its own unit: geometric over invocations, time-mean inside."""
    name, unit = f"measured_{metric}", METRICS[metric].unit
    if isinstance(mean, Undefined):
        return unknown(name, unit, _T, mean.reason)
    ends = [in_metric(metric, end) for end in mean.interval(level)]
    low, high = ends if is_time(metric) else reversed(ends)
    value = in_metric(metric, mean.value)
    return _estimate(name, unit, _T, mean, level, (value, low, high))


def ratio_to_value(
    mean: LogMean | Undefined, metric: str, claimed: float, level: float
) -> Estimate:
    """Return r = measured speed / claimed speed; above 1 is better than claimed."""
    ratio = log_ratio_to_claim(mean, metric, claimed)
    return _exponential("ratio_to_claim", ratio, level, _T)


def contrast(log_rho: LogMean | Undefined, level: float) -> Estimate:
    """Return rho = subject time / baseline time; under 1 the subject is faster."""
    return _exponential("contrast", log_rho, level, _WELCH)


def gain(log_rho: LogMean | Undefined, level: float) -> Estimate:
    """Return gain % = 100 (1 - rho): the share of the baseline's time that the subject saves."""
    return _percent("gain", log_rho, level, sign=-1.0)


def overhead(log_rho: LogMean | Undefined, level: float) -> Estimate:
    """Return overhead % = 100 (rho - 1): the negative of the gain."""
    return _percent("overhead", log_rho, level, sign=1.0)


def unknown(name: str, unit: str, method: str, reason: str) -> Estimate:
    """Return an estimate without a value, with the code of the reason."""
    return Estimate(name=name, value=None, unit=unit, method=method, reason=reason)


def _percent(name: str, log_rho: LogMean | Undefined, level: float, *, sign: float) -> Estimate:
    if isinstance(log_rho, Undefined):
        return unknown(name, "%", _WELCH, log_rho.reason)
    ends = sorted(sign * 100.0 * (exp(end) - 1.0) for end in log_rho.interval(level))
    value = sign * 100.0 * (exp(log_rho.value) - 1.0)
    return _estimate(name, "%", _WELCH, log_rho, level, (value, ends[0], ends[1]))


def _exponential(name: str, log: LogMean | Undefined, level: float, method: str) -> Estimate:
    if isinstance(log, Undefined):
        return unknown(name, "ratio", method, log.reason)
    low, high = log.interval(level)
    return _estimate(name, "ratio", method, log, level, (exp(log.value), exp(low), exp(high)))


def _estimate(
    name: str,
    unit: str,
    method: str,
    log: LogMean,
    level: float,
    numbers: tuple[float, float, float],
) -> Estimate:
    value, low, high = numbers
    if not math.isfinite(value):
        return unknown(name, unit, method, IMPOSSIBLE)
    return Estimate(
        name=name,
        value=value,
        low=_end(low),
        high=_end(high),
        unit=unit,
        level=level,
        method=method,
        n={"invocations": log.invocations, "iterations": log.iterations},
    )


def _end(value: float) -> float | None:
    """Return an end of an interval, None where it is open: JSON has no infinity."""
    return value if math.isfinite(value) else None
