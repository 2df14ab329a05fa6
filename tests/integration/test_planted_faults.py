"""Faults planted in the harness, measured through the runner to rows: none of them may be ok."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness_run import Faulty, HarnessRun, Measured, measure
from pydantic import JsonValue
from torch_environment import TorchEnvironment

from reprokit.errors import DamagedRunError
from reprokit.records import Arm, Row, RowStatus, Scalar
from reprokit.run.agreement import OUTPUT_UNCHECKED
from reprokit.run.manifest import verify_manifest, write_manifest

pytestmark = pytest.mark.integration

FELL_BACK, WRONG, EMPTY, FOUL = (
    RowStatus.SILENT_FALLBACK, RowStatus.WRONG_OUTPUT, RowStatus.FALL_THROUGH,
    RowStatus.CONTAMINATED,
)  # fmt: skip

PREFILL = {
    "force_eager": (FELL_BACK, "the stance of torch.compiler is force_eager"),
    "wrapper_never_called": (FELL_BACK, "nothing was compiled and no compiled code ran"),
    "compiled_for_show": (FELL_BACK, "a part of the model ran as it is"),
    "backend_eager": (FELL_BACK, "the profiler saw none of them run"),
    "one_graph_suppressed": (FELL_BACK, "a compilation failed"),
    "one_part_left_out": (FELL_BACK, "compile_partly"),
    "head_left_out": (FELL_BACK, "compile_partly"),
    "compiled_in_window": (FELL_BACK, "compiled inside the timed window"),
    "half_of_the_window_eager": (FELL_BACK, "the stance of torch.compiler is eager_on_recompile"),
    "mode_ignored": (FELL_BACK, "says not_asked, and the mode asked for is default"),
    "layer_skipped": (EMPTY, "tiny-llama has 106816 parameters, and the harness has"),
    "weights_perturbed": (WRONG, "output_differs"),
    "shorter_dtype": (EMPTY, "float32 weights are asked for, and the harness has bfloat16"),
    "other_seed": (WRONG, "output_differs"),
    "other_prompts": (WRONG, "input_differs"),
    "prompts_ignored": (WRONG, "output"),
    "last_position_only": (WRONG, "output_differs: from the baseline's at token 0"),
    "prefill_repeated": (WRONG, "repeated_output: iterations 0, 1 and 2"),
    "nan": (WRONG, "not_finite"),
    "one_nan": (WRONG, "not_finite"),
    "clock_slow": (FOUL, "on a second clock of the same machine"),
    "clock_fast": (FOUL, "on a second clock of the same machine"),
    "clock_stopped": (FOUL, "two_clocks: 0 ms were reported"),
}
DECODE = {
    "eager_on_recompile": (FELL_BACK, "the stance of torch.compiler is eager_on_recompile"),
    "recompile_limit": (FELL_BACK, "a recompile limit was hit, so later shapes run as they are"),
    "weights_perturbed_decode": (WRONG, "output_differs"),
    "returns_at_once": (WRONG, "nothing was computed"),
    "decode_repeated": (WRONG, "differs_from_whole_sequence"),
    "half_the_steps": (WRONG, "differs_from_whole_sequence"),
    "one_step_asked": (EMPTY, "was asked for 2 tokens; it was asked for 8"),
    "stale_cache": (WRONG, "differs_from_whole_sequence"),
    "on_meta": (RowStatus.CRASH, "exited with code 1"),
}
BOTH_ARMS = {
    "fewer_layers_in_steps": (WRONG, "differs_from_whole_sequence"),
    "nan_in_a_step": (WRONG, "not_finite: the logits of call 1 of the model hold inf or nan"),
}
VARIABLES = {
    "disabled": (FELL_BACK, "TORCH_COMPILE_DISABLE=1"),
    "dynamo_disabled": (FELL_BACK, "TORCHDYNAMO_DISABLE=1"),
    "errors_suppressed": (FELL_BACK, "suppress_errors is set"),
}
FATAL = {"on_meta"}
CELLS: dict[str, dict[str, Scalar]] = {
    "prefill": {"phase": "prefill", "token_len": 16},
    "decode": {"phase": "kv_decode", "token_len": 4},
}
HEALTHY: dict[str, dict[str, Scalar]] = {
    "prefill-static": {**CELLS["prefill"], "cache": "StaticCache", "compile_mode": "default"},
    "prefill-graphs": {**CELLS["prefill"], "compile_mode": "reduce-overhead"},
    "decode-static": {**CELLS["decode"], "cache": "StaticCache", "compile_mode": "default"},
    "decode-graphs": {**CELLS["decode"], "compile_mode": "reduce-overhead"},
}
# A batch of two, as in the other tests of the harness: what they compiled is not compiled again.
OPTIONS: dict[str, JsonValue] = {"batch": 2}


@pytest.fixture(scope="module")
def measured(
    torch_environment: TorchEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    folder = tmp_path_factory.mktemp("faults")
    broken = {
        "CXX": "/no/such/compiler",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "nothing-compiled-yet"),
    }
    faults = [
        *(Faulty(name, "prefill") for name in PREFILL),
        *(Faulty(name, "decode", fatal=name in FATAL) for name in DECODE),
        Faulty("disabled", "prefill", {"TORCH_COMPILE_DISABLE": "1"}),
        Faulty("dynamo_disabled", "prefill", {"TORCHDYNAMO_DISABLE": "1"}),
        Faulty("errors_suppressed", "prefill", broken),
    ]
    # The same cells once more behind all faults but the fatal: they must have left nothing.
    again = {f"{name}_again": axes for name, axes in CELLS.items()}
    asked = HarnessRun(
        cells={**CELLS, **HEALTHY, **dict.fromkeys(BOTH_ARMS, CELLS["decode"]), **again},
        faults=faults,
        baselines={f"{name}_again": name for name in CELLS},
        options=OPTIONS,
        seed=7,
    )
    return measure(asked, torch_environment, folder)


@pytest.fixture(scope="module")
def rows(measured: Measured) -> dict[tuple[str, Arm], list[Row]]:
    return measured.rows()


@pytest.mark.parametrize("fault", [*PREFILL, *DECODE, *VARIABLES])
def test_no_row_of_a_planted_fault_is_ok(
    rows: dict[tuple[str, Arm], list[Row]], fault: str
) -> None:
    status, told = {**PREFILL, **DECODE, **VARIABLES}[fault]
    assert len(rows[fault, Arm.SUBJECT]) == 3
    for row in rows[fault, Arm.SUBJECT]:
        assert row.status is status, row.reason
        assert told in (row.reason or ""), row.reason


@pytest.mark.parametrize("arm", Arm)
@pytest.mark.parametrize("fault", BOTH_ARMS)
def test_what_is_wrong_in_both_arms_alike_is_ok_in_neither(
    rows: dict[tuple[str, Arm], list[Row]], fault: str, arm: Arm
) -> None:
    status, told = BOTH_ARMS[fault]
    assert len(rows[fault, arm]) == 3
    for row in rows[fault, arm]:
        assert row.status is status, row.reason
        assert told in (row.reason or ""), row.reason


@pytest.mark.parametrize("cell", ["prefill", "decode", "prefill_again", "decode_again"])
def test_what_has_no_fault_is_ok_before_and_after_all_faults(
    rows: dict[tuple[str, Arm], list[Row]], cell: str
) -> None:
    for row in sound(rows, cell, cell.removesuffix("_again")):
        assert row.status is RowStatus.OK, row.reason
        assert OUTPUT_UNCHECKED not in row.labels


@pytest.mark.parametrize("cell", HEALTHY)
def test_healthy_subjects_are_never_refused(
    rows: dict[tuple[str, Arm], list[Row]], cell: str
) -> None:
    for row in sound(rows, cell, cell):
        assert (row.status, row.reason) == (RowStatus.OK, None)
        assert OUTPUT_UNCHECKED not in row.labels


def sound(rows: dict[tuple[str, Arm], list[Row]], subject: str, baseline: str) -> list[Row]:
    """Return all rows of both arms, three of each."""
    found = [*rows[subject, Arm.SUBJECT], *rows[baseline, Arm.BASELINE]]
    assert len(found) == 6
    return found


def test_a_gpu_that_was_silently_not_used_is_seen_from_inside(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    asked = HarnessRun(
        cells={"prefill": CELLS["prefill"]},
        faults=[Faulty("on_the_cpu_instead", "prefill")],
        # As it is it ends its process, so it comes behind the fault.
        baselines={"prefill": "prefill"},
        device="cuda",
        options=OPTIONS,
    )
    rows = measure(asked, torch_environment, tmp_path, arm=Arm.SUBJECT).rows()
    for row in rows["on_the_cpu_instead", Arm.SUBJECT]:
        assert (row.status, row.reason) == (WRONG, "device_mismatch: ran on cpu, asked for cuda")
    for row in rows["prefill", Arm.SUBJECT]:
        assert row.status is RowStatus.UNSUPPORTED
        assert row.failure is not None
        assert "cuda is asked for" in row.failure.message


EDITS: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
    "faster": lambda line: {**line, "latency_ms": line["latency_ms"] / 10},
    "other_tokens": lambda line: {**line, "output": [0] * len(line["output"])},
    "fewer_tokens": lambda line: {**line, "output": [], "ties": [], "tokens_made": 0},
    "not_a_number": lambda line: {**line, "latency_ms": float("nan")},
    "left_out": lambda line: None,
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_result_that_was_edited_is_not_ok_and_not_what_the_manifest_names(
    measured: Measured, edit: str
) -> None:
    path = measured.directory("prefill", Arm.SUBJECT) / "result.jsonl"
    before = path.read_text()
    write_manifest(measured.run.path)
    lines = [json.loads(line) for line in before.splitlines()]
    edited = [EDITS[edit](line) if line["kind"] == "iteration" else line for line in lines]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in edited if line))
    try:
        with pytest.raises(DamagedRunError, match=r"result\.jsonl"):
            verify_manifest(measured.run.path)
        rows = measured.rows()["prefill", Arm.SUBJECT]
        assert RowStatus.OK not in {row.status for row in rows}
    finally:
        path.write_text(before)
    assert {row.status for row in measured.rows()["prefill", Arm.SUBJECT]} == {RowStatus.OK}
