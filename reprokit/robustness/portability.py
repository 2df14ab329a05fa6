"""Portability of conditions over regimes (machines): verdicts and count table of TR147, SS5.2."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from reprokit.records import Estimate
from reprokit.robustness.pairs import Pair, all_pairs, largest, no_ratio
from reprokit.robustness.records import Portability
from reprokit.robustness.runs import (
    Fate,
    PointRuns,
    failures,
    fate_of,
    pooled_values,
    processes_of,
    sample_of,
)
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.ratio import unknown
from reprokit.stats.sample import Undefined, as_times

SIMILAR: Final = 1.05
"""Means that differ by less than 5 % are similar (TR147, metric definitions)."""
_METHOD = "largest difference of mean latency over the smaller mean, pooled iterations"
_NO_LATENCY: Final = "no_latency"


def portability_of(
    condition: str,
    metric: str,
    regimes: Mapping[str, PointRuns | None],
    *,
    margin: float = 1.03,
    level: float = 0.95,
) -> Portability:
    """Compare one condition over two or more regimes.

    A regime counts as missing where the condition was not measured, or not well enough to tell
    survival from failure. A condition with any failure counts as a crash: TR147 takes a crash rate
    above 0 as unsafe.

    Args:
        condition: name of the condition.
        metric: of the rows.
        regimes: regime to what was measured there, None where nothing was.
        margin: within this ratio of the baseline the subject counts as neither faster nor slower.
        level: of the intervals.

    Raises:
        ValueError: fewer than two regimes.
    """
    if len(regimes) < 2:
        msg = f"portability needs 2 or more regimes, got {len(regimes)}"
        raise ValueError(msg)
    fates = {
        name: fate_of(runs.subject) if runs else Fate.UNKNOWN for name, runs in regimes.items()
    }
    known = {name: runs for name, runs in regimes.items() if runs and fates[name] != Fate.UNKNOWN}
    alive = {name: runs for name, runs in known.items() if fates[name] is Fate.SURVIVES}
    difference_ = _difference(metric, alive)
    pairs = _pairs(metric, alive, level)
    conclusions = _conclusions(metric, alive, margin, level)
    missing = [name for name in regimes if name not in known]
    verdict = _verdict(missing, len(known), len(alive), conclusions, difference_)
    no_pairs = isinstance(pairs, str)
    return Portability(
        condition=condition,
        verdict=verdict,
        reason=difference_.reason if verdict == _NO_LATENCY else None,
        crash_rates={name: _crash_rate(runs) for name, runs in regimes.items()},
        conclusions=conclusions,
        difference=difference_,
        ratio=no_ratio("regime_ratio", pairs)
        if isinstance(pairs, str)
        else largest("regime_ratio", pairs, level),
        settled=None if no_pairs else _settled([pair for pair in pairs if isinstance(pair, Pair)]),
    )


def count_table(verdicts: Sequence[Portability]) -> dict[str, int]:
    """Count conditions by verdict, the most frequent first; equal counts by name."""
    counts = Counter(each.verdict for each in verdicts)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _verdict(
    missing: Sequence[str],
    known: int,
    alive: int,
    conclusions: Mapping[str, str],
    difference_: Estimate,
) -> str:
    if missing:
        return "missing_" + "_and_".join(missing)
    if alive < known:
        return "crash_one" if alive else "confirmed_crash_both"
    if len(set(conclusions.values())) > 1:
        return "qualitative_flip"
    if difference_.value is None:
        return _NO_LATENCY
    similar = difference_.value < SIMILAR - 1.0
    return "portable_similar_latency" if similar else "portable_latency_shift"


def _crash_rate(runs: PointRuns | None) -> float | None:
    failed, attempted = failures(runs.subject) if runs else (0, 0)
    return failed / attempted if attempted else None


def _difference(metric: str, alive: Mapping[str, PointRuns]) -> Estimate:
    name, unit = "mean_difference", "proportion"
    if len(alive) < 2:
        return unknown(name, unit, _METHOD, f"need >= 2 regimes, got {len(alive)}")
    samples = [as_times(metric, pooled_values(metric, runs.subject)) for runs in alive.values()]
    if any(sample.size == 0 for sample in samples):
        return unknown(name, unit, _METHOD, "no_data")
    means = [float(sample.mean()) for sample in samples]
    if not all(math.isfinite(mean) and mean > 0 for mean in means):
        return unknown(name, unit, _METHOD, "impossible_value")
    n = {"regimes": len(means), "iterations": sum(sample.size for sample in samples)}
    value = max(means) / min(means) - 1.0
    return Estimate(name=name, value=value, unit=unit, method=_METHOD, n=n)


def _pairs(metric: str, alive: Mapping[str, PointRuns], level: float) -> tuple[Pair, ...] | str:
    if len(alive) < 2:
        return f"need >= 2 regimes, got {len(alive)}"
    means: dict[str, LogMean] = {}
    for name, runs in alive.items():
        mean = log_mean(sample_of(metric, runs.subject))
        if isinstance(mean, Undefined):
            return mean.reason
        means[name] = mean
    return all_pairs(means, level)


def _settled(pairs: Sequence[Pair]) -> bool:
    bound = math.log(SIMILAR)
    return max(pair.most for pair in pairs) < bound or max(pair.least for pair in pairs) >= bound


def _conclusions(
    metric: str, alive: Mapping[str, PointRuns], margin: float, level: float
) -> dict[str, str]:
    """Tell where the subject is faster, slower or the same; what is open is left out."""
    found = {}
    bound = math.log(margin)
    for name, runs in alive.items():
        if processes_of(runs.subject) & processes_of(runs.baseline):
            continue
        if fate_of(runs.baseline) is not Fate.SURVIVES:
            continue
        log = difference(
            log_mean(sample_of(metric, runs.subject)), log_mean(sample_of(metric, runs.baseline))
        )
        if isinstance(log, LogMean) and (said := _concluded(*log.interval(level), bound)):
            found[name] = said
    return found


def _concluded(low: float, high: float, bound: float) -> str | None:
    if high < -bound:
        return "faster"
    if low > bound:
        return "slower"
    return "same" if low >= -bound and high <= bound else None
