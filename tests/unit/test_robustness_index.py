"""`cri`: simultaneous intervals, classes, survival, the eager guard, sets of points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robustness_rows import launches, point_of, points_of
from scipy import stats

from reprokit.records import Arm, RowStatus
from reprokit.robustness.cells import robustness_of
from reprokit.robustness.index import cri, worst
from reprokit.robustness.pairs import range_quantile
from reprokit.robustness.records import Bands, RobustnessClass
from reprokit.robustness.runs import PointRuns, point_runs

METRIC = "latency_ms"
NOISE = (0.998, 1.001, 1.0, 0.999, 1.002)
STEADY = tuple(10.0 * each for each in NOISE)


def _times(level: float) -> list[float]:
    return [level * each for each in NOISE]


@pytest.mark.parametrize("df", [1.0, 1.7, 4.25, 8.0, 60.0, 900.0])
@pytest.mark.parametrize("groups", [2, 3, 6, 12])
def test_the_quantile_is_that_of_scipy(groups: int, df: float) -> None:
    oracle = stats.studentized_range.ppf(0.95, groups, df)
    assert range_quantile(0.95, groups, df) == pytest.approx(oracle, rel=2e-3)


def test_two_points_are_welchs_t() -> None:
    one, other = _times(10.0), [11.1, 11.3, 11.0]
    found = cri(METRIC, points_of({"a": one, "b": other}))
    logs = [math.log(each) for each in one], [math.log(each) for each in other]
    oracle = stats.ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    pair = found.pairs[0].estimate
    assert pair.low == pytest.approx(math.exp(oracle.low))
    assert pair.high == pytest.approx(math.exp(oracle.high))
    assert found.index.value == pytest.approx(math.exp(abs(sum(logs[0]) / 5 - sum(logs[1]) / 3)))


@pytest.mark.parametrize(
    ("factor", "robustness"),
    [(1.0, "robust"), (1.07, "sensitive"), (1.3, "fragile"), (2.0, "catastrophic")],
)
def test_classes_by_ratio(factor: float, robustness: str) -> None:
    points = [
        point_of("a", STEADY, STEADY), point_of("b", _times(10.0 * factor), STEADY),
        point_of("c", STEADY, STEADY),
    ]  # fmt: skip
    found = cri(METRIC, points)
    assert found.robustness == robustness
    assert found.guard.status == "equivalent"
    assert found.index.low is not None
    assert found.index.high is not None
    assert found.index.value == pytest.approx(factor, abs=0.002)
    assert found.index.low <= factor + 0.002 <= found.index.high + 0.002


def test_noise_is_not_robust() -> None:
    noisy = [9.0, 11.0, 10.0]
    found = cri(METRIC, points_of({"a": noisy, "b": noisy[::-1]}))
    assert (found.robustness, found.reason) == ("unresolved", "interval_straddles_the_margin")


def test_a_change_of_sign_is_fragile() -> None:
    points = [point_of("a", _times(9.6), STEADY), point_of("b", _times(10.3), STEADY)]
    found = cri(METRIC, points)
    assert (found.robustness, found.reason) == ("fragile", "speedup_changes_sign")
    same_side = [point_of("a", _times(9.0), STEADY), point_of("b", _times(9.7), STEADY)]
    assert cri(METRIC, same_side).robustness == "sensitive"


@pytest.mark.parametrize(
    "status", [RowStatus.CRASH, RowStatus.OOM, RowStatus.SILENT_FALLBACK, RowStatus.FALL_THROUGH]
)
def test_a_crash_never_looks_robust(status: RowStatus) -> None:
    points = [*points_of({"a": STEADY, "b": STEADY}), point_of("c", failed=3, status=status)]
    found = cri(METRIC, points)
    assert (found.robustness, found.reason) == ("catastrophic", "survival_differs")
    assert found.fates["c"] == "fails"


def test_drift_does_not_hide_a_crash() -> None:
    points = [point_of("a", STEADY, STEADY), point_of("b", (), _times(15.0), failed=3)]
    assert cri(METRIC, points).robustness == "catastrophic"


@pytest.mark.parametrize(
    ("points", "robustness", "reason"),
    [
        ([], "invalid", "need >= 2 stack points, got 0"),
        (points_of({"a": STEADY}), "invalid", "need >= 2 stack points, got 1"),
        ([point_of("a", failed=3), point_of("b", failed=3)], "invalid", "no_survivors"),
        ([*points_of({"a": STEADY}), point_of("b", failed=1)], "unresolved", "too_few_invocations"),
        (
            [*points_of({"a": STEADY}), point_of("b", STEADY, failed=1)],
            "unresolved", "partial_survival",
        ),
        ([point_of("a", STEADY, failed=1), point_of("b", failed=3)], "unresolved",
         "partial_survival"),
        (
            [*points_of({"a": STEADY, "b": STEADY}),
             point_of("c", failed=3, status=RowStatus.ENVIRONMENT_FAILED)],
            "unresolved", "points_missing",
        ),
        (
            [*points_of({"a": STEADY}), point_of("b", STEADY, failed=1,
                                                 status=RowStatus.CONTAMINATED)],
            "invalid", "need >= 2 stack points, got 1",
        ),
        (points_of({"a": [10.0], "b": [10.0]}), "unresolved", "too_few_invocations"),
        (points_of({"a": [10.0] * 5, "b": STEADY}), "unresolved", "zero_variance"),
        (points_of({"a": [10.0, math.nan], "b": STEADY}), "unresolved", "impossible_value"),
        (points_of({"a": [10.0, math.inf], "b": STEADY}), "unresolved", "impossible_value"),
        (
            [point_of("a", STEADY, STEADY), point_of("b", STEADY, _times(11.0))],
            "invalid", "eager_drift",
        ),
        (
            [point_of("a", STEADY, STEADY), point_of("b", STEADY, [9.0, 11.0, 10.0])],
            "unresolved", "eager_guard_open",
        ),
        (
            [point_of("a", STEADY, STEADY), point_of("b", STEADY)],
            "unresolved", "eager_guard_open",
        ),
        (
            [point_of("a", STEADY, STEADY), point_of("b", failed=3, baseline_failed=3)],
            "invalid", "eager_does_not_survive",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_told_has_a_reason(
    points: list[PointRuns], robustness: str, reason: str
) -> None:
    found = cri(METRIC, points)
    assert (found.robustness, found.reason) == (robustness, reason)


def test_processes_are_the_unit() -> None:
    rows = [row for launch in launches(STEADY) for row in launch.rows]
    other = [row for launch in launches(_times(10.01), point="q") for row in launch.rows]
    apart = point_runs([*rows, *other], cell="c")
    assert cri(METRIC, apart).robustness == "robust"
    one = {row.id.rpartition("__")[0]: row.point for row in [*rows, *other]}
    shared = point_runs([*rows, *other], cell="c", processes=one)
    assert cri(METRIC, shared).reason == "too_few_invocations"
    across = dict.fromkeys(one, "everything")
    assert cri(METRIC, point_runs([*rows, *other], cell="c", processes=across)).reason == (
        "points_share_processes"
    )


def test_missing_rows_and_other_cells() -> None:
    rows = [row for name in "pq" for launch in launches(STEADY, point=name) for row in launch.rows]
    other = [row for launch in launches(_times(20.0), cell="d") for row in launch.rows]
    shared = [row for launch in launches(STEADY, cell="d", arm=Arm.BASELINE) for row in launch.rows]
    points = point_runs([*rows, *other, *shared], cell="c", baseline_cell="d", iterations=3)
    assert [len(point.baseline) for point in points] == [5, 0]
    assert cri(METRIC, points).index.value == pytest.approx(1.0)
    assert cri(METRIC, point_runs(rows, cell="c", iterations=4)).reason == (
        "need >= 2 stack points, got 0"
    )


def test_axes_are_compared_with_the_others_held() -> None:
    points = points_of({"a1": STEADY, "b1": STEADY, "a2": _times(20.0), "b2": _times(20.1)})
    positions = {
        name: {"triton": name[0], "sha": "pinned" if name[1] == "1" else "HEAD"}
        for name in ("a1", "b1", "a2", "b2")
    }
    cells = {"c": points}
    triton = robustness_of(METRIC, cells, positions, "triton")
    assert [each.points for each in triton] == [("a1", "b1"), ("a2", "b2")]
    assert [each.cri.robustness for each in triton] == ["robust", "robust"]
    sha = robustness_of(METRIC, cells, positions, "sha")
    assert {each.cri.robustness for each in sha} == {RobustnessClass.CATASTROPHIC}
    assert robustness_of(METRIC, cells, positions)[0].cri.robustness == "catastrophic"
    assert robustness_of(METRIC, cells, positions, "python") == ()


def test_the_worst_of_several_cells() -> None:
    c = RobustnessClass
    assert worst([c.ROBUST, c.SENSITIVE, c.UNRESOLVED]) is c.SENSITIVE
    assert worst([c.ROBUST, c.UNRESOLVED]) is c.UNRESOLVED
    assert worst([c.ROBUST, c.INVALID]) is c.INVALID
    assert worst([c.ROBUST, c.ROBUST]) is c.ROBUST
    assert worst([]) is c.INVALID


def test_bands_follow_the_margin() -> None:
    assert Bands.with_margin(1.2).of(math.log(1.19)) is RobustnessClass.ROBUST
    assert Bands.with_margin(1.01).of(math.log(1.02)) is RobustnessClass.SENSITIVE
    with pytest.raises(ValueError, match="bands must satisfy"):
        Bands(robust=1.2)


def test_names_must_differ() -> None:
    with pytest.raises(ValueError, match="different names"):
        cri(METRIC, [point_of("a", STEADY), point_of("a", STEADY)])


arm = st.lists(st.floats(5.0, 20.0), min_size=2, max_size=5, unique=True)


@settings(max_examples=40)
@given(arm, arm, arm, st.floats(0.01, 100.0))
def test_symmetric_free_of_scale_and_never_lowered_by_a_point(
    one: list[float], two: list[float], three: list[float], by: float
) -> None:
    found = cri(METRIC, points_of({"a": one, "b": two, "c": three}))
    mirrored = cri(METRIC, points_of({"c": three[::-1], "a": one[::-1], "b": two[::-1]}))
    scaled = cri(
        METRIC,
        points_of({n: [by * v for v in a] for n, a in zip("abc", (one, two, three), strict=True)}),
    )
    fewer = cri(METRIC, points_of({"a": one, "b": two}))
    if found.index.value is None or scaled.index.value is None or fewer.index.value is None:
        assert "zero_variance" in {found.reason, scaled.reason, fewer.reason}
        return
    for other in (mirrored, scaled):
        assert other.index.value == pytest.approx(found.index.value, rel=1e-6)
        assert other.index.low == pytest.approx(found.index.low, rel=1e-5)
    assert found.index.value >= fewer.index.value * (1 - 1e-12)
    assert found.index.low is not None
    assert found.index.low <= found.index.value
