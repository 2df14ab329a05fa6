"""The models of the harness as data, and what may be asked for whose weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.hf_harness.models import known_models
from adapters.hf_harness.weights import asset_steps, model_complaint, repository_of
from reprokit.adapter import Model, PointContext, Setup
from reprokit.process.environment import child_environment
from reprokit.records import Arm

REVISION = "0123456789abcdef0123456789abcdef01234567"
POINT = PointContext(point="p", python="/python", source="/harness", commit=None)
PUBLISHED = {
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-7b-awq": 7_615_616_512,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "llama3.1-8b": 8_030_261_248,
}


def setup(model: str, weights: str = "hub", revision: str | None = REVISION) -> Setup:
    return Setup(
        model=Model(id=model, weights=weights, revision=revision),
        arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
        options={}, device="cpu", samples=1, warmup=0, seed=0,
    )  # fmt: skip


def decoder(config: dict[str, Any], *, biased: bool) -> int:
    """Parameters of a Llama or Qwen2: embedding, layers, last norm, head."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim", hidden // config["num_attention_heads"])
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    attention = 2 * hidden * queries + 2 * hidden * keys + biased * (queries + 2 * keys)
    layer = attention + 3 * hidden * inner + 2 * hidden
    tables = 1 if config["tie_word_embeddings"] else 2
    layers = config["num_hidden_layers"] * layer
    return int(layers + tables * config["vocab_size"] * hidden + hidden)


def gpt2(config: dict[str, Any]) -> int:
    width = config["n_embd"]
    tables = (config["vocab_size"] + config["n_positions"]) * width
    return int(tables + config["n_layer"] * (12 * width * width + 13 * width) + 2 * width)


@pytest.mark.parametrize("name", sorted(known_models()))
def test_the_count_follows_from_the_shapes(name: str) -> None:
    entry = known_models()[name]
    config = entry["config"]
    if entry["model_type"] == "gpt2":
        assert entry["parameters"] == gpt2(config)
    else:
        assert entry["parameters"] == decoder(config, biased=entry["model_type"] == "qwen2")


def test_counts_are_the_published_ones() -> None:
    assert {name: known_models()[name]["parameters"] for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize(("name", "millions"), [("25m", 25), ("50m", 50), ("100m", 100)])
def test_shapes_that_are_our_choice_fit_the_name_and_say_so(name: str, millions: int) -> None:
    entry = known_models()[f"gpt2-{name}"]
    assert entry["parameters"] == pytest.approx(millions * 1e6, rel=0.02)
    assert "our choice" in entry["source"]
    assert entry["repo"] is None


def test_every_model_has_a_source_and_real_ones_a_repository() -> None:
    for name, entry in known_models().items():
        assert entry["source"]
        assert (entry["repo"] is not None) == (name in PUBLISHED)
        assert entry["repo"] is None or entry["repo"] in entry["source"]


def test_random_weights_need_nothing_built() -> None:
    assert asset_steps(setup("qwen2.5-7b", "synthetic", None), POINT) == ()
    assert model_complaint(setup("tiny-llama", "synthetic"), {"model": "qwen2.5-3b"}) is None


def test_the_download_is_keyed_by_the_commit() -> None:
    (step,) = asset_steps(setup("qwen2.5-0.5b"), POINT)
    assert f"--revision={REVISION}" in step.command.argv
    assert "--repo=Qwen/Qwen2.5-0.5B" in step.command.argv
    assert step.about_bytes == 2 * 494_032_768
    (other,) = asset_steps(setup("qwen2.5-0.5b", revision="f" * 40), POINT)
    (own,) = asset_steps(setup("some/model"), POINT)
    assert len({str(each.key) for each in (step, other, own)}) == 3
    assert own.about_bytes is None


@pytest.mark.parametrize("model", ["qwen2.5-0.5b", "some/model"])
def test_without_a_commit_nothing_is_fetched_and_the_reason_is_told(model: str) -> None:
    asked = setup(model, revision=None)
    assert asset_steps(asked, POINT) == ()
    assert "set model.revision to the commit" in str(model_complaint(asked, {"model": model}))


@pytest.mark.parametrize(
    ("claimed", "weights", "measured", "words"),
    [
        ("gpt2-25m", "hub", "gpt2-25m", "the hub has no weights of gpt2-25m"),
        ("nobody", "hub", "nobody", "write owner/name"),
        ("qwen2.5-3b", "hub", "qwen2.5-7b", "pins the revision of one model, qwen2.5-3b"),
        ("qwen2.5-7b-awq", "synthetic", "qwen2.5-7b-awq", "no calibrated scales"),
        ("nobody", "synthetic", "nobody", "it has gpt2-100m"),
        ("some/model", "synthetic", "some/model", "the harness has no model 'some/model'"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_to_write(
    claimed: str, weights: str, measured: str, words: str
) -> None:
    asked = setup(claimed, weights)
    assert words in str(model_complaint(asked, {"model": measured}))


@pytest.mark.parametrize("model", ["gpt2-25m", "nobody", "a/b/c"])
def test_no_repository_no_download(model: str) -> None:
    assert repository_of(model) is None
    assert asset_steps(setup(model), POINT) == ()


def test_a_token_is_for_the_download_alone() -> None:
    (step,) = asset_steps(setup("qwen2.5-0.5b"), POINT)
    environ = {"HF_TOKEN": "hf_secret", "HTTPS_PROXY": "http://user:secret@proxy"}
    assert set(environ) <= set(step.inherits)
    assert "secret" not in step.model_dump_json()
    benchmark = child_environment(environ, added={})
    assert not set(environ) & set(benchmark.variables)


def test_the_download_script_lies_where_the_step_says() -> None:
    (step,) = asset_steps(setup("qwen2.5-0.5b"), POINT)
    assert Path(step.command.argv[2]).name == "fetch_weights.py"
    assert Path(step.command.argv[2]).is_file()
    assert "--need=config.json=it is no transformers model" in step.command.argv
