"""What the trace of one sample proves, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gpt_fast_files import decode_trace, event, write_trace

from adapters.gpt_fast import chrome_trace
from adapters.gpt_fast.chrome_trace import decide, read_trace
from reprokit.records import CompileDecision

STEPS = 31


def verdict(path: Path, *, device: str = "cpu", steps: int = STEPS) -> CompileDecision:
    return decide(read_trace(path), steps=steps, device=device).decision


def kernels(name: str, count: int) -> list[dict[str, object]]:
    return [event(name, 5000 + index, cat="kernel") for index in range(count)]


def test_a_compiled_graph_in_every_decode_step_is_proof_on_a_cpu(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(STEPS))
    trace = read_trace(path)
    assert trace.graph_calls == {"frame 2": STEPS, "frame 0": 2}
    assert trace.size == path.stat().st_size
    assert verdict(path) is CompileDecision.COMPILED


def test_graphs_of_one_frame_count_together_when_it_was_compiled_twice(tmp_path: Path) -> None:
    events = decode_trace(STEPS)
    for index, item in enumerate(events[4:]):
        if index < 9:
            item["name"] = str(item["name"]).replace("2/0", "2/1").replace("fdecode", "fother")
    assert verdict(write_trace(tmp_path / "t.json", events)) is CompileDecision.COMPILED


def test_what_runs_outside_the_decode_loop_is_not_proof(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(0, outside=2))
    assert verdict(path) is CompileDecision.FELL_BACK


def test_some_steps_are_partly(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(STEPS - 1))
    assert verdict(path) is CompileDecision.PARTLY


def test_regions_that_call_no_graph_are_not_proof(tmp_path: Path) -> None:
    events = [event("Torch-Compiled Region: 1/0", 10 * at, 5) for at in range(200)]
    assert verdict(write_trace(tmp_path / "t.json", events)) is CompileDecision.UNKNOWN


def test_a_name_that_only_contains_the_mark_is_not_the_mark(tmp_path: Path) -> None:
    events = [event("my ## Call CompiledFxGraph f ## op", at) for at in range(100)]
    assert verdict(write_trace(tmp_path / "t.json", events)) is CompileDecision.UNKNOWN


def test_generated_kernels_in_every_step_are_proof_on_a_gpu(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", kernels("triton_poi_fused_0", STEPS))
    assert verdict(path, device="cuda") is CompileDecision.COMPILED


def test_graph_launches_are_proof_only_with_generated_kernels(tmp_path: Path) -> None:
    launches = [event("cudaGraphLaunch", at, cat="cuda_runtime") for at in range(STEPS)]
    alone = write_trace(tmp_path / "alone.json", launches + kernels("ampere_gemm", 500))
    assert verdict(alone, device="cuda") is CompileDecision.FELL_BACK
    both = write_trace(tmp_path / "both.json", launches + kernels("triton_red_1", 1))
    assert verdict(both, device="cuda") is CompileDecision.COMPILED


def test_graphs_without_generated_kernels_prove_nothing_on_a_gpu(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(STEPS) + kernels("gemm", 100))
    assert verdict(path, device="cuda") is CompileDecision.UNKNOWN


def test_library_kernels_alone_are_a_fallback_on_a_gpu(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", kernels("ampere_gemm", 500))
    assert verdict(path, device="cuda") is CompileDecision.FELL_BACK


def test_too_few_steps_cannot_be_told_from_the_rest(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(1))
    assert verdict(path, steps=3) is CompileDecision.UNKNOWN


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"traceEvents": [', '{"traceEvents": [{"name": "a"', '{"traceEvents": [1 2]}',
     '{"traceEvents": ' + "[" * 5000, "\x00\x01"],
)  # fmt: skip
def test_a_damaged_trace_proves_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    assert read_trace(path).problem is not None
    assert verdict(path) is CompileDecision.UNKNOWN


def test_a_trace_cut_short_proves_nothing_even_after_enough_marks(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", decode_trace(STEPS))
    text = path.read_text()
    path.write_text(text[:-10])
    assert verdict(path) is CompileDecision.UNKNOWN


@pytest.mark.parametrize("chunk", [7, 64, 1000])
def test_pieces_of_any_size_give_the_same(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_trace(tmp_path / "t.json", [*decode_trace(STEPS), event('odd "name" }] \\', 9)])
    head = json.dumps({"schemaVersion": 1}, indent=2)[:-1]
    assert path.read_text().startswith(head[:5])
    whole = read_trace(path)
    monkeypatch.setattr(chrome_trace, "_FIRST", 100)
    monkeypatch.setattr(chrome_trace, "CHUNK", chunk)
    pieces = read_trace(path)
    assert (pieces.events, pieces.graph_calls) == (whole.events, whole.graph_calls)


def test_one_endless_event_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chrome_trace, "CHUNK", 1000)
    monkeypatch.setattr(chrome_trace, "_LONGEST_EVENT", 5000)
    path = tmp_path / "t.json"
    path.write_text('{"traceEvents": [{"name": "' + "x" * 100_000 + '"}]}')
    assert "no event" in str(read_trace(path).problem)
