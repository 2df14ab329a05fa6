"""Means and contrasts on the log scale, with the variance that each sample contributes.

One record serves all the t intervals here: a mean (one sample), a Welch contrast (two samples) and
an equally weighted average over strata (2 x S samples) differ only in their list of parts.
Degrees of freedom: Welch 1947, Satterthwaite 1946.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from scipy import special

from reprokit.stats.sample import (
    NO_DATA,
    TOO_FEW,
    ZERO_VARIANCE,
    ArmSample,
    Undefined,
    has_no_spread,
)


@dataclass(frozen=True)
class Part:
    """Variance that one sample contributes to an estimate, and its degrees of freedom."""

    variance: float
    df: int


@dataclass(frozen=True)
class LogMean:
    """An estimate on the log scale with all that its t interval needs.

    Attributes:
        smallest: invocations of the smallest sample in it.
        invocations: invocations of all samples together.
    """

    value: float
    parts: tuple[Part, ...]
    smallest: int
    invocations: int
    iterations: int

    @property
    def variance(self) -> float:
        """Variance of the estimate."""
        return sum(part.variance for part in self.parts)

    @property
    def df(self) -> float:
        """Degrees of freedom by Welch and Satterthwaite; k - 1 for a single sample."""
        return self.variance**2 / sum(part.variance**2 / part.df for part in self.parts)

    def half_width(self, level: float) -> float:
        """Half of the two-sided t interval at `level`."""
        return t_quantile(0.5 + level / 2, self.df) * math.sqrt(self.variance)

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided t interval at `level`."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    def shifted(self, by: float) -> LogMean:
        """Add a constant."""
        return replace(self, value=self.value + by)

    def negated(self) -> LogMean:
        """Turn a ratio into its reciprocal."""
        return replace(self, value=-self.value)

    def scaled(self, invocations: int) -> LogMean:
        """Return what it would be with `invocations` in the smallest sample, all else as seen.

        Other samples grow in proportion. For planning only.
        """
        factor = invocations / self.smallest
        parts = tuple(
            Part(part.variance / factor, max(1, round((part.df + 1) * factor) - 1))
            for part in self.parts
        )
        return replace(self, parts=parts, smallest=invocations)


def log_mean(sample: ArmSample | Undefined) -> LogMean | Undefined:
    """Average the log invocation means of one sample; t with k - 1 degrees of freedom."""
    if isinstance(sample, Undefined):
        return sample
    if sample.k < 2:
        return Undefined(TOO_FEW)
    if has_no_spread(sample.means):
        return Undefined(ZERO_VARIANCE)
    mean = math.fsum(sample.means) / sample.k
    squares = math.fsum((value - mean) ** 2 for value in sample.means)
    variance = squares / (sample.k - 1)
    part = Part(variance / sample.k, sample.k - 1)
    return LogMean(mean, (part,), sample.k, sample.k, sample.iterations)


def difference(of: LogMean | Undefined, to: LogMean | Undefined) -> LogMean | Undefined:
    """Contrast two independent samples: log(of / to), Welch with Satterthwaite's df."""
    if isinstance(of, Undefined):
        return of
    if isinstance(to, Undefined):
        return to
    return LogMean(
        value=of.value - to.value,
        parts=of.parts + to.parts,
        smallest=min(of.smallest, to.smallest),
        invocations=of.invocations + to.invocations,
        iterations=of.iterations + to.iterations,
    )


def average(
    strata: Sequence[LogMean | Undefined], weights: Sequence[int] | None = None
) -> LogMean | Undefined:
    """Combine independent strata, adding their variances; never pools their samples.

    Weights are equal unless they are given.

    One stratum without an estimate leaves the combination without one: leaving it out would answer
    another question.
    """
    known: list[LogMean] = []
    for stratum in strata:
        if isinstance(stratum, Undefined):
            return stratum
        known.append(stratum)
    if not known:
        return Undefined(NO_DATA)
    given = [1] * len(known) if weights is None else weights
    shares = [weight / sum(given) for weight in given]
    weighted = list(zip(known, shares, strict=True))
    return LogMean(
        value=math.fsum(stratum.value * share for stratum, share in weighted),
        parts=tuple(
            Part(part.variance * share**2, part.df)
            for stratum, share in weighted
            for part in stratum.parts
        ),
        smallest=min(stratum.smallest for stratum in known),
        invocations=sum(stratum.invocations for stratum in known),
        iterations=sum(stratum.iterations for stratum in known),
    )


def t_quantile(probability: float, df: float) -> float:
    """Quantile of Student's t."""
    return float(special.stdtrit(df, probability))


def t_upper_tail(statistic: float, df: float) -> float:
    """P(T > statistic) of Student's t; the tail itself, without cancellation."""
    return float(special.stdtr(df, -statistic))
