"""Families of tests: the p-value of one contrast, and Holm's step-down over all that belong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from reprokit.records import Estimate
from reprokit.stats.logmean import LogMean, t_upper_tail
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import IMPOSSIBLE, Undefined

_WELCH = "two-sided Welch t test on log invocation means (Welch 1947)"


@dataclass(frozen=True)
class Adjusted:
    """One member of a family after Holm's step-down.

    Attributes:
        p: the adjusted p-value; comparing it with alpha keeps the family's error rate.
        rejected: None where the member has no p-value. False is never "equal".
    """

    p: Estimate
    rejected: bool | None


def difference_p(log_rho: LogMean | Undefined) -> Estimate:
    """P-value of H0 rho = 1, two-sided; large is no evidence that the arms are equal."""
    if isinstance(log_rho, Undefined):
        return unknown("difference_p", "probability", _WELCH, log_rho.reason)
    statistic = abs(log_rho.value) / math.sqrt(log_rho.variance)
    return Estimate(
        name="difference_p",
        value=min(1.0, 2.0 * t_upper_tail(statistic, log_rho.df)),
        unit="probability",
        method=_WELCH,
        n={"invocations": log_rho.invocations, "iterations": log_rho.iterations},
    )


def holm(family: Mapping[str, Estimate], alpha: float = 0.05) -> dict[str, Adjusted]:
    """Adjust the p-values of a declared family (Holm 1979), in the family's order.

    A member without a p-value, or with an impossible one, keeps its place in the size of the
    family: a test that could not be made does not make the others easier to pass.
    """
    method = f"Holm 1979, step-down over a family of {len(family)}"
    known = {name: p.value for name, p in family.items() if _is_probability(p.value)}
    adjusted = _step_down(known, len(family))
    return {name: _member(name, p, adjusted.get(name), method, alpha) for name, p in family.items()}


def _step_down(known: Mapping[str, float | None], size: int) -> dict[str, float]:
    """Adjust from the smallest on: p times the tests that are left, never under the one before."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    ordered = sorted((value, name) for name, value in known.items() if value is not None)
    for rank, (value, name) in enumerate(ordered):
        largest = max(largest, min(1.0, (size - rank) * value))
        adjusted[name] = largest
    return adjusted


def _member(name: str, p: Estimate, adjusted: float | None, method: str, alpha: float) -> Adjusted:
    if adjusted is None:
        reason = IMPOSSIBLE if p.value is not None else p.reason or IMPOSSIBLE
        return Adjusted(unknown(f"holm_{name}", "probability", method, reason), None)
    return Adjusted(
        Estimate(
            name=f"holm_{name}",
            value=adjusted,
            unit="probability",
            method=f"{method}; of: {p.method}",
            n=p.n,
        ),
        adjusted <= alpha,
    )


def _is_probability(value: float | None) -> bool:
    return value is not None and 0.0 <= value <= 1.0
