"""Portability verdicts and TR147's count table (SS5.2)."""

from __future__ import annotations

import pytest
from robustness_rows import point_of

from reprokit.records import RowStatus
from reprokit.robustness.portability import count_table, portability_of
from reprokit.robustness.records import Portability
from reprokit.robustness.runs import PointRuns

NOISE = (0.999, 1.0, 1.001)


def _runs(level: float, baseline: float | None = None) -> PointRuns:
    against = [] if baseline is None else [baseline * each for each in NOISE]
    return point_of("p", [level * each for each in NOISE], against)


def _verdict(**regimes: PointRuns | None) -> Portability:
    return portability_of("c", "latency_ms", regimes)


CRASH = point_of("p", failed=3)


def test_the_count_table_of_tr147() -> None:
    found = [
        *(_verdict(ada=_runs(10.0 + index), a100=None) for index in range(70)),
        *(_verdict(ada=None, a100=_runs(10.0 + index)) for index in range(8)),
        *(_verdict(ada=_runs(10.0), a100=_runs(11.0 + index)) for index in range(8)),
        *(_verdict(ada=CRASH, a100=CRASH) for _ in range(7)),
        _verdict(ada=_runs(10.0), a100=_runs(10.2)),
    ]
    assert len(found) == 94
    assert count_table(found) == {
        "missing_a100": 70,
        "missing_ada": 8,
        "portable_latency_shift": 8,
        "confirmed_crash_both": 7,
        "portable_similar_latency": 1,
    }


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        (_runs(10.4), "portable_similar_latency"),
        (_runs(10.6), "portable_latency_shift"),
        (CRASH, "crash_one"),
        (point_of("p", [10.0, 10.1], failed=1), "crash_one"),
        (point_of("p", failed=3, status=RowStatus.ENVIRONMENT_FAILED), "missing_a100"),
        (point_of("p"), "missing_a100"),
        (point_of("p", [float("nan")] * 2), "no_latency"),
    ],
)
def test_two_regimes(other: PointRuns, verdict: str) -> None:
    for regimes in ({"ada": _runs(10.0), "a100": other}, {"a100": other, "ada": _runs(10.0)}):
        assert portability_of("c", "latency_ms", regimes).verdict == verdict


def test_the_conclusion_flips() -> None:
    found = _verdict(ada=_runs(5.0, 10.0), a100=_runs(10.1, 9.0))
    assert found.verdict == "qualitative_flip"
    assert found.conclusions == {"ada": "faster", "a100": "slower"}
    assert _verdict(ada=_runs(5.0, 10.0), a100=_runs(9.0, 12.0)).verdict == (
        "portable_latency_shift"
    )


def test_three_regimes() -> None:
    assert _verdict(a=_runs(10.0), b=_runs(10.1), c=CRASH).verdict == "crash_one"
    assert _verdict(a=CRASH, b=CRASH, c=CRASH).verdict == "confirmed_crash_both"
    assert _verdict(a=_runs(10.0), b=_runs(10.2), c=_runs(10.6)).verdict == (
        "portable_latency_shift"
    )
    assert _verdict(a=_runs(10.0), b=None, c=None).verdict == "missing_b_and_c"


def test_the_interval_says_whether_five_percent_is_settled() -> None:
    assert _verdict(a=_runs(10.0), b=_runs(12.0)).settled is True
    wide = point_of("p", [9.0, 10.0, 11.5])
    assert _verdict(a=_runs(10.0), b=wide).settled is False
    once = _verdict(a=_runs(10.0), b=point_of("p", [10.1]))
    assert once.settled is None
    assert once.ratio.reason == "too_few_invocations"


def test_crash_rates_are_told() -> None:
    rates = _verdict(a=point_of("p", [10.0], failed=4), b=CRASH, c=None).crash_rates
    assert rates == {"a": 0.8, "b": 1.0, "c": None}


def test_one_regime_is_no_portability() -> None:
    with pytest.raises(ValueError, match="2 or more regimes"):
        _verdict(a=_runs(1.0))
