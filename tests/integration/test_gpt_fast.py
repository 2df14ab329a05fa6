"""Synthetic checkpoints with a real torch, and the real gpt-fast where a clone of it is at hand."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gpt_fast_files import setup
from hub_server import REVISION, Hub, serving
from torch_environment import TorchEnvironment

from adapters.gpt_fast import ADAPTER, synthetic
from adapters.gpt_fast.checkpoints import CHECKPOINT
from adapters.gpt_fast.launched import LAUNCHED, read_launched
from reprokit.adapter import Invocation, Model, PointContext, ProbesPhases, Reading, Setup
from reprokit.cache import CacheLayout
from reprokit.envs.assets import AssetBuilder, AssetError
from reprokit.progress import nobody
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


def build(environment: TorchEnvironment, checkout: Path, cache: Path, model: str) -> Path:
    """Build the synthetic checkpoint of a model as `prepare` does; return its folder."""
    plan = setup()
    assert plan.model is not None
    named = plan.model_copy(update={"model": plan.model.model_copy(update={"id": model})})
    return built(environment, checkout, cache, named)


def built(
    environment: TorchEnvironment, checkout: Path, cache: Path, asked: Setup, key: str = "e"
) -> Path:
    """Build the checkpoint that a setup asks for; return its folder."""
    point = PointContext(
        point="p", python=str(environment.python), source=str(checkout), commit=None,
        environment=key,
    )  # fmt: skip
    builder = AssetBuilder(CacheLayout(cache), ADAPTER, asked, nobody)
    found = builder.build(point, bytecode=environment.work / "bytecode")
    return Path(found.folders[CHECKPOINT])


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


def test_commits_with_equal_shapes_share_one_checkpoint(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    first = build(torch_environment, checkout, tmp_path / "cache", "org/known")
    (checkout / "model.py").write_text(MODEL + "# said in other words\n")
    assert build(torch_environment, checkout, tmp_path / "cache", "org/known") == first
    (checkout / "model.py").write_text(MODEL.replace("return cls(32)", "return cls(48)"))
    assert build(torch_environment, checkout, tmp_path / "cache", "org/known") != first


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


def test_an_environment_that_cannot_load_the_model_spoils_no_other_one(
    torch_environment: TorchEnvironment,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The variable stands for a torch that is too old for the commit's model.py."""
    old = "import os\nif os.environ['CC'] == 'old':\n    import torch.no_such_thing\n"
    (checkout / "model.py").write_text(old + MODEL)
    asked = setup().model_copy(
        update={"model": Model(id="known", dtype="bfloat16", weights="synthetic")}
    )
    sizes = {}
    for version in ("old", "new"):
        monkeypatch.setenv("CC", version)
        folder = built(torch_environment, checkout, tmp_path / "cache", asked, key=version)
        sizes[version] = (folder / "checkpoints" / "known" / "model.pth").stat().st_size
    assert sizes["old"] == 0
    assert sizes["new"] > 2 * 600 * 32


def test_a_llama_3_gets_a_tiktoken_file_where_the_commit_reads_one(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    (checkout / "tokenizer.py").touch()
    text = (checkout / "model.py").read_text().replace('"known"', '"Llama-3-known"')
    (checkout / "model.py").write_text(text)
    target = build(torch_environment, checkout, tmp_path / "a", "Llama-3-known")
    check(torch_environment, CHECK_TIKTOKEN, target / "checkpoints" / "Llama-3-known")


CONVERTER = """
import argparse, json, sys
from pathlib import Path
sys.path.append(str(Path(__file__).parent.parent))
import torch
from safetensors.torch import load_file
from model import Transformer
def main(folder):
    files = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    merged = {}
    for name in set(files.values()):
        merged.update(load_file(str(folder / name)))
    torch.save({key.removeprefix("model."): value for key, value in merged.items()},
               folder / "model.pth")
if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint_dir", type=Path)
    main(parser.parse_args().checkpoint_dir)
"""
REPOSITORY = """
import sys, torch
from safetensors.torch import save_file
weights = {"model.embed.weight": torch.ones(600, 32), "model.norm.weight": torch.ones(32)}
save_file(weights, sys.argv[1] + "/model.safetensors")
"""
TOKEN = "hf_thisIsNoRealToken"
LLAMA = Model(id="some/llama", revision=REVISION, dtype="bfloat16", weights="hub")


@pytest.fixture
def repository(torch_environment: TorchEnvironment, tmp_path: Path) -> Path:
    """Files of a hub repository with one file of weights and no index."""
    folder = tmp_path / "repository"
    folder.mkdir()
    check(torch_environment, REPOSITORY, folder)
    (folder / "tokenizer.model").write_bytes(b"a tokenizer")
    (folder / "consolidated.00.pth").write_bytes(b"not wanted")
    return folder


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("no_token")
def test_gated_weights_are_converted_by_the_commits_own_script_without_the_token(
    torch_environment: TorchEnvironment,
    checkout: Path,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripts = checkout / "scripts"
    scripts.mkdir()
    spy = f"import os\nassert {TOKEN!r} not in str(os.environ), 'it has the token'\n"
    (scripts / "convert_hf_checkpoint.py").write_text(spy + CONVERTER)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    asked = setup().model_copy(update={"model": LLAMA})
    with serving(Hub("some/llama", repository, token=TOKEN)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        folder = built(torch_environment, checkout, tmp_path / "cache", asked)
        seen = len(hub.seen)
        assert built(torch_environment, checkout, tmp_path / "cache", asked) == folder
        assert len(hub.seen) == seen, "fetched and converted once"
    made = folder / "checkpoints" / "some" / "llama"
    assert {path.name for path in made.iterdir()} == {"model.pth", "tokenizer.model"}
    assert not any(path.is_symlink() for path in made.iterdir())
    note = json.loads((folder / "converted.json").read_text())
    assert (note["repo"], note["revision"]) == ("some/llama", REVISION)
    assert set(note["files"]) == {"model.pth", "tokenizer.model"}
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    # Another script of the commit converts anew, from the same download.
    (scripts / "convert_hf_checkpoint.py").write_text(CONVERTER)
    assert built(torch_environment, checkout, tmp_path / "cache", asked) != folder


@pytest.mark.usefixtures("no_token")
@pytest.mark.parametrize(
    ("served", "token", "words"),
    [
        ({"token": TOKEN}, None, "HF_TOKEN"),
        ({"token": TOKEN, "expired": TOKEN + "Old"}, TOKEN + "Old", "is expired, revoked or"),
        ({}, None, "reads no other format"),
    ],
    ids=["gated", "expired", "format"],
)
def test_weights_that_cannot_be_had_fail_in_one_sentence(
    torch_environment: TorchEnvironment,
    checkout: Path,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: dict[str, Any],
    token: str | None,
    words: str,
) -> None:
    (checkout / "scripts").mkdir()
    reads = CONVERTER if served else "import torch\n"
    (checkout / "scripts" / "convert_hf_checkpoint.py").write_text(reads)
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    asked = setup().model_copy(update={"model": LLAMA})
    with serving(Hub("some/llama", repository, **served)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(AssetError) as raised:
            built(torch_environment, checkout, tmp_path / "cache", asked)
    assert words in str(raised.value)
    assert TOKEN not in str(raised.value)


@pytest.mark.usefixtures("no_token")
def test_a_full_disk_is_found_before_a_checkpoint_is_begun(
    torch_environment: TorchEnvironment, checkout: Path, tmp_path: Path
) -> None:
    text = MODEL.replace("600, width", "1 << 40, width")
    (checkout / "model.py").write_text(text)
    with pytest.raises(AssetError, match=r"is too full .*: .* GB are needed and .* free"):
        build(torch_environment, checkout, tmp_path / "cache", "known")


FULL = """
import json, os, pathlib, resource, shutil, sys, types
sys.path.insert(0, sys.argv[1])
import synthetic
work = pathlib.Path(sys.argv[2])
shapes = {"shapes": {"a": [2000, 2000], "b": [9]}, "vocabulary": 600, "note": None}
(work / "shapes.json").write_text(json.dumps(shapes))
os.environ["REPROKIT_ASSETS"] = json.dumps({"shapes": str(work)})
room = [1 << 40, 0]
shutil.disk_usage = lambda _: types.SimpleNamespace(free=room.pop(0))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
synthetic.build("m", "sentencepiece", "Hello", 1, work / "out")
"""


def test_a_disk_that_fills_up_below_a_checkpoint_is_said_in_the_last_line(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    """A limit of the file's size stands for the disk; torch's own writer then fails."""
    folder = Path(synthetic.__file__).parent
    done = torch_environment.run(
        str(torch_environment.python), "-c", FULL, str(folder), str(tmp_path), cwd=tmp_path
    )
    assert done.returncode == 1, "not aborted"
    assert "is too full (free some space" in done.stderr.splitlines()[-1]


class RealGptFast:
    """The real repository at one commit, run as the runner would run it."""

    def __init__(self, environment: TorchEnvironment, clone: str, folder: Path) -> None:
        self._environment, self._clone, self._folder = environment, clone, folder

    def run(
        self, commit: str, arm: Arm, *, phases: bool = False
    ) -> tuple[Reading, str, str | None]:
        """Return the reading, standard error, and why it counts as unsupported."""
        checkout, directory = self._folder / "checkout", self._folder / "invocation"
        checkout.mkdir()
        directory.mkdir()
        archive = subprocess.run(
            ["git", "-C", self._clone, "archive", commit], check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", str(checkout)], input=archive.stdout, check=True)
        asset = build(self._environment, checkout, self._folder / "cache", "stories15M")
        point = PointContext(
            point="p", python=str(self._environment.python), source=str(checkout), commit=commit,
            assets={CHECKPOINT: str(asset)},
        )  # fmt: skip
        plan = setup(samples=2, max_new_tokens=12)
        asked = Invocation(id="i", arm=arm, cell={}, directory=str(directory))
        assert isinstance(ADAPTER, ProbesPhases)
        make = ADAPTER.phase_command if phases else ADAPTER.command
        command = make(plan, point, asked)
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
    floor = reading.evidence.extra["floor"]
    assert isinstance(floor, dict)
    assert floor["bytes"] == 2 * (6 * 288 * (4 * 288 + 3 * 768) + 32_000 * 288)
    assert reading.evidence.floor_ms is not None, floor


def test_the_real_head_is_split_into_its_phases(gpt_fast: RealGptFast, tmp_path: Path) -> None:
    reading, stderr, _ = gpt_fast.run(HEAD, Arm.BASELINE, phases=True)
    assert reading.problem is None, stderr
    found = read_launched(tmp_path / "invocation" / LAUNCHED)
    assert found.phases.problem is None
    assert [each.decode_steps for each in found.phases.samples] == [11, 11]
    whole = [sample.values["latency_ms"] for sample in reading.samples]
    split = [each.prefill_ms + each.decode_ms for each in found.phases.samples]
    assert split == pytest.approx(whole, rel=0.1, abs=20)


def test_the_real_pinned_commit_fails_in_its_own_words(gpt_fast: RealGptFast) -> None:
    reading, stderr, unsupported = gpt_fast.run(PINNED, Arm.BASELINE)
    assert unsupported is not None
    assert "--device" in unsupported
    assert reading.samples == ()
    assert stderr.rstrip().endswith("AssertionError: stories15M")
