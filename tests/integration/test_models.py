"""Models with a real torch: counts, random weights, and weights from a hub on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_server import REVISION, Hub, serving
from torch_environment import TorchEnvironment

from adapters.hf_harness import ADAPTER
from adapters.hf_harness.models import known_models
from reprokit.adapter import Model, PointContext, Setup
from reprokit.cache import CacheLayout
from reprokit.envs.assets import AssetBuilder, AssetError, BuiltAssets
from reprokit.progress import nobody
from reprokit.records import Arm

pytestmark = pytest.mark.integration

HARNESS = ADAPTER.builtin_source()
TOKEN = "hf_thisIsNoRealToken"

PRELUDE = f"""
import copy, json, sys
sys.path.insert(0, {str(HARNESS)!r})
import torch
from spec import Spec
import cache_compat, model_zoo, random_weights
MODELS = json.loads(model_zoo.MODELS.read_text())
def spec(model, **changes):
    asked = dict(
        phase="prefill", mode="eager", model=model, cache="DynamicCache", dtype="float32",
        device="cpu", token_len=8, prompt_len=4, batch=1, warmup=0, samples=1, seed=42)
    return Spec(**{{**asked, **changes}})
def built(model, **changes):
    with torch.inference_mode():
        return model_zoo.build_model(spec(model, **changes))
"""


def run(environment: TorchEnvironment, folder: Path, script: str) -> Any:
    """Run a script behind the prelude; it prints one line of JSON at its end."""
    path = folder / "script.py"
    path.write_text(PRELUDE + script, encoding="utf-8")
    done = environment.run(str(environment.python), "-s", str(path), cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


REFUSALS: dict[str, tuple[str, dict[str, Any], str]] = {
    "unknown": ("no-such", {}, "there is no model 'no-such'"),
    "too_long": (
        "gpt2-25m", {"token_len": 1025}, "has 1024 positions, and 1025 are asked for",
    ),
    "quantized": ("qwen2.5-7b-awq", {}, "no calibrated scales"),
    "no_folder": ("tiny-llama", {"weights": "hub"}, "no folder named"),
}  # fmt: skip
PARAMETERS = """
answer = {}
for name, entry in MODELS.items():
    with torch.device("meta"), random_weights.WithoutDrawing():
        model = cache_compat.build_from_config(entry["model_type"], entry["config"], torch.float16)
    config = model.config
    scaling = getattr(config, "rope_parameters", None) or {
        "rope_theta": getattr(config, "rope_theta", None), **(config.rope_scaling or {})
    } if entry["model_type"] != "gpt2" else {}
    answer[name] = [model_zoo.count_parameters(model), scaling]
"""
FAST = """
answer = {}
for name in ("tiny-llama", "tiny-qwen2", "tiny-gpt2"):
    entry = MODELS[name]
    if name == "tiny-llama":
        entry["config"]["rope_scaling"] = dict(MODELS["llama3.2-1b"]["config"]["rope_scaling"],
                                               original_max_position_embeddings=64)
    slow = cache_compat.build_from_config(entry["model_type"], entry["config"], torch.float32)
    with torch.device("cpu"), random_weights.WithoutDrawing():
        fast = cache_compat.build_from_config(entry["model_type"], entry["config"], torch.float32)
    random_weights.fill(fast, 7)
    slow.load_state_dict(fast.state_dict())
    ids = torch.arange(96).reshape(2, 48)
    with torch.inference_mode():
        answer[name] = bool(torch.equal(slow.eval()(ids).logits, fast.eval()(ids).logits))
"""
RANDOM = """
model = built("gpt2-25m")
table, first = model.transformer.wte.weight, model.transformer.h[0].attn.c_attn.weight
ids = torch.arange(16).reshape(1, 16)
with torch.inference_mode():
    chosen = model(ids).logits.argmax(-1)[0].tolist()
layers = [layer.mlp.c_fc.weight.detach() for layer in model.transformer.h]
answer = {
    "first": [round(value, 6) for value in first[0, :4].tolist()],
    "chosen": chosen,
    "rows": [len(table), len(torch.unique(table, dim=0))],
    "deviations": [round(float(weight.std() * weight.shape[0] ** 0.5), 2) for weight in layers],
    "norm": model.transformer.ln_f.weight.unique().tolist(),
    "bias": model.transformer.ln_f.bias.unique().tolist(),
    "layers_equal": bool(torch.equal(layers[0], layers[1])),
    "seeds_equal": bool(torch.equal(built("gpt2-25m", seed=43).transformer.wte.weight, table)),
}
"""
REFUSED = """
answer = {}
for name, (model, changes, _) in REFUSALS.items():
    try:
        built(model, **changes)
    except model_zoo.SpecError as error:
        answer[name] = str(error)
"""
DTYPES = """
real, answer = model_zoo.build_from_config, {}
def in_float32(*arguments):
    return real(*arguments).float()
def in_part(*arguments):
    model = real(*arguments)
    model.lm_head.float()
    return model
def in_part_on_purpose(*arguments):
    model = in_part(*arguments)
    model._keep_in_fp32_modules = ["lm_head"]
    return model
for build in (real, in_float32, in_part, in_part_on_purpose):
    model_zoo.build_from_config = build
    asked = spec("tiny-llama", dtype="bfloat16")
    try:
        facts = model_zoo.model_facts(asked, built("tiny-llama", dtype="bfloat16"))
        answer[build.__name__] = [facts["dtypes"], facts["kept_in_float32"], facts["weight_bytes"]]
    except model_zoo.SpecError as error:
        answer[build.__name__] = str(error)
model_zoo.build_from_config = real
"""


@pytest.fixture(scope="module")
def answers(
    torch_environment: TorchEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Answer what needs no hub, each from models as they are, in one process."""
    folder = tmp_path_factory.mktemp("models")
    save = f"""
files = {str(folder / "files")!r}
built("tiny-llama").save_pretrained(files)
answer = files
"""
    questions = {
        "parameters": PARAMETERS, "fast": FAST, "random": RANDOM, "refused": REFUSED, "saved": save,
        "dtypes": DTYPES,
    }  # fmt: skip
    script = f"""
REFUSALS = {REFUSALS!r}
KNOWN, found = MODELS, {{}}
for question, text in {questions!r}.items():
    scope = {{**globals(), "MODELS": copy.deepcopy(KNOWN)}}
    exec(text, scope)
    found[question] = scope["answer"]
print(json.dumps(found))
"""
    answers: dict[str, Any] = run(torch_environment, folder, script)
    return answers


def test_transformers_builds_the_published_number_of_parameters(answers: dict[str, Any]) -> None:
    assert set(answers["parameters"]) == set(known_models())
    for name, (counted, rope) in answers["parameters"].items():
        entry = known_models()[name]
        assert counted == entry["parameters"], name
        config = entry["config"]
        assert rope.get("rope_theta") == (config.get("rope_theta") or rope.get("rope_theta")), name
        for key, value in config.get("rope_scaling", {}).items():
            assert rope[key] == value, (name, key)


def test_weights_of_another_dtype_than_asked_for_are_refused(answers: dict[str, Any]) -> None:
    found = answers["dtypes"]
    assert found["build_from_config"] == [{"bfloat16": 106816}, 0, 2 * 106816]
    for fault in ("in_float32", "in_part"):
        assert found[fault].startswith("bfloat16 weights of tiny-llama are asked for")
        assert found[fault].endswith("makes some of torch.float32")
    dtypes, kept, size = found["in_part_on_purpose"]
    assert kept == dtypes["float32"] > 0
    assert size == 2 * dtypes["bfloat16"] + 4 * kept
    assert sum(dtypes.values()) == 106816


def test_a_model_built_fast_is_the_model_built_slowly(answers: dict[str, Any]) -> None:
    """Buffers that nobody saves must be right, the llama3 frequencies among them."""
    assert answers["fast"] == dict.fromkeys(("tiny-llama", "tiny-qwen2", "tiny-gpt2"), True)


def test_random_weights_are_the_same_everywhere_and_no_two_rows_are_equal(
    answers: dict[str, Any],
) -> None:
    """The numbers below are those of torch 2.13 with transformers 4.46, 4.57 and 5.23."""
    found = answers["random"]
    assert found["rows"][0] == found["rows"][1] == 50257
    assert found["deviations"] == [1.0, 1.0, 1.0]
    assert (found["norm"], found["bias"]) == ([1.0], [0.0])
    assert not found["layers_equal"]
    assert not found["seeds_equal"]
    assert len(set(found["chosen"])) > 8, "logits are apart: a choice depends on what came before"
    assert found["first"] == FIRST


FIRST = [0.067576, 0.073363, -0.020707, 0.081195]


@pytest.mark.parametrize("name", REFUSALS)
def test_what_the_zoo_cannot_make_is_refused(answers: dict[str, Any], name: str) -> None:
    assert REFUSALS[name][2] in answers["refused"][name]


@pytest.fixture(scope="module")
def repository(answers: dict[str, Any]) -> Path:
    """Files of a hub repository: a tiny model as transformers saves it, and what is not wanted."""
    files = Path(answers["saved"])
    (files / "README.md").write_text("not wanted", encoding="utf-8")
    (files / "consolidated.safetensors").write_text("not wanted", encoding="utf-8")
    return files


class Download:
    """Builds the assets of a model as `prepare` does."""

    def __init__(self, environment: TorchEnvironment, folder: Path) -> None:
        self.cache = CacheLayout(folder / "cache")
        self._python, self._bytecode = environment.python, environment.work / "bytecode"

    def build(self, model: str, revision: str = REVISION) -> BuiltAssets:
        setup = Setup(
            model=Model(id=model, revision=revision, weights="hub"),
            arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
            options={}, device="cpu", samples=1, warmup=0, seed=0,
        )  # fmt: skip
        point = PointContext(
            point="p", python=str(self._python), source=str(HARNESS), commit=None
        )  # fmt: skip
        builder = AssetBuilder(self.cache, ADAPTER, setup, nobody)
        return builder.build(point, bytecode=self._bytecode)


@pytest.fixture
def download(
    torch_environment: TorchEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Download:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return Download(torch_environment, tmp_path)


def test_weights_come_from_a_gated_hub_at_the_commit_and_are_measured_without_it(
    torch_environment: TorchEnvironment,
    repository: Path,
    download: Download,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serving(Hub("some/tiny", repository, token=TOKEN)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        built = download.build("some/tiny")
        asked = len(hub.seen)
        assert download.build("some/tiny").folders == built.folders
        assert len(hub.seen) == asked, "fetched once"
    folder = Path(built.folders["weights"])
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "reprokit-weights.json"}
    assert not names & {"README.md", "consolidated.safetensors", ".cache"}
    for path in download.cache.root.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    script = f"""
asked = spec("some/tiny", weights="hub", weights_dir={str(folder)!r})
with torch.inference_mode():
    model, own = model_zoo.build_model(asked), built("tiny-llama")
    ids = torch.arange(16).reshape(1, 16)
    same = bool(torch.equal(model(ids).logits, own(ids).logits))
print(json.dumps([same, model_zoo.model_facts(asked, model)]))
"""
    same, facts = run(torch_environment, tmp_path, script)
    assert same
    assert facts["parameters"] == known_models()["tiny-llama"]["parameters"]
    assert (facts["weights"], facts["source"], facts["revision"]) == ("hub", "some/tiny", REVISION)


def test_a_repository_that_holds_another_model_is_found_out(
    torch_environment: TorchEnvironment,
    repository: Path,
    download: Download,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(Hub("Qwen/Qwen2.5-0.5B", repository)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        folder = download.build("qwen2.5-0.5b").folders["weights"]
    script = f"""
try:
    built("qwen2.5-0.5b", weights="hub", weights_dir={folder!r})
except model_zoo.SpecError as error:
    print(json.dumps(str(error)))
"""
    message = run(torch_environment, tmp_path, script)
    assert message == "qwen2.5-0.5b has 106816 parameters, not 494032768"


def test_a_quantized_model_without_its_package_says_which(
    torch_environment: TorchEnvironment, repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "awq"
    folder.mkdir()
    config = json.loads((repository / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").symlink_to(repository / "model.safetensors")
    origin = {"repo": "some/awq", "revision": REVISION}
    (folder / "reprokit-weights.json").write_text(json.dumps(origin))
    script = f"""
try:
    built("some/awq", weights="hub", weights_dir={str(folder)!r}, dtype="float16")
except ImportError as error:
    print(json.dumps(str(error)))
"""
    assert "add both to stack.requirements" in run(torch_environment, tmp_path, script)


GATED = "some/tiny is gated: accept its licence on its page at"


@pytest.mark.parametrize(
    ("served", "model", "revision", "token", "words"),
    [
        ({"token": TOKEN}, "some/tiny", REVISION, None, f"{GATED} "),
        ({"token": TOKEN}, "some/tiny", REVISION, "hf_wrong", "the one that is set has no access"),
        ({}, "some/tiny", "e" * 40, None, f"has no commit {'e' * 40}: correct model.revision"),
        ({}, "some/other", REVISION, None, "some/other is not on the hub, or is private"),
        ({"says": "f" * 40}, "some/tiny", REVISION, None, f"with commit {'f' * 40}"),
        (
            {"lies": frozenset({"model.safetensors"})}, "some/tiny", REVISION, None,
            "model.safetensors is not what the hub says that it is",
        ),
    ],
    ids=["gated", "wrong_token", "no_such_commit", "no_such_repository", "moved", "altered"],
)  # fmt: skip
def test_a_hub_that_does_not_give_the_weights_fails_in_one_sentence(
    repository: Path,
    download: Download,
    monkeypatch: pytest.MonkeyPatch,
    served: dict[str, Any],
    model: str,
    revision: str,
    token: str | None,
    words: str,
) -> None:
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    with serving(Hub("some/tiny", repository, **served)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with pytest.raises(AssetError) as raised:
            download.build(model, revision)
    assert words in str(raised.value)
    assert token is None or token not in str(raised.value)
    assert not list(download.cache.assets.glob("*.json")), "nothing half fetched counts as whole"


def test_without_a_network_it_says_so(download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(AssetError, match=r"cannot be reached .* prepare the run where there is"):
        download.build("some/tiny")
