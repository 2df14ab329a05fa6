"""The internal harness with a real torch: what it measures and what it leaves."""

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
PREFILL = {"phase": "prefill", "token_len": 16, "batch": 2, "threads": 1}


class Bench:
    """Runs one arm through the adapter."""

    def __init__(self, environment: TorchEnvironment, folder: Path) -> None:
        self._environment = environment
        self._folder = folder
        self.last: subprocess.CompletedProcess[str] | None = None

    def read(
        self,
        arm: Arm,
        options: dict[str, Any],
        *,
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


def test_both_arms_are_measured_and_the_subject_is_proved_compiled(bench: Bench) -> None:
    eager = bench.read(Arm.BASELINE, PREFILL)
    compiled = bench.read(Arm.SUBJECT, PREFILL)
    assert decision(eager) is CompileDecision.NOT_ASKED
    assert decision(compiled) is CompileDecision.COMPILED
    for reading in (eager, compiled):
        for sample in reading.samples:
            assert sample.status is RowStatus.OK
            assert sample.values["latency_ms"] > 0
            assert sample.evidence.tokens == sample.evidence.tokens_asked == 2 * 16
            assert sample.evidence.device == "cpu"
    # The same prompts in both arms, another one in each iteration.
    for one, other in zip(eager.samples, compiled.samples, strict=True):
        assert one.evidence.input_digest == other.evidence.input_digest
        assert one.evidence.output_tokens == other.evidence.output_tokens
    assert len({sample.evidence.input_digest for sample in eager.samples}) == 3
    assert len({sample.evidence.output_digest for sample in eager.samples}) == 3
    model = eager.evidence.extra["model"]
    assert isinstance(model, dict)
    assert model["parameters"] == 106816


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


# Tokens, prompts and the batch are those of the planted faults: each graph is compiled once.
CELLS: list[dict[str, Any]] = (
    [
        {"phase": phase, "cache": cache, "mode": mode, "token_len": token_len}
        for phase, token_len in (("prefill", 16), ("kv_decode", 4), ("e2e_kv", 4))
        for cache in ("DynamicCache", "StaticCache")
        for mode in ("eager", "default")
    ]
    + [
        {"phase": "prefill", "cache": "StaticCache", "mode": mode, "token_len": 16}
        for mode in ("reduce-overhead", "max-autotune")
    ]
    + [
        {"phase": phase, "cache": "DynamicCache", "mode": "eager", "batch": 1}
        for phase in ("kv_decode", "e2e_kv")
    ]
)
COMMON = {
    "model": "tiny-llama", "dtype": "float32", "device": "cpu", "token_len": 4, "prompt_len": 16,
    "batch": 2, "warmup": 3, "samples": 2, "seed": 42, "threads": 1,
}  # fmt: skip


def run_batch(
    environment: TorchEnvironment, folder: Path, specs: list[dict[str, Any]]
) -> tuple[subprocess.CompletedProcess[str], list[Path]]:
    places = [folder / str(index) for index in range(len(specs))]
    for place in places:
        place.mkdir()
    entries = [
        {"spec": spec, "directory": str(place)} for spec, place in zip(specs, places, strict=True)
    ]
    text = json.dumps({"common": COMMON, "entries": entries})
    argv = [str(environment.python), "-s", str(HARNESS), f"--batch={text}"]
    return environment.run(*argv, cwd=folder), places


def lines_of(place: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (place / "result.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def batch(
    torch_environment: TorchEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    """Measure all cells in one process; return where each left its files."""
    done, places = run_batch(torch_environment, tmp_path_factory.mktemp("batch"), CELLS)
    assert done.returncode == 0, (places[-1] / "stderr.log").read_text()
    assert done.stdout == done.stderr == ""
    return places


def outputs_of(batch: list[Path]) -> dict[tuple[str, int, int], list[list[int]]]:
    """Return the tokens by phase, batch and iteration, one list for each cache and mode."""
    outputs: dict[tuple[str, int, int], list[list[int]]] = {}
    for cell, place in zip(CELLS, batch, strict=True):
        whole = {**COMMON, **cell}
        for line in lines_of(place):
            if line["kind"] == "iteration":
                key = (whole["phase"], whole["batch"], line["iteration"])
                outputs.setdefault(key, []).append(line["output"])
    return outputs


@pytest.mark.parametrize(
    "index", range(len(CELLS)), ids=lambda index: "-".join(map(str, CELLS[index].values()))
)
def test_one_process_measures_all_phases_caches_and_modes(batch: list[Path], index: int) -> None:
    cell, place = CELLS[index], batch[index]
    assert json.loads((place / "done.json").read_text())["returncode"] == 0
    _, *iterations, compiled, end = lines_of(place)
    assert len(iterations) == 2
    assert compiled["decision"] == ("not_asked" if cell["mode"] == "eager" else "compiled")
    assert (place / "compile.json").exists() == (cell["mode"] != "eager")
    assert end["peak_bytes"] is None
    assert end["overhead_ms"] > 0
    for line in iterations:
        assert line["tokens_made"] == line["tokens_asked"] == len(line["ties"])
        assert line["device_ms"] is None
        assert (line["ttft_ms"] is not None) == (cell["phase"] == "e2e_kv")
        if line["ttft_ms"] is not None:
            assert 0 < line["ttft_ms"] < line["latency_ms"]


def test_whatever_the_cache_and_the_mode_the_greedy_tokens_are_the_same(batch: list[Path]) -> None:
    """Each cell is measured as if it were alone."""
    outputs = outputs_of(batch)
    assert [len(outputs[phase, 2, 0]) for phase in ("prefill", "kv_decode", "e2e_kv")] == [6, 4, 4]
    assert all(output == made[0] for made in outputs.values() for output in made)


def test_decoding_the_prompt_too_gives_the_token_before_and_the_same_ones_after(
    batch: list[Path],
) -> None:
    outputs = outputs_of(batch)
    (decoded,), (whole,) = (outputs[phase, 1, 0] for phase in ("kv_decode", "e2e_kv"))
    assert len(decoded) == 4
    assert whole[1:] == decoded


def test_a_failure_ends_the_process_and_the_entries_after_it_are_not_begun(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    good = {"phase": "prefill", "cache": "DynamicCache", "mode": "eager", "batch": 1}
    done, places = run_batch(
        torch_environment, tmp_path, [good, {**good, "token_len": 1_000_000}, good]
    )
    assert done.returncode == 1
    first, second, third = places
    assert json.loads((first / "done.json").read_text())["returncode"] == 0
    said = json.loads((second / "done.json").read_text())
    assert said["returncode"] == 1
    assert said["wall_s"] > 0
    assert lines_of(second)[-1]["exception"] == "spec.SpecError"
    assert "positions" in (second / "stderr.log").read_text()
    assert "positions" not in (first / "stderr.log").read_text()
    assert list(third.iterdir()) == []


def test_a_gpu_that_is_not_there_is_a_failure_that_says_so(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    cell = {"phase": "prefill", "cache": "DynamicCache", "mode": "eager", "batch": 1}
    _, (place,) = run_batch(torch_environment, tmp_path, [{**cell, "device": "cuda"}])
    (failure,) = lines_of(place)
    assert failure["kind"] == "failure"
    assert "cuda is asked for" in failure["message"]


TIES = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
from outputs import Tolerance, weigh
size = Tolerance.of("float32").relative * 8
logits = torch.tensor([[
    [1.0, 8.0, 8.0 - size / 2, 2.0],    # near: 2 is as good
    [1.0, 8.0, 8.0 - size * 2, 2.0],    # clear
    [1.0, 8.0 - size / 2, 8.0, 2.0],    # the runner-up was chosen: 2 is as good
    [1.0, 7.0, 8.0, 2.0],               # what was chosen is not near the greatest
    [float("nan")] * 4,
    [5.0, 5.0, 5.0, 5.0],
]])
chosen = torch.tensor([[1, 1, 1, 1, 1, 1]])
tolerance = Tolerance.of("float32")
parts = [weigh(logits[:, :upto], chosen[:, :upto], tolerance) for upto in (3, 4, 5)]
# Of two sequences, the second goes astray at its first position.
pair = torch.cat((logits[:, :2], logits[:, 3:5].nan_to_num(0.0)))
parts.append(weigh(pair, chosen[:, :2].expand(2, 2), tolerance))
print(json.dumps([weigh(logits, chosen, tolerance)[0], [stray for _, stray in parts]]))
"""


def test_a_tie_is_the_one_id_that_rounding_could_have_chosen(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    done = torch_environment.run(
        str(torch_environment.python), "-s", "-c", TIES, str(HARNESS), cwd=tmp_path
    )
    ties, strays = json.loads(done.stdout)
    assert ties[:5] == [2, None, 2, None, None]
    assert ties[5] in {0, 2, 3}
    # A runner-up that is tied is no stray; what is not near the greatest is, in either sequence.
    assert strays == [None, 3, 3, 2]
