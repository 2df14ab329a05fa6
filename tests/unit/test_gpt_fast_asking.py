"""What gpt-fast is asked for: options, the command line, what a commit cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gpt_fast_files import NEW_SCRIPT, OLD_SCRIPT, checkout, invocation, setup
from pydantic import JsonValue

from adapters.gpt_fast import ADAPTER
from adapters.gpt_fast.adapter import GptFast
from adapters.gpt_fast.generate_source import read_generate_source
from reprokit.adapter import BringsStandIns, Model, OptionError, ProbesPhases
from reprokit.errors import UsageError
from reprokit.records import Arm, Scalar


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"max_new_token": 3}, "max_new_token"),
        ({"max_new_tokens": 1}, "max_new_tokens"),
        ({"max_new_tokens": True}, "max_new_tokens"),
        ({"max_new_tokens": "200"}, "max_new_tokens"),
        ({"max_new_tokens": 1_000_001}, "max_new_tokens"),
        ({"batch_size": 10**30}, "batch_size"),
        ({"prompt": "é" * 50_001}, "prompt"),
        ({"top_k": 0}, "top_k"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "12"}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"compile_prefill": 1}, "compile_prefill"),
        ({"batch_size": 0}, "batch_size"),
        ({"checkpoint": "relative/model.pth"}, "checkpoint"),
    ],
)
def test_a_wrong_option_is_refused_where_it_stands(options: dict[str, Any], where: str) -> None:
    with pytest.raises(OptionError) as caught:
        ADAPTER.check_options(options)
    assert caught.value.path == ("options", where)


def test_the_largest_that_can_be_asked_for() -> None:
    options: dict[str, JsonValue] = {
        "max_new_tokens": 1_000_000,
        "batch_size": 1_000_000,
        "prompt": "é" * 50_000,
    }
    assert ADAPTER.check_options(options).items() >= options.items()


@pytest.mark.parametrize("value", [0, -1, 1_000_001, 1.0, True, "8", "abc"])
def test_a_batch_that_cannot_be_asked_for_is_refused_before_a_run(value: Scalar) -> None:
    assert GptFast().cell_fault("batch", 8) is None
    fault = GptFast().cell_fault("batch", value)
    assert fault is not None
    assert repr(value) in fault


def test_model_and_checkpoint_fit_together_or_the_claim_says_where_not() -> None:
    own = ADAPTER.check_options({"checkpoint": "/models/7B/model.pth"})
    hub, random = Model(id="a/7B"), Model(id="a/7B", weights="synthetic")
    assert GptFast().misfit(hub, own) is None
    assert GptFast().misfit(hub, ADAPTER.check_options({})) is None
    assert GptFast().misfit(random, ADAPTER.check_options({})) is None
    both, none = GptFast().misfit(random, own), GptFast().misfit(None, own)
    assert both is not None
    assert none is not None
    assert (both.path, none.path) == (("adapter", "options", "checkpoint"), ("model",))


def test_an_unknown_option_comes_with_the_known_ones() -> None:
    with pytest.raises(OptionError) as caught:
        ADAPTER.check_options({"max_tokens": 3})
    assert "max_new_tokens" in caught.value.known


def test_defaults_are_those_of_the_script_and_checking_twice_changes_nothing() -> None:
    filled = ADAPTER.check_options({"temperature": 1})
    assert filled["max_new_tokens"] == 200
    assert filled["prompt"] == "Hello, my name is"
    assert filled["temperature"] == 1.0
    assert ADAPTER.check_options(filled) == filled


def test_options_are_read_from_calls_and_not_from_text(tmp_path: Path) -> None:
    old = read_generate_source(Path(checkout(tmp_path / "old", OLD_SCRIPT).source))
    new = read_generate_source(Path(checkout(tmp_path / "new", NEW_SCRIPT).source))
    assert "device" not in old.options
    assert {"device", "batch_size"} <= new.options
    assert old.token_rule == "y.size(0) - prompt_length"
    assert new.always_compiled == ("create_block_mask",)
    assert old.precision == "bfloat16"


@pytest.mark.parametrize("script", [None, "def broken(:\n", "\0"])
def test_a_script_that_cannot_be_read_makes_the_point_unsupported(
    tmp_path: Path, script: str | None
) -> None:
    point = checkout(tmp_path / "checkout", script)
    command = ADAPTER.command(setup(), point, invocation(tmp_path / "i"))
    assert command.unsupported is not None
    assert "generate.py" in command.unsupported


def test_a_commit_without_device_is_unsupported_on_a_cpu_and_launched_all_the_same(
    tmp_path: Path,
) -> None:
    point = checkout(tmp_path / "checkout", OLD_SCRIPT)
    command = ADAPTER.command(setup(), point, invocation(tmp_path / "i"))
    assert command.unsupported == (
        "generate.py at d2c5d82 has no --device option and always uses cuda"
    )
    assert command.argv[:2] == ("/env/bin/python", "-s")
    assert Path(command.argv[2]).name == "launch.py"
    script = command.argv[command.argv.index("generate.py") :]
    assert not any(part.startswith("--device") for part in script)
    on_gpu = ADAPTER.command(setup(device="cuda"), point, invocation(tmp_path / "i"))
    assert on_gpu.unsupported is None


@pytest.mark.parametrize(
    ("option", "asked", "refused"),
    [
        ("prompt", {}, True),
        ("max_new_tokens", {}, True),
        ("checkpoint_path", {}, True),
        ("num_samples", {}, True),
        ("temperature", {}, False),
        ("temperature", {"temperature": 0.5}, True),
        ("top_k", {"top_k": 7}, True),
    ],
)
def test_what_a_commit_cannot_be_told_is_never_left_out_unsaid(
    tmp_path: Path, option: str, asked: dict[str, Any], refused: bool
) -> None:
    script = NEW_SCRIPT.replace(f"--{option}", f"--other_{option}")
    assert script != NEW_SCRIPT
    point = checkout(tmp_path / "checkout", script)
    command = ADAPTER.command(setup(**asked), point, invocation(tmp_path / "i"))
    assert (f"has no --{option} option" in str(command.unsupported)) is refused


def test_the_compiled_arm_runs_one_more_sample_under_the_profiler(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    eager = ADAPTER.command(setup(), point, invocation(tmp_path / "e")).argv
    compiled = ADAPTER.command(setup(), point, invocation(tmp_path / "c", Arm.SUBJECT)).argv
    assert "--num_samples=3" in eager
    assert not any(part.startswith("--profile") for part in eager)
    assert {"--num_samples=4", "--compile", f"--profile={tmp_path / 'c' / 'profile'}"} <= set(
        compiled
    )
    assert "--compile_prefill" not in compiled
    assert "--checkpoint_path=/assets/one/checkpoints/stories15M/model.pth" in compiled


def test_the_cell_sets_the_batch_and_a_commit_may_not_know_it(tmp_path: Path) -> None:
    old = checkout(tmp_path / "old", OLD_SCRIPT)
    new = checkout(tmp_path / "new", NEW_SCRIPT)
    asked = invocation(tmp_path / "i", batch=4)
    assert "--batch_size=4" in ADAPTER.command(setup(), new, asked).argv
    refused = ADAPTER.command(setup(device="cuda"), old, asked).unsupported
    assert refused is not None
    assert "--batch_size" in refused
    with pytest.raises(UsageError, match="batch"):
        ADAPTER.command(setup(), new, invocation(tmp_path / "i", batch="4"))


def test_another_dtype_and_a_model_of_no_commit_are_unsupported_in_words(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    model = Model(id="meta-llama/Llama-2-7b-chat-hf", dtype="float16", weights="hub")
    asked = setup().model_copy(update={"model": model})
    reason = ADAPTER.command(asked, point, invocation(tmp_path / "i")).unsupported
    assert reason is not None
    assert "float16" in reason
    assert "set model.revision" in reason
    assert "model.weights=synthetic" in reason
    assert ADAPTER.assets(asked, point) == ()


def test_a_checkpoint_of_the_users_own_is_used_for_real_weights_only(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    own = setup(checkpoint="/models/7B/model.pth")
    with pytest.raises(UsageError, match="exclude each other"):
        ADAPTER.assets(own, point)
    real = own.model_copy(update={"model": Model(id="a/7B", dtype="bfloat16", weights="hub")})
    command = ADAPTER.command(real, point, invocation(tmp_path / "i"))
    assert command.unsupported is None
    assert "--checkpoint_path=/models/7B/model.pth" in command.argv


@pytest.mark.parametrize("model_id", ["../up", "a//b", "/abs", "a/..", "a\\b"])
def test_a_model_id_cannot_lead_out_of_the_asset(tmp_path: Path, model_id: str) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    model = Model(id=model_id, dtype="bfloat16", weights="synthetic")
    asked = setup().model_copy(update={"model": model})
    with pytest.raises(UsageError, match="no model id"):
        ADAPTER.command(asked, point, invocation(tmp_path / "i"))
    with pytest.raises(UsageError, match="no model id"):
        ADAPTER.assets(asked, point)


def test_commits_share_a_checkpoint_whose_shapes_are_equal(tmp_path: Path) -> None:
    point = checkout(tmp_path / "a", NEW_SCRIPT)
    other = checkout(tmp_path / "b", OLD_SCRIPT)
    shapes, weights = ADAPTER.assets(setup(), point)
    assert weights.key_files == {shapes.name: "shapes.json"}
    Path(other.source, "model.py").write_text("# the same shapes in other words\n")
    assert ADAPTER.assets(setup(), other)[0].key != shapes.key
    assert ADAPTER.assets(setup(), other)[1].key == weights.key
    assert ADAPTER.assets(setup(prompt="Once"), point)[1].key != weights.key
    reseeded = setup().model_copy(update={"seed": 43})
    assert ADAPTER.assets(reseeded, point)[1].key != weights.key


def test_shapes_are_asked_for_in_each_environment_and_weights_are_shared(tmp_path: Path) -> None:
    """A torch that model.py cannot use gives no shapes; another one may."""
    point = checkout(tmp_path / "a", NEW_SCRIPT)
    old, new = (point.model_copy(update={"environment": name}) for name in ("torch-2.2", "2.7"))
    assert ADAPTER.assets(setup(), old)[0].key != ADAPTER.assets(setup(), new)[0].key
    assert ADAPTER.assets(setup(), old)[1].key == ADAPTER.assets(setup(), new)[1].key


def test_a_commit_that_reads_another_tokenizer_gets_another_checkpoint(tmp_path: Path) -> None:
    llama = Model(id="meta-llama/Llama-3-8B", dtype="bfloat16", weights="synthetic")
    asked = setup().model_copy(update={"model": llama})
    old, new = checkout(tmp_path / "a", OLD_SCRIPT), checkout(tmp_path / "b", NEW_SCRIPT)
    Path(new.source, "tokenizer.py").touch()
    keys = [ADAPTER.assets(asked, point)[1].key["tokenizer"] for point in (old, new)]
    assert keys == ["sentencepiece", "tiktoken"]


HUB = Model(id="meta-llama/Llama-2-7b-chat-hf", revision="f" * 40, dtype="bfloat16", weights="hub")


@pytest.mark.parametrize(
    ("converter", "wanted", "unwanted"),
    [
        ("import torch\n", "pytorch_model*.bin", "*.safetensors"),
        ("from safetensors.torch import load_file\n", "*.safetensors", "pytorch_model*.bin"),
    ],
)
def test_what_is_downloaded_is_what_the_commits_own_script_reads(
    tmp_path: Path, converter: str, wanted: str, unwanted: str
) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    (tmp_path / "checkout" / "scripts").mkdir()
    (tmp_path / "checkout" / "scripts" / "convert_hf_checkpoint.py").write_text(converter)
    asked = setup().model_copy(update={"model": HUB})
    download, convert = ADAPTER.assets(asked, point)
    assert f"--pattern={wanted}" in download.command.argv
    assert f"--pattern={unwanted}" not in download.command.argv
    assert "HF_TOKEN" in download.inherits
    assert convert.inherits == (), "conversion gets no token"
    assert convert.key_files == {download.name: "reprokit-weights.json"}
    command = ADAPTER.command(asked, point, invocation(tmp_path / "i"))
    assert command.unsupported is None
    assert not any("stand-ins" in part for part in command.argv), "real weights, real tokenizer"
    assert isinstance(ADAPTER, BringsStandIns)
    assert not ADAPTER.dispensable(asked)
    assert "sentencepiece" in ADAPTER.dispensable(setup())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revision": "main"}, "set model.revision"),
        ({"id": "stories15M"}, "is no repository of the hub"),
        ({"weights": "odd"}, "weights 'odd' are not known"),
    ],
)
def test_real_weights_that_cannot_be_had_say_what_to_change(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    asked = setup().model_copy(update={"model": HUB.model_copy(update=changes)})
    assert ADAPTER.assets(asked, point) == ()
    assert words in str(ADAPTER.command(asked, point, invocation(tmp_path / "i")).unsupported)


def test_a_phase_probe_is_the_same_launch_but_timed_and_not_profiled(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    asked = invocation(tmp_path / "i", Arm.SUBJECT)
    assert isinstance(ADAPTER, ProbesPhases)
    planned, probe = (
        list(make(setup(), point, asked).argv) for make in (ADAPTER.command, ADAPTER.phase_command)
    )
    assert "--phases" in probe[: probe.index("generate.py")]
    probe.remove("--phases")
    planned.remove(f"--profile={tmp_path / 'i' / 'profile'}")
    planned[planned.index("--num_samples=4")] = "--num_samples=3"
    assert probe == planned


def test_a_path_that_the_script_takes_for_quantized_weights_is_refused(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    odd = point.model_copy(update={"assets": {"checkpoint": "/data/int8/assets"}})
    reason = ADAPTER.command(setup(), odd, invocation(tmp_path / "i")).unsupported
    assert reason is not None
    assert "quantized" in reason


def test_a_claim_without_a_model_is_told_so(tmp_path: Path) -> None:
    point = checkout(tmp_path / "checkout", NEW_SCRIPT)
    with pytest.raises(UsageError, match="needs a model"):
        ADAPTER.assets(setup().model_copy(update={"model": None}), point)
