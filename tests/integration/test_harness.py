"""The internal harness with a real torch: what it measures, and faults that it must not miss."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from torch_environment import TorchEnvironment

from adapters.hf_harness import ADAPTER
from reprokit.adapter import Invocation, Model, PointContext, Reading, Setup
from reprokit.records import Arm, CompileDecision, RowStatus

pytestmark = pytest.mark.integration

HARNESS = ADAPTER.builtin_source()
PREFILL = {"phase": "prefill", "token_len": 16, "threads": 1}
DECODE = {"phase": "kv_decode", "token_len": 4, "threads": 1}

PLANTED = """
import runpy, sys
import torch
{plant}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Bench:
    """Runs one arm through the adapter, with a fault planted where one is given."""

    def __init__(self, environment: TorchEnvironment, folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self.last: subprocess.CompletedProcess[str] | None = None

    def read(
        self,
        arm: Arm,
        options: dict[str, Any],
        *,
        plant: str | None = None,
        cache: str = "compiled",
        **variables: str,
    ) -> Reading:
        setup = Setup(
            model=Model(id="tiny-llama", weights="synthetic"),
            arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
            options=ADAPTER.check_options(options), device="cpu", samples=3, warmup=3, seed=42,
        )  # fmt: skip
        point = PointContext(
            point="p", python=str(self._environment.python), source=str(HARNESS), commit=None
        )
        folder = self._folder / f"{arm}-{options['phase']}"
        folder.mkdir()
        invocation = Invocation(id="i", arm=arm, cell={}, directory=str(folder))
        argv = list(ADAPTER.command(setup, point, invocation).argv)
        if plant is not None:
            script = folder / "planted.py"
            script.write_text(PLANTED.format(plant=plant))
            argv[2:3] = [str(script), argv[2]]
        self.last = self._environment.run(*argv, cwd=folder, cache=cache, **variables)
        return ADAPTER.read(setup, point, invocation)


@pytest.fixture
def bench(torch_environment: TorchEnvironment, tmp_path: Path) -> Bench:
    return Bench(torch_environment, tmp_path)


def decision(reading: Reading) -> CompileDecision:
    assert reading.problem is None
    assert reading.failure is None
    assert len(reading.samples) == 3
    assert reading.evidence.compile is not None
    return reading.evidence.compile.decision


@pytest.mark.parametrize("options", [PREFILL, DECODE], ids=["prefill", "kv_decode"])
def test_both_arms_are_measured_and_the_subject_is_proved_compiled(
    bench: Bench, options: dict[str, Any]
) -> None:
    eager = bench.read(Arm.BASELINE, options)
    compiled = bench.read(Arm.SUBJECT, options)
    assert decision(eager) is CompileDecision.NOT_ASKED
    assert decision(compiled) is CompileDecision.COMPILED
    asked = 1 if options is PREFILL else 4
    for reading in (eager, compiled):
        for sample in reading.samples:
            assert sample.status is RowStatus.OK
            assert sample.values["latency_ms"] > 0
            assert sample.evidence.tokens == sample.evidence.tokens_asked == asked
            assert sample.evidence.device == "cpu"
    tokens = {sample.evidence.output_tokens for sample in (*eager.samples, *compiled.samples)}
    assert len(tokens) == 1
    model = eager.evidence.extra["model"]
    assert isinstance(model, dict)
    assert model["parameters"] == 106816


FORCE_EAGER = "torch.compiler.set_stance('force_eager')"
NEVER_CALLED = """
real = torch.compile
def compile_and_forget(model, **options):
    real(model, **options)
    return model
torch.compile = compile_and_forget
"""
SUPPRESSED = "import torch._dynamo; torch._dynamo.config.suppress_errors = True"


@pytest.mark.parametrize(
    ("plant", "variables"),
    [
        (FORCE_EAGER, {}),
        ("", {"TORCH_COMPILE_DISABLE": "1"}),
        (NEVER_CALLED, {}),
        (SUPPRESSED, {"CXX": "/no/such/compiler"}),
    ],
    ids=["force_eager", "disabled", "wrapper_never_called", "errors_suppressed"],
)
def test_a_subject_that_did_not_compile_is_found_out(
    bench: Bench, plant: str, variables: dict[str, str]
) -> None:
    reading = bench.read(Arm.SUBJECT, PREFILL, plant=plant, cache="empty", **variables)
    # Without a C++ compiler the graphs that need none are still compiled.
    expected = CompileDecision.PARTLY if plant == SUPPRESSED else CompileDecision.FELL_BACK
    assert decision(reading) is expected


def test_an_exception_is_recorded_whole_and_printed_too(bench: Bench) -> None:
    reading = bench.read(Arm.SUBJECT, PREFILL, cache="empty", CXX="/no/such/compiler")
    assert bench.last is not None
    assert bench.last.returncode == 1
    assert reading.samples == ()
    assert reading.failure is not None
    assert reading.failure.exception is not None
    assert reading.failure.exception in bench.last.stderr
    assert reading.failure.frame is not None
    assert not reading.failure.frame.file.startswith("/")


def test_a_model_that_computes_nan_is_a_wrong_output(bench: Bench) -> None:
    poison = """
real = torch.nn.Embedding.forward
torch.nn.Embedding.forward = lambda self, ids: real(self, ids) * float("nan")
"""
    reading = bench.read(Arm.BASELINE, PREFILL, plant=poison)
    assert {sample.status for sample in reading.samples} == {RowStatus.WRONG_OUTPUT}


def test_a_model_that_is_not_there_is_a_failure_of_the_harness_itself(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    spec = {
        "phase": "prefill", "mode": "eager", "model": "no-such", "cache": "DynamicCache",
        "dtype": "float32", "device": "cpu", "token_len": 4, "prompt_len": 4, "batch": 1,
        "warmup": 0, "samples": 1, "seed": 0,
    }  # fmt: skip
    out = tmp_path / "result.jsonl"
    argv = [str(torch_environment.python), "-s", str(HARNESS), f"--spec={json.dumps(spec)}"]
    done = torch_environment.run(*argv, f"--out={out}", cwd=tmp_path)
    assert done.returncode == 1
    record = json.loads(out.read_text())
    assert record["kind"] == "failure"
    assert record["exception"] == "spec.SpecError"
    assert record["frame"]["file"] == "model_zoo.py"
