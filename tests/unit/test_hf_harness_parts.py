"""The parts of the internal harness that need no torch: spec, proof, failure, result file."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import batch
import compile_proof
import failure_record
import pytest
import result_file
import spec
from compile_proof import Observation, decide
from failure_record import describe
from result_file import ResultFile
from spec import Spec, SpecError, load_spec

GOOD: dict[str, Any] = {
    "phase": "kv_decode", "mode": "default", "model": "tiny-llama", "cache": "DynamicCache",
    "dtype": "float32", "device": "cpu", "token_len": 8, "prompt_len": 4, "batch": 1, "warmup": 0,
    "samples": 2, "seed": 0,
}  # fmt: skip


def test_none_of_it_imports_torch() -> None:
    """So that a broken torch is still recorded as a failure."""
    for module in (batch, compile_proof, failure_record, result_file, spec):
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not any("torch" in ast.unparse(node) for node in nodes)


@pytest.mark.parametrize(
    ("phase", "positions", "steps", "asked"),
    [("prefill", 8, 1, 16), ("kv_decode", 12, 8, 16), ("e2e_kv", 12, 9, 18)],
)
def test_what_a_phase_needs_and_makes(phase: str, positions: int, steps: int, asked: int) -> None:
    found = Spec(**{**GOOD, "phase": phase, "batch": 2})
    assert (found.positions, found.steps, found.tokens_asked) == (positions, steps, asked)


def test_a_batch_is_read_from_text_and_files_in_order(tmp_path: Path) -> None:
    one = {"spec": {"seed": 7}, "directory": str(tmp_path)}
    (tmp_path / "b.json").write_text(json.dumps([{"spec": GOOD, "directory": str(tmp_path)}]))
    text = json.dumps({"common": GOOD, "entries": [one]})
    entries = batch.load_entries([text, str(tmp_path / "b.json")])
    assert [entry.spec["seed"] for entry in entries] == [7, 0]
    assert spec.spec_of(entries[0].spec).model == "tiny-llama"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "JSON"), ("no/such", "No such file"), ("[]", "no entry"), ("{}", "list of entries"),
        ('{"entries": [], "x": 1}', "nothing else"), ("[{}]", "entry 0"), ("[[]]", "entry 0"),
        ('[{"spec": {}, "directory": "/no/such/place"}]', "no directory"),
        ('[{"spec": [], "directory": "/"}]', "object"), ('{"common": 1, "entries": []}', "list"),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused(value: str, words: str) -> None:
    with pytest.raises(batch.BatchError, match=words):
        batch.load_entries([value])


def test_a_spec_comes_from_text_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(GOOD))
    found = load_spec(json.dumps(GOOD))
    assert found == load_spec(str(tmp_path / "spec.json")) == Spec(**GOOD)
    assert found.positions == 12
    assert replace(found, phase="prefill").positions == 8


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "e2e"}, {"mode": "max"}, {"cache": None}, {"dtype": "int8"}, {"device": "tpu"},
        {"token_len": 0}, {"token_len": True}, {"token_len": "8"}, {"warmup": -1}, {"samples": 0},
        {"seed": -1}, {"threads": 0}, {"weights": "mine"}, {"weights_dir": 3}, {"model": 3},
        {"surprise": 1}, {"phase": ["prefill"]},
    ],
)  # fmt: skip
def test_a_wrong_spec_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match=next(iter(change))):
        load_spec(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("text", ["{", "{}", "no/such/file", '{"phase": "prefill"}'])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        load_spec(text)


RAN = Observation(steps=8, device="cpu", graph_calls=8, share=0.9, unique_graphs=2, frames=(2, 2))


def verdict(**changes: Any) -> str:
    return decide(replace(RAN, **changes))[0]


def test_compiled_code_in_every_call_is_compiled() -> None:
    assert decide(RAN)[0] == compile_proof.COMPILED
    assert verdict(graph_calls=17) == compile_proof.COMPILED


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        # counters say that much was compiled, and nothing of it ran
        ({"graph_calls": 0}, "unknown"),
        # nothing at all: disabled, force_eager, a wrapper that is never called
        ({"graph_calls": 0, "unique_graphs": 0, "frames": (0, 0)}, "fell_back"),
        # errors suppressed
        (
            {"graph_calls": 0, "unique_graphs": 0, "frames": (1, 0), "failures": ("CppError",)},
            "fell_back",
        ),
        # the recompile limit: later calls are eager
        ({"graph_calls": 7}, "partly"),
        ({"frames": (9, 8)}, "partly"),
        ({"failures": ("Unsupported",)}, "partly"),
        ({"graph_breaks": 3, "share": 0.2}, "partly"),
        ({"graph_breaks": 3, "share": 0.8}, "compiled"),
        ({"compiled_in_window": {"stats.unique_graphs": 1}}, "partly"),
        # a GPU whose generated kernels were not seen
        ({"device": "cuda"}, "unknown"),
        ({"device": "cuda", "generated": {"triton_poi": 8}}, "compiled"),
        ({"device": "cuda", "graph_calls": 0, "graph_launches": 8}, "unknown"),
    ],
)
def test_each_way_of_not_compiling_has_its_decision(changes: dict[str, Any], decision: str) -> None:
    assert verdict(**changes) == decision


def test_the_reason_of_a_fallback_names_the_failure() -> None:
    seen = Observation(steps=1, device="cpu", failures=("InductorError",))
    assert "InductorError" in decide(seen)[1]


def test_facts_are_bounded_and_plain() -> None:
    seen = replace(RAN, generated={f"triton_{index}": index for index in range(100)})
    facts = json.loads(json.dumps(seen.facts()))
    assert len(facts["generated"]) == 16
    assert facts["distinct_generated"] == 100


def first() -> None:
    raise ValueError("first")


def second(*, chained: bool) -> None:
    try:
        first()
    except ValueError as error:
        raise RuntimeError("second") from (error if chained else None)


def raised(*, chained: bool) -> BaseException:
    with pytest.raises(RuntimeError) as caught:
        second(chained=chained)
    return caught.value


def test_a_failure_is_described_with_frame_and_causes() -> None:
    found = describe(raised(chained=True))
    assert found["exception"] == "RuntimeError"
    assert found["message"] == "second"
    assert found["causes"] == [{"exception": "ValueError", "message": "first"}]
    frame = found["frame"]
    assert isinstance(frame, dict)
    assert frame["function"] == "second"
    assert describe(raised(chained=False))["causes"] == []


def test_an_exception_of_a_module_has_its_qualified_name() -> None:
    assert (
        describe(json.JSONDecodeError("m", "d", 0))["exception"] == "json.decoder.JSONDecodeError"
    )
    assert describe(SpecError("x"))["frame"] is None


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert describe(first)["causes"] == [{"exception": "ValueError", "message": "b"}]


def test_records_are_on_the_disk_before_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "result.jsonl"
    with ResultFile(path) as results:
        results.write("end", {"iterations": 0})
        assert json.loads(path.read_text()) == {"kind": "end", "iterations": 0}
    with pytest.raises(FileExistsError), ResultFile(path):
        pass
