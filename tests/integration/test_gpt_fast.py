"""Synthetic checkpoints with a real torch, and the real gpt-fast where a clone of it is at hand."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from gpt_fast_files import setup
from torch_environment import TorchEnvironment

from adapters.gpt_fast import ADAPTER, adapter
from reprokit.adapter import AssetStep, Invocation, PointContext, Reading
from reprokit.records import Arm, CompileDecision

pytestmark = pytest.mark.integration

CLONE_VARIABLE = "REPROKIT_TEST_GPT_FAST"
PINNED = "d2c5d8223fd00ab5ce469d8fdd93a7de78fb8b4a"
HEAD = "6ecad9b5b6b987d17ac4303965545873d0192086"

MODEL = """
import torch
class Transformer(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.config = type("Config", (), {"vocab_size": 600})
        self.embed = torch.nn.Embedding(600, width)
        self.norm = torch.nn.LayerNorm(width, bias=False)
    @classmethod
    def from_name(cls, name):
        assert name == "known", name
        return cls(32)
"""
CHECK = """
import sys, torch, sentencepiece
folder = sys.argv[1]
weights = torch.load(folder + "/model.pth", mmap=True, weights_only=True)
assert sorted(weights) == ["embed.weight", "norm.weight"], sorted(weights)
assert weights["embed.weight"].dtype == torch.bfloat16
assert 0.019 < weights["embed.weight"].float().std() < 0.021
assert (weights["norm.weight"] == 1).all()
tokens = sentencepiece.SentencePieceProcessor(model_file=folder + "/tokenizer.model")
assert tokens.vocab_size() == 600
assert len(tokens.encode("Hello, my name is")) == 5
assert all(isinstance(tokens.decode([i]), str) for i in range(600))
assert tokens.decode(tokens.encode("caf\\u00e9 !")) == "caf\\u00e9 !"
"""
CHECK_TIKTOKEN = """
import sys, tiktoken
from tiktoken.load import load_tiktoken_bpe
ranks = load_tiktoken_bpe(sys.argv[1] + "/tokenizer.model")
model = tiktoken.Encoding("t", pat_str=r" ?\\w+|[^\\w]", mergeable_ranks=ranks, special_tokens={})
assert len(ranks) == 600 - 256
assert len(model.encode("Hello, my name is")) == 5
assert model.decode(range(344))
"""


def build(environment: TorchEnvironment, checkout: Path, target: Path, model: str) -> Path:
    """Build an asset as `prepare` would; return its folder."""
    target.mkdir()
    point = PointContext(
        point="p", python=str(environment.python), source=str(checkout), commit=None
    )
    plan = setup()
    assert plan.model is not None
    named = plan.model_copy(update={"model": plan.model.model_copy(update={"id": model})})
    (step,) = ADAPTER.assets(named, point)
    assert isinstance(step, AssetStep)
    done = environment.run(
        *step.command.argv, cwd=Path(step.command.cwd), REPROKIT_ASSET_DIR=str(target)
    )
    assert done.returncode == 0, done.stderr
    return target


def check(environment: TorchEnvironment, script: str, folder: Path) -> None:
    done = environment.run(str(environment.python), "-c", script, str(folder), cwd=folder)
    assert done.returncode == 0, done.stderr


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "model.py").write_text(MODEL)
    return folder


def test_a_synthetic_checkpoint_loads_and_is_the_same_every_time(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    first = build(torch_environment, checkout, tmp_path / "a", "org/known")
    check(torch_environment, CHECK, first / "checkpoints" / "org" / "known")
    assert digest(first) == digest(build(torch_environment, checkout, tmp_path / "b", "org/known"))
    assert json.loads((first / "synthetic.json").read_text())["note"] is None
    assert sorted(path.name for path in checkout.iterdir()) == ["model.py"]


def test_a_model_that_the_commit_does_not_know_leaves_the_failure_to_the_commit(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    target = build(torch_environment, checkout, tmp_path / "a", "unknown")
    folder = target / "checkpoints" / "unknown"
    assert (folder / "model.pth").stat().st_size == 0
    assert (folder / "tokenizer.model").stat().st_size > 0
    assert "AssertionError" in json.loads((target / "synthetic.json").read_text())["note"]


def test_a_llama_3_gets_a_tiktoken_file_where_the_commit_reads_one(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "tokenizer.py").touch()
    text = (checkout / "model.py").read_text().replace('"known"', '"Llama-3-known"')
    (checkout / "model.py").write_text(text)
    target = build(torch_environment, checkout, tmp_path / "a", "Llama-3-known")
    check(torch_environment, CHECK_TIKTOKEN, target / "checkpoints" / "Llama-3-known")


class RealGptFast:
    """The real repository at one commit, run as the runner would run it."""

    def __init__(self, environment: TorchEnvironment, clone: str, folder: Path) -> None:
        self._environment, self._clone, self._folder = environment, clone, folder

    def run(self, commit: str, arm: Arm) -> tuple[Reading, str, str | None]:
        """Return the reading, standard error, and why it counts as unsupported."""
        checkout, directory = self._folder / "checkout", self._folder / "invocation"
        checkout.mkdir()
        directory.mkdir()
        archive = subprocess.run(
            ["git", "-C", self._clone, "archive", commit], check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive.stdout, check=True)
        asset = build(self._environment, checkout, self._folder / "asset", "stories15M")
        point = PointContext(
            point="p", python=str(self._environment.python), source=str(checkout), commit=commit,
            assets={adapter.CHECKPOINT_ASSET: str(asset)},
        )  # fmt: skip
        plan = setup(samples=2, max_new_tokens=12)
        asked = Invocation(id="i", arm=arm, cell={}, directory=str(directory))
        command = ADAPTER.command(plan, point, asked)
        done = self._environment.run(*command.argv, cwd=Path(command.cwd))
        (directory / "stdout.log").write_text(done.stdout)
        return ADAPTER.read(plan, point, asked), done.stderr, command.unsupported


@pytest.fixture
def gpt_fast(torch_environment: TorchEnvironment, tmp_path: Path) -> RealGptFast:
    clone = os.environ.get(CLONE_VARIABLE)
    if clone is None:
        pytest.skip(f"needs a clone of gpt-fast, named by {CLONE_VARIABLE}")
    return RealGptFast(torch_environment, clone, tmp_path)


def test_the_real_head_compiles_on_a_cpu_and_is_proved(gpt_fast: RealGptFast) -> None:
    reading, stderr, unsupported = gpt_fast.run(HEAD, Arm.SUBJECT)
    assert unsupported is None
    assert reading.problem is None, stderr
    assert len(reading.samples) == 2
    assert reading.evidence.device == "cpu"
    assert reading.evidence.compile is not None
    assert reading.evidence.compile.decision is CompileDecision.COMPILED


def test_the_real_pinned_commit_fails_in_its_own_words(gpt_fast: RealGptFast) -> None:
    reading, stderr, unsupported = gpt_fast.run(PINNED, Arm.BASELINE)
    assert unsupported is not None
    assert "--device" in unsupported
    assert reading.samples == ()
    assert stderr.rstrip().endswith("AssertionError: stories15M")
