"""A benchmark inherits what is on the list; what was left out and could matter is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprokit.process.environment import child_environment, point_variables


@pytest.mark.parametrize(
    "name",
    [
        "TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE", "TORCHDYNAMO_SUPPRESS_ERRORS",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES", "TORCHINDUCTOR_MAX_AUTOTUNE", "TORCH_LOGS",
        "TRITON_INTERPRET", "PYTORCH_CUDA_ALLOC_CONF", "CUDA_LAUNCH_BLOCKING", "LD_PRELOAD",
        "PYTHONPATH", "PYTHONHASHSEED", "HF_TOKEN", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY",
        "NVIDIA_API_KEY", "OPENAI_API_KEY", "DB_PASSWORD", "KMP_AFFINITY",
    ],
)  # fmt: skip
def test_what_could_matter_is_left_out_and_named_without_its_value(name: str) -> None:
    environment = child_environment({name: "sesame", "PATH": "/bin"}, added={})
    assert name not in environment.variables
    assert environment.removed == (name,)
    assert "sesame" not in environment.model_dump_json()


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
     "CUDA_HOME", "CC", "CXX", "OMP_NUM_THREADS", "SSL_CERT_FILE", "NVIDIA_VISIBLE_DEVICES",
     "HF_HOME"],
)  # fmt: skip
def test_what_a_benchmark_needs_is_inherited(name: str) -> None:
    environment = child_environment({name: "value"}, added={})
    assert environment.variables[name] == "value"
    assert environment.removed == ()


def test_everything_else_is_left_out_without_a_word() -> None:
    environment = child_environment({"EDITOR": "vi", "http_proxy": "x"}, added={})
    assert not {"EDITOR", "http_proxy"} & environment.variables.keys()
    assert environment.removed == ()


def test_the_network_is_off_and_what_is_added_wins() -> None:
    environment = child_environment({"LANG": "C"}, added={"LANG": "de", "HF_HUB_OFFLINE": "0"})
    assert environment.variables["LANG"] == "de"
    assert environment.variables["HF_HUB_OFFLINE"] == "0"
    assert child_environment({}, added={}).variables["HF_HUB_OFFLINE"] == "1"


def test_a_variable_that_is_replaced_was_not_removed() -> None:
    environment = child_environment({"TRITON_CACHE_DIR": "a"}, added={"TRITON_CACHE_DIR": "b"})
    assert environment.variables["TRITON_CACHE_DIR"] == "b"
    assert environment.removed == ()


def test_bytes_that_are_no_text_do_not_stop_a_run() -> None:
    environment = child_environment({"PATH": "/bin", "TMPDIR": "/tmp/\udcff"}, added={})
    assert "TMPDIR" not in environment.variables
    assert environment.model_dump_json()


def test_the_environment_it_is_given_stays_as_it_is() -> None:
    given = {"PATH": "/bin", "HF_TOKEN": "x"}
    child_environment(given, added={"A": "b"})
    assert given == {"PATH": "/bin", "HF_TOKEN": "x"}


def test_a_point_has_its_own_interpreter_and_caches() -> None:
    one = point_variables(
        {"PATH": "/bin"},
        python=Path("/e/bin/python"),
        bytecode=Path("/b"),
        compile_cache=Path("/c"),
    )
    assert one["PATH"].split(":") == ["/e/bin", "/bin"]
    assert one["PYTHONPYCACHEPREFIX"] == "/b"
    assert (one["TORCHINDUCTOR_CACHE_DIR"], one["TRITON_CACHE_DIR"]) == ("/c/inductor", "/c/triton")


def test_the_name_of_a_removed_variable_is_text_even_where_it_was_bytes() -> None:
    environment = child_environment({"PIP_\udcff": "1"}, added={})
    assert environment.removed == ("PIP_\\udcff",)
    assert environment.model_dump_json()
