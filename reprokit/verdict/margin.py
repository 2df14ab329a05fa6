"""The effective margin: the claim's own, never finer than the digits of the printed figure."""

from __future__ import annotations

from reprokit.claim.model import Claim, ExpectEquivalence, ExpectValue
from reprokit.claim.printed import rounding_half_width
from reprokit.verdict.figures import conclusion_of
from reprokit.verdict.records import EffectiveMargin


def effective_margin(claim: Claim) -> EffectiveMargin | None:
    """Return the ratio margin that decides, None for claims without one.

    A figure printed as 104.9 stands for anything from 104.85 to 104.95: a ratio nearer to 1 than
    that cannot be told from it.
    """
    expect = conclusion_of(claim)
    if isinstance(expect, ExpectEquivalence):
        return EffectiveMargin(value=expect.margin, declared=expect.margin)
    if not isinstance(expect, ExpectValue):
        return None
    rounding = _rounding_ratio(claim.source.printed, expect.value)
    return EffectiveMargin(
        value=max(expect.margin, rounding or 1.0), declared=expect.margin, rounding=rounding
    )


def _rounding_ratio(printed: str | None, value: float) -> float | None:
    """Largest ratio between a printed figure and a number that rounds to it."""
    half = rounding_half_width(printed, value) if printed else None
    if half is None:
        return None
    share = float(half) / value
    return 1.0 / (1.0 - share) if share < 1 else 1.0 + share
