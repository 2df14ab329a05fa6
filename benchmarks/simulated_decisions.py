"""Decisions of simulated claims, by reprokit's own rules, and how often they are wrong.

Both units of replication go through the same code; only what counts as a sample differs: the
process, or every iteration as if it had been a process of its own (pooled samples).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from simulated_noise import LATENCY_MS, NOISES, Noise

from reprokit.claim.model import Conclusion, ExpectEquivalence, ExpectValue
from reprokit.records import Arm
from reprokit.stats.logmean import LogMean, difference, log_mean
from reprokit.stats.rates import clustered_crash_rate, crash_rate, survival
from reprokit.stats.sample import ArmSample, FloatArray, Undefined, arm_sample
from reprokit.verdict.decide import decide
from reprokit.verdict.figures import Figures
from reprokit.verdict.outcome import Outcome
from reprokit.verdict.records import Survival

MARGIN, LEVEL = 1.03, 0.95
SLOWER = 1.10
_METRIC = "latency_ms"
_EQUIVALENCE = ExpectEquivalence(kind="equivalence", metric=_METRIC, margin=MARGIN)
_WRONG = (Outcome.FALLS_SHORT, Outcome.EXCEEDS)


@dataclass(frozen=True)
class Rates:
    """Shares of simulated claims, for one unit of replication.

    Attributes:
        covers_contrast: 95 % intervals of the contrast that hold the truth.
        covers_value: the same of the ratio to a published figure.
        same: A/A claims that are `reproduced`.
        same_wrong: A/A claims that `falls_short` or `exceeds`.
        margin: equivalence claims `reproduced` although the truth lies on the margin.
        margin_value: value claims, the same.
        slower: claims of equivalence that `falls_short` where the subject is 10 % slower.
    """

    covers_contrast: float
    covers_value: float
    same: float
    same_wrong: float
    margin: float
    margin_value: float
    slower: float


def simulate(noise: Noise, processes: int, repeats: int, seed: int) -> dict[str, Rates]:
    """Decide claims about two arms that were drawn alike, and shifted by a known factor."""
    generator = np.random.default_rng([seed, NOISES.index(noise), processes])
    subjects, baselines = (noise.draw(generator, repeats, processes) for _ in range(2))
    counts: dict[str, Counter[str]] = {"processes": Counter(), "pooled": Counter()}
    truth = true_log_mean(noise)
    for subject, baseline in zip(subjects, baselines, strict=True):
        for unit, count in counts.items():
            arms = [_log_mean(unit, arm) for arm in (subject, baseline)]
            _count(count, arms[0], arms[1], truth, _survivals(processes))
    return {
        unit: Rates(**{name: count[name] / repeats for name in Rates.__dataclass_fields__})
        for unit, count in counts.items()
    }


@lru_cache(maxsize=8)
def true_log_mean(noise: Noise) -> float:
    """Ask once."""
    return noise.true_log_mean()


def _log_mean(unit: str, arm: FloatArray) -> LogMean:
    sample: ArmSample | Undefined
    if unit == "processes":
        sample = arm_sample(_METRIC, list(arm))
    else:
        sample = ArmSample(tuple(np.log(arm.ravel()).tolist()), arm.size)
    found = log_mean(sample)
    assert isinstance(found, LogMean)
    return found


def _count(
    count: Counter[str], subject: LogMean, baseline: LogMean, truth: float,
    survivals: dict[Arm, Survival],
) -> None:  # fmt: skip
    rho = difference(subject, baseline)
    assert isinstance(rho, LogMean)
    count["covers_contrast"] += abs(rho.value) <= rho.half_width(LEVEL)
    count["covers_value"] += abs(subject.value - truth) <= subject.half_width(LEVEL)

    def outcome(expect: Conclusion, factor: float) -> Outcome:
        shifted = subject.shifted(math.log(factor))
        arms: dict[Arm, LogMean | Undefined] = {Arm.SUBJECT: shifted, Arm.BASELINE: baseline}
        figures = Figures(arms, difference(shifted, baseline), (), ())
        decided = decide(expect, figures, survivals, margin=MARGIN, level=LEVEL)
        return decided.decision.outcome

    same = outcome(_EQUIVALENCE, 1.0)
    count["same"] += same is Outcome.REPRODUCED
    count["same_wrong"] += same in _WRONG
    count["margin"] += outcome(_EQUIVALENCE, MARGIN) is Outcome.REPRODUCED
    count["slower"] += outcome(_EQUIVALENCE, SLOWER) is Outcome.FALLS_SHORT
    value = _value_claim(truth)
    count["margin_value"] += outcome(value, MARGIN) is Outcome.REPRODUCED


@lru_cache(maxsize=8)
def _value_claim(truth: float) -> ExpectValue:
    """Claim the true latency."""
    assert abs(truth - math.log(LATENCY_MS)) < 0.01
    return ExpectValue(
        kind="value", metric=_METRIC, value=math.exp(truth), unit="ms", margin=MARGIN
    )


@lru_cache(maxsize=16)
def _survivals(processes: int) -> dict[Arm, Survival]:
    """Both arms with every process complete."""
    return {
        arm: Survival(
            arm=arm, planned=processes, attempted=processes, complete=processes, partial=0,
            statuses={}, cold=0, rate=survival(processes, processes, LEVEL),
            crash_rate=clustered_crash_rate([(0, 1)] * processes, LEVEL),
            crash_rate_as_published=crash_rate(0, processes, LEVEL),
        )
        for arm in Arm
    }  # fmt: skip
