"""Equivalence of two arms: two one-sided tests on the log ratio (Schuirmann 1987)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from reprokit.records import Estimate
from reprokit.stats.logmean import LogMean, t_upper_tail
from reprokit.stats.ratio import contrast, unknown
from reprokit.stats.sample import Undefined

_METHOD = "two one-sided Welch t tests on log invocation means (Schuirmann 1987)"


@dataclass(frozen=True)
class Tost:
    """Result of the two one-sided tests at alpha with the ratio margin M.

    Attributes:
        interval: rho with its 1 - 2 alpha interval; inside [1/M, M] is the same as `equivalent`.
        p_lower: p-value of H0 rho <= 1/M (the subject is faster by the margin or more).
        p_upper: p-value of H0 rho >= M (the subject is slower by the margin or more).
        equivalent: both rejected; None where there is no estimate. Never the opposite of
            "different": neither may be shown.
    """

    interval: Estimate
    p_lower: Estimate
    p_upper: Estimate
    equivalent: bool | None


def tost(log_rho: LogMean | Undefined, margin: float, alpha: float = 0.05) -> Tost:
    """Test whether rho lies within [1/margin, margin]; margin above 1."""
    level = 1.0 - 2.0 * alpha
    interval = contrast(log_rho, level).model_copy(update={"name": "tost_contrast"})
    if isinstance(log_rho, Undefined):
        missing = [
            unknown(name, "probability", _METHOD, log_rho.reason)
            for name in ("tost_p_lower", "tost_p_upper")
        ]
        return Tost(interval, missing[0], missing[1], None)
    error = math.sqrt(log_rho.variance)
    bound = math.log(margin)
    lower = t_upper_tail((log_rho.value + bound) / error, log_rho.df)
    upper = t_upper_tail((bound - log_rho.value) / error, log_rho.df)
    return Tost(
        interval,
        _p("tost_p_lower", lower, log_rho),
        _p("tost_p_upper", upper, log_rho),
        max(lower, upper) <= alpha,
    )


def _p(name: str, value: float, log_rho: LogMean) -> Estimate:
    return Estimate(
        name=name,
        value=value,
        unit="probability",
        method=_METHOD,
        n={"invocations": log_rho.invocations, "iterations": log_rho.iterations},
    )
