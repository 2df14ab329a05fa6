"""Which hardware and stack a run was measured on, and so which runs are repeats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from kept_runs import A100, ADA, gain_case, kept
from scored_case import Case

from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.merging.merge import merge
from reprokit.merging.regimes import regimes_of
from reprokit.records import RowStatus


def _labels(*runs: KeptRun) -> list[str]:
    return [regime.label for regime in regimes_of(runs)]


def test_runs_on_one_kind_of_machine_are_repeats_and_others_are_regimes() -> None:
    case = gain_case()
    assert _labels(kept(case, "a", gpu=ADA), kept(case, "b", gpu=ADA)) == [ADA]
    assert _labels(kept(case, "a", gpu=ADA), kept(case, "b", gpu=A100)) == [ADA, A100]
    assert _labels(kept(case, "a"), kept(case, "b", gpu=A100)) == ["a CPU", A100]


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ({"power_limit_w": 330.0}, "330 W"),
        ({"memory_mib": 40960}, "40 GiB"),
        ({"power_limit_w": None}, "unknown W"),
        ({"mig": True}, "MIG"),
    ],
)
def test_settings_make_regimes_of_one_gpu(seen: dict[str, Any], told: str) -> None:
    labels = _labels(kept(gain_case(), "a", gpu=A100), kept(gain_case(), "b", gpu=A100, **seen))
    assert len(labels) == 2
    assert told in labels[1]


def _on_torch(case: Case, version: str, name: str, **more: Any) -> KeptRun:
    run = kept(case, name, **more)
    ready = {
        point: each.model_copy(
            update={
                "probe": each.probe.model_copy(
                    update={
                        "distributions": tuple(
                            found.model_copy(update={"version": version})
                            for found in each.probe.distributions
                        )
                    }
                )
            }
        )
        for point, each in run.ready.items()
        if each.probe is not None
    }
    return replace(run, ready=ready)


def test_another_installed_stack_is_another_regime_and_is_told() -> None:
    runs = [
        _on_torch(gain_case(), "2.7.1", "a", gpu=A100),
        _on_torch(gain_case(), "2.8.0", "b", gpu=A100),
        _on_torch(gain_case(), "2.7.1", "c", gpu=A100),
    ]
    merged = merge(runs)
    assert [regime.label for regime in merged.regimes] == [
        f"{A100} (torch 2.7.1)",
        f"{A100} (torch 2.8.0)",
    ]
    assert merged.regimes[0].runs == ("a", "c")
    assert {each.package for each in merged.stacks_differ} == {"torch"}
    assert not any("not shown to be the hardware" in note for note in merged.notes)
    other = merge([runs[0], _on_torch(gain_case(), "2.8.0", "d", gpu=ADA)])
    assert any("not shown to be the hardware" in note for note in other.notes)


def test_what_cannot_be_placed_is_refused() -> None:
    run = kept(gain_case(), "a", gpu=A100)
    nameless = replace(
        run, rows=tuple(row.model_copy(update={"gpu": None}) for row in run.rows), ready={}
    )
    mixed = replace(run, rows=(*run.rows[:3], *kept(gain_case(), "b", gpu=ADA).rows[3:]))
    devices = replace(run, rows=(*run.rows[:3], *kept(gain_case(), "b").rows[3:]))
    nothing = kept(gain_case(lambda slot: RowStatus.ENVIRONMENT_FAILED), "c", gpu=A100)
    nothing = replace(
        nothing, rows=tuple(row.model_copy(update={"gpu": None}) for row in nothing.rows)
    )
    for bad, told in (
        (nameless, "neither rows nor probes name"),
        (mixed, "2 kinds of GPU"),
        (devices, "several devices"),
        (nothing, "cannot be told"),
    ):
        with pytest.raises(UsageError, match=told) as error:
            merge([run, bad])
        assert error.value.hint
