"""Decisions about compilation that rest on CUDA graphs, limits and uncompiled work; the profile."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import compile_counters
import compile_dump
import pytest
from compile_proof import COMPILED, FELL_BACK, PARTLY, UNKNOWN, Observation, decide
from profile_reading import Event, Profile, looked_at, read_profile

RAN = Observation(
    steps=8, device="cuda", graphs_asked=True, graph_calls=8, graphs={"fa": 8}, graph_launches=8,
    generated={"triton_poi": 8}, share=0.95, unique_graphs=1, frames=(1, 1),
)  # fmt: skip


def test_replayed_graphs_are_compiled_and_the_reason_counts_them() -> None:
    decision, reason = decide(RAN)
    assert decision == COMPILED
    assert "8 launches of CUDA graphs" in reason
    # marks may be missing under replay, and partitions launch several graphs a step
    assert decide(replace(RAN, graph_calls=0, graph_launches=24))[0] == COMPILED


@pytest.mark.parametrize(
    ("changes", "decision", "told"),
    [
        ({"problem": "the profiler did not start"}, UNKNOWN, "did not start"),
        ({"skips": 1, "skip_reasons": ("mutated inputs",)}, PARTLY, "mutated inputs"),
        ({"graph_launches": 7}, PARTLY, "7 launches"),
        ({"graph_launches": 0}, PARTLY, "torch tells no reason"),
        ({"generated": {}}, UNKNOWN, "no generated kernel"),
        ({"failures": ("CppError",)}, PARTLY, "a compilation failed (CppError)"),
        ({"frames": (9, 8)}, PARTLY, "8 of 9 frames were compiled"),
        ({"graph_calls": 7, "graph_launches": 7}, PARTLY, "7 calls of compiled graphs in 8"),
        ({"limits_hit": ("recompile_limit reached",)}, PARTLY, "recompile_limit"),
        ({"share": 0.3, "outside_us": {"gemm": 5.0, "x": 1.0}}, PARTLY, "gemm"),
        ({"share": 0.9, "products": {"aten::mm": 2}}, PARTLY, "2 x aten::mm"),
        ({"graph_calls": 0, "graph_launches": 0}, UNKNOWN, "does not mark"),
        ({"compiled_in_window": {"cudagraph_recordings": 1}}, PARTLY, "cudagraph_recordings"),
        ({"switches": ("the stance is eager_on_recompile",)}, PARTLY, "eager_on_recompile"),
    ],
)
def test_what_lowers_a_decision_is_named(changes: Any, decision: str, told: str) -> None:
    found, reason = decide(replace(RAN, **changes))
    assert found == decision
    assert told in reason


def test_a_cpu_has_no_cuda_graphs_and_the_reason_says_so() -> None:
    seen = replace(RAN, device="cpu", graph_launches=0, generated={}, skips=1)
    decision, reason = decide(seen)
    assert decision == COMPILED
    assert "no CUDA graphs on a CPU" in reason


def test_a_fallback_names_the_switch_that_caused_it() -> None:
    seen = Observation(steps=1, device="cpu", switches=("TORCH_COMPILE_DISABLE=1",))
    assert decide(seen)[0] == FELL_BACK
    assert "TORCH_COMPILE_DISABLE=1" in decide(seen)[1]


def test_facts_stay_small_whatever_torch_says() -> None:
    long = {f"reason {index} " + "x" * 10_000: index for index in range(1000)}
    facts = replace(RAN, break_reasons=long, recompiles={"f": ["y" * 10_000] * 1000}).facts()
    assert len(json.dumps(facts)) < 40_000
    assert facts["recompilations"] == 1000


MARK = Event("## Call CompiledFxGraph fkey ##", total_us=80.0, kernels=(("gemm", 30.0),))
DEVICE_MARK = replace(MARK, on_device=True, annotation=True, kernels=(), total_us=80.0)


def test_device_time_is_split_by_who_launched_it() -> None:
    profile = read_profile(
        [
            MARK,
            Event("cudaGraphLaunch", parent=0, kernels=(("inside", 20.0),)),
            Event("aten::mm", kernels=(("gemm", 10.0),)),
            DEVICE_MARK,
            Event("gemm", on_device=True, total_us=30.0),
            Event("gemm", on_device=True, total_us=10.0),
            Event("inside", on_device=True, total_us=20.0),
            Event("triton_poi_fused", on_device=True, total_us=40.0),
        ]
    )
    assert profile.graphs == {"fkey": 1}, "the device's copy of a mark is no second call"
    assert profile.launches == 1
    assert profile.kernels == {"gemm": 2, "inside": 1, "triton_poi_fused": 1}
    assert profile.outside_us == {"gemm": pytest.approx(10.0)}
    assert profile.share == pytest.approx(0.9)


def test_host_time_of_operations_outside_graphs_is_uncompiled_work() -> None:
    profile = read_profile(
        [
            Event("Torch-Compiled Region: 0/0", total_us=500.0, self_us=420.0),
            replace(MARK, parent=0, kernels=()),
            Event("aten::mm", parent=1, total_us=50.0, self_us=50.0),
            Event("aten::argmax", total_us=20.0, self_us=20.0),
        ]
    )
    assert profile.share == pytest.approx(0.8)
    assert profile.outside_us == {"aten::argmax": 20.0}


def test_a_product_outside_of_graphs_is_a_part_that_was_not_compiled() -> None:
    mark = Event("## Call CompiledFxGraph fkey ##", total_us=900.0)
    events = [mark, Event("aten::addmm", parent=0, total_us=800.0), Event("aten::argmax")]
    assert read_profile(events).products == {}
    assert read_profile([*events, Event("aten::mm", total_us=9.0)]).products == {"aten::mm": 1}


def test_what_the_device_shows_of_a_host_s_work_is_not_counted_again() -> None:
    """A device's own lane repeats names of operations, and of launches, as stretches of time."""
    profile = read_profile(
        [
            MARK,
            Event("aten::mm", on_device=True, total_us=3.0),
            Event("cudaGraphLaunch", on_device=True, annotation=True, total_us=3.0),
        ]
    )
    assert profile.products == {}
    assert profile.launches == 0


def test_nothing_that_ran_is_no_share() -> None:
    assert read_profile([]).share is None


def entry(identity: str, **more: object) -> dict[str, object]:
    return {"compile_id": identity, "co_name": "f", "co_filename": "a.py", **more}


def test_recompilations_are_told_by_function() -> None:
    failed = {"compile_id": "0/2", "recompile_reason": "rank"}
    found = compile_counters.recompiles(
        [entry("0/0", co_firstlineno=3), entry("0/1", recompile_reason="size"), failed]
    )
    assert found == {"f (a.py:3)": ["size", "rank"]}


@pytest.mark.parametrize(
    "said", ["FailOnRecompileLimitHit", "CacheLimitExceeded", "cache_size_limit reached"]
)
def test_every_release_s_name_of_the_limit_is_known(said: str) -> None:
    assert compile_counters.limits_hit([entry("0/8", fail_type=said)], logged=())
    assert not compile_counters.limits_hit([entry("0/8", fail_type="CppCompileError")], logged=())


def test_compilations_are_seen_although_old_ones_are_dropped() -> None:
    before = ({"graph_breaks": 0}, frozenset({1, 2}))
    after = ({"graph_breaks": 0}, frozenset({2, 3}))
    assert compile_counters.moved(before, after) == {"compilations": 1}
    assert compile_counters.moved(after, after) == {}


def test_a_dump_that_is_too_large_names_what_it_left_out() -> None:
    record = {"small": 1, "large": "x" * 5000, "larger": "x" * 9000}
    found = json.loads(compile_dump.bounded(record, 1000))
    assert found == {"small": 1, "left_out": ["larger", "large"]}
    assert json.loads(compile_dump.bounded(record, 100_000)) == record


def test_a_dump_is_plain_json() -> None:
    values = {"a": {3, 1}, "b": (1.5, math.nan), "c": object, 4: None}
    found = json.loads(json.dumps(compile_dump.plain(values), allow_nan=False))
    assert found["a"] == [1, 3]
    assert found["b"] == [1.5, "nan"]


def test_variables_that_may_hold_a_secret_are_not_dumped() -> None:
    found = compile_dump._environment(
        {"TORCH_LOGS": "x", "TORCHINDUCTOR_TOKEN": "s", "HOME": "h", "TRITON_CACHE_DIR": "c"}
    )
    assert found == {"TORCH_LOGS": "x", "TRITON_CACHE_DIR": "c"}


@pytest.mark.parametrize(
    ("profiles", "told", "looks"),
    [
        ([Profile(share=0.9)], 0.9, 1),
        ([Profile(share=0.2), Profile(share=0.8)], 0.8, 2),
        ([Profile(share=0.2), Profile(share=0.1), Profile(share=0.3)], 0.3, 3),
        ([Profile(share=0.2, products={"aten::mm": 1})], 0.2, 1),
        ([Profile(share=0.2), Profile(share=0.1, products={"aten::mm": 1})], 0.1, 2),
        ([Profile(share=None)], None, 1),
    ],
)
def test_times_alone_are_looked_at_again(
    profiles: list[Profile], told: float | None, looks: int
) -> None:
    left = iter(profiles)
    made: list[Profile] = []

    def look() -> tuple[Profile, None]:
        made.append(next(left))
        return made[-1], None

    seen, problem = looked_at(look, least_share=0.5)
    assert (seen.share, problem, len(made)) == (told, None, looks)


def test_a_profiler_that_fails_the_second_time_leaves_nothing_proved() -> None:
    answers = iter([(Profile(share=0.2), None), (Profile(), "it failed")])
    assert looked_at(lambda: next(answers), least_share=0.5)[1] == "it failed"
