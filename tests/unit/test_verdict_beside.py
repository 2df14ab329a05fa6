"""Estimates beside the deciding ones: there, right, labelled, and never part of a decision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scored_case import Case, Slot, broken, steady

from reprokit.records import Arm, Estimate, RowStatus
from reprokit.stats.bootstrap import bootstrap_both, bootstrap_contrast, bootstrap_rate
from reprokit.stats.effect import cohens_d, hedges_g
from reprokit.verdict.beside import beside, published_beside
from reprokit.verdict.records import StratumVerdict

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 10.0}
NAMES = [
    "subject_bootstrap_latency_ms", "baseline_bootstrap_latency_ms", "bootstrap_contrast",
    "cohens_d", "hedges_g", "cliffs_delta", "minimum_detectable_effect",
]  # fmt: skip


def _stratum(case: Case) -> StratumVerdict:
    return case.score().points[0].strata[0]


def _named(stratum: StratumVerdict) -> dict[str, Estimate]:
    return {each.name: each for each in (*stratum.beside, *stratum.published)}


def test_every_cell_has_them() -> None:
    stratum = _stratum(Case(expect=GAIN, behaviour=steady(10.0, 5.0)))
    assert [each.name for each in stratum.beside] == NAMES
    found = _named(stratum)
    deciding = {each.name: each for each in stratum.estimates}
    assert found["bootstrap_contrast"].value == pytest.approx(deciding["contrast"].value)
    assert found["bootstrap_contrast"].n["resamples"] == 1000
    assert found["cohens_d"].n["invocations"] == 10
    assert found["cliffs_delta"].value == 1.0
    assert found["minimum_detectable_effect"].value == pytest.approx(2.0243, abs=1e-3)
    assert abs(found["hedges_g"].value or 0) < abs(found["cohens_d"].value or 0)


def test_the_published_pair_is_pooled_and_labelled() -> None:
    found = _named(_stratum(Case(expect=GAIN, behaviour=steady(10.0, 5.0))))
    assert found["delta_as_published"].value == pytest.approx(-50.0, abs=0.1)
    assert found["cohens_d_as_published"].n["iterations"] == 30
    for name in ("subject_cv_as_published", "baseline_cv_as_published", "welch_p_as_published"):
        assert found[name].value is not None
        assert "as published" in found[name].method


def test_a_value_without_a_baseline_has_its_own_alone() -> None:
    expect = {"kind": "value", "metric": "latency_ms", "value": 5.0, "unit": "ms"}
    case = Case(expect=expect, behaviour=steady(10.0, 5.0), arms={Arm.SUBJECT: "compiled"})
    stratum = _stratum(case)
    assert [each.name for each in stratum.beside] == NAMES[:1]
    assert "welch_p_as_published" not in _named(stratum)


def test_what_crashes_everywhere_has_reasons() -> None:
    def dead(slot: Slot) -> bool:
        return slot.arm is Arm.SUBJECT

    case = Case(expect=GAIN, behaviour=broken(dead, RowStatus.CRASH, steady(10.0, 5.0)))
    found = _named(_stratum(case))
    for name in (*NAMES[:1], *NAMES[2:], "delta_as_published"):
        assert (found[name].value, found[name].reason) == (None, "no_data")
    assert found["baseline_bootstrap_latency_ms"].value is not None


def test_impossible_values_are_never_used() -> None:
    values = {Arm.SUBJECT: [[1.0, math.nan], [1.1, 1.2]], Arm.BASELINE: [[2.0, 2.1], [2.2, 2.3]]}
    found = {each.name: each for each in beside("latency_ms", values, 0.95)}
    for name in (NAMES[0], *NAMES[2:6]):
        assert (found[name].value, found[name].reason) == (None, "impossible_value")
    pooled = {arm: np.ravel(each) for arm, each in values.items()}
    published = {each.name: each for each in published_beside(pooled)}
    assert published["subject_cv_as_published"].reason == "impossible_value"
    assert published["baseline_cv_as_published"].value is not None


def test_effects_are_of_mean_times() -> None:
    values = {Arm.SUBJECT: [[100.0], [110.0, 90.0]], Arm.BASELINE: [[50.0], [40.0]]}
    found = {each.name: each for each in beside("tokps", values, 0.95)}
    fast = np.array([1 / 100, (1 / 110 + 1 / 90) / 2])
    slow = np.array([1 / 50, 1 / 40])
    assert found["cohens_d"].value == pytest.approx(cohens_d(slow, fast).value)
    assert found["hedges_g"].value == pytest.approx(hedges_g(slow, fast).value)


def test_both_at_once_are_the_same_as_one_by_one() -> None:
    generator = np.random.default_rng(7)
    arms = [
        [generator.lognormal(2.0, 0.02, size).tolist() for size in sizes]
        for sizes in ((4, 4, 4), (3, 5, 2, 4))
    ]
    together = bootstrap_both("tokps", arms[0], arms[1])
    alone = (
        bootstrap_rate("tokps", arms[0]),
        bootstrap_rate("tokps", arms[1]),
        bootstrap_contrast("tokps", arms[0], arms[1]),
    )
    assert together == alone


def test_they_decide_nothing() -> None:
    # One invocation an arm: nothing can be decided, whatever pooled iterations say.
    verdict = Case(expect=GAIN, behaviour=steady(10.0, 5.0), invocations=1, samples=12).score()
    assert verdict.outcome == "insufficient"
    found = _named(verdict.points[0].strata[0])
    assert found["welch_p_as_published"].value is not None
    assert found["cohens_d"].reason == "too_few_invocations"
