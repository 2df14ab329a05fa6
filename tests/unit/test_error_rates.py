"""The simulation behind docs/statistics.md, section 9, in few repeats, and the page beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in [name for name in sys.modules if name.startswith("simulat")]:
        monkeypatch.delitem(sys.modules, name)


def test_pooled_samples_are_wrong_where_processes_differ_and_processes_are_not() -> None:
    import simulated_decisions
    from simulated_noise import NOISES

    differ = next(noise for noise in NOISES if noise.name == "differ")
    rates = simulated_decisions.simulate(differ, 5, repeats=200, seed=1)

    assert rates["processes"].covers_contrast > 0.9
    assert rates["pooled"].covers_contrast < 0.6
    assert rates["processes"].margin < 0.1 < rates["pooled"].margin
    assert rates["processes"].same > 0.95
    assert rates["processes"].slower > 0.95


def test_cri_sees_an_effect_and_calls_equal_points_robust() -> None:
    import simulated_indices
    from simulated_noise import NOISES

    alike = next(noise for noise in NOISES if noise.name == "alike")
    calls = simulated_indices.simulate(alike, 5, repeats=10, seed=1)

    assert calls["cri"].same_robust == 1.0
    assert calls["cri"].same_fragile == 0.0
    assert calls["cri"].slower_robust == 0.0
    assert calls["cri"].slower_fragile == 1.0


def test_the_page_has_a_line_for_every_simulated_setting() -> None:
    import simulate_error_rates as asked
    from simulated_noise import NOISES

    assert asked.DECISION_HEADER in PAGE
    assert asked.INDEX_HEADER in PAGE
    for noise in NOISES:
        for processes in asked.PROCESSES:
            lines = 1 + (processes in asked.INDEX_PROCESSES)
            assert PAGE.count(f"\n| {noise.name} | {processes} | ") == lines
