"""What robustness and portability are told as: classes, bands, reasons and frozen records."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import model_validator

from reprokit.records import Estimate, Record, Scalar

EAGER_DRIFT: Final = "eager_drift"
EAGER_FAILS: Final = "eager_does_not_survive"
EAGER_OPEN: Final = "eager_guard_open"
NO_SURVIVORS: Final = "no_survivors"
PARTIAL: Final = "partial_survival"
POINTS_MISSING: Final = "points_missing"
STRADDLES: Final = "interval_straddles_the_margin"
SHARED: Final = "points_share_processes"
SURVIVAL_DIFFERS: Final = "survival_differs"
SIGN_CHANGES: Final = "speedup_changes_sign"


def too_few_points(got: int) -> str:
    """Say that nothing can be compared, in the words of the published index."""
    return f"need >= 2 stack points, got {got}"


class RobustnessClass(StrEnum):
    """How far a result moves over a set of stack points."""

    ROBUST = "robust"
    SENSITIVE = "sensitive"
    FRAGILE = "fragile"
    CATASTROPHIC = "catastrophic"
    UNRESOLVED = "unresolved"
    INVALID = "invalid"

    @property
    def decided(self) -> bool:
        """False where the rows do not tell; that is never robust."""
        return self not in {RobustnessClass.UNRESOLVED, RobustnessClass.INVALID}


class Bands(Record):
    """Largest ratio of each class; beyond the last is catastrophic. 1.03 stands for 3 %."""

    robust: float = 1.03
    sensitive: float = 1.10
    fragile: float = 1.50

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not (1.0 < self.robust <= self.sensitive <= self.fragile < math.inf):
            msg = "bands must satisfy 1 < robust <= sensitive <= fragile < infinity"
            raise ValueError(msg)
        return self

    @classmethod
    def with_margin(cls, margin: float) -> Bands:
        """Return the default bands around a claim's own margin, a ratio above 1."""
        default = cls()
        sensitive = max(margin, default.sensitive)
        return cls(robust=margin, sensitive=sensitive, fragile=max(sensitive, default.fragile))

    def of(self, log_ratio: float) -> RobustnessClass:
        """Name the class of |log ratio|; a bound belongs to the class under it."""
        size = abs(log_ratio)
        if size <= math.log(self.robust):
            return RobustnessClass.ROBUST
        if size <= math.log(self.sensitive):
            return RobustnessClass.SENSITIVE
        if size <= math.log(self.fragile):
            return RobustnessClass.FRAGILE
        return RobustnessClass.CATASTROPHIC


class PointPair(Record):
    """One comparison of two stack points."""

    points: tuple[str, str]
    estimate: Estimate


class CriD(Record):
    """Compile Reproducibility Index as published; it decides nothing here.

    Attributes:
        index: largest pairwise |Cohen's d| of compiled latency; kept where the eager arm drifts.
        drift: the same of the eager arm over the same points.
        pairs: signed d of every pair, first minus second.
        valid_points: points with at least 2 valid compiled rows.
    """

    robustness: RobustnessClass
    reason: str | None
    index: Estimate
    drift: Estimate
    pairs: tuple[PointPair, ...]
    valid_points: tuple[str, ...]


class Guard(Record):
    """Whether the baseline stays the same over the points.

    `equivalent` is shown by equivalence tests of all pairs, `drift` by an interval beyond the
    margin, `fails` by a point without a surviving baseline; `open` is none of them.
    """

    status: Literal["equivalent", "drift", "fails", "open", "not_measured"]
    reason: str | None = None
    largest: Estimate | None = None
    pairs: tuple[PointPair, ...] = ()


class Cri(Record):
    """Largest ratio of latencies over the points, with a simultaneous interval.

    Attributes:
        robustness: the least that the interval allows; `at_most` is the most that it allows, None
            without an interval.
        index: exp of the largest pairwise |log ratio|.
        pairs: latency ratio of every pair, first over second, simultaneous intervals.
        speedups: subject over baseline time per point, simultaneous intervals; empty without a
            baseline.
        fates: what became of the subject at each point.
    """

    robustness: RobustnessClass
    reason: str | None
    index: Estimate
    at_most: RobustnessClass | None
    pairs: tuple[PointPair, ...]
    guard: Guard
    speedups: dict[str, Estimate]
    fates: dict[str, str]
    bands: Bands


class CellRobustness(Record):
    """Both indices of one cell over one set of stack points.

    Attributes:
        axis: the axis along which the points differ; None for all points of the cell.
        held: setting of the other axes.
    """

    cell: str
    axis: str | None
    held: dict[str, Scalar]
    points: tuple[str, ...]
    cri: Cri
    cri_d: CriD


class Portability(Record):
    """One condition over two or more regimes.

    Attributes:
        verdict: `missing_<regime>`, `confirmed_crash_both` (fails in every regime), `crash_one`
            (in some), `qualitative_flip`, `portable_similar_latency`, `portable_latency_shift`, or
            `no_latency` where survivors have no usable time.
        crash_rates: regime to share of attempted rows that failed; None where nothing was tried.
        difference: largest difference of mean latency over the smaller mean, as published.
        ratio: largest ratio of two regimes with its simultaneous interval over invocations.
        settled: whether that interval lies on one side of 5 %; None where there is no interval.
    """

    condition: str
    verdict: str
    reason: str | None = None
    crash_rates: dict[str, float | None]
    conclusions: dict[str, str]
    difference: Estimate
    ratio: Estimate
    settled: bool | None = None
