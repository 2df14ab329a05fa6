"""What a verdict keeps of how much each axis explains."""

from __future__ import annotations

from reprokit.records import Record
from reprokit.stats.variance import VarianceShares


class AxisVariance(Record):
    """Shares of the variance of the points' log ratios; they decide nothing.

    Attributes:
        of: the estimate whose logarithm is decomposed: `contrast`, or `ratio_to_claim` for a claim
            about a value; None where the claim is about no ratio.
        missing: points without a log ratio that may be compared, each with the reason.
        shares: None where there is nothing to decompose; `reason` says why.
    """

    of: str | None
    missing: tuple[str, ...] = ()
    shares: VarianceShares | None = None
    reason: str | None = None
