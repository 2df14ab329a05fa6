"""Resolving with the real uv and tiny wheels; no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dummy_wheels import (
    resolved,
)

from reprokit.cache import CacheLayout
from reprokit.envs.interpreter import find_interpreter
from reprokit.envs.lock import parse_lock
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.errors import (
    EnvironmentBuildError,
)

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("offline")]


def test_pip_configuration_is_all_that_uv_needs(cache: CacheLayout) -> None:
    lock = resolved(cache, "torch==2.7.1")
    assert [f"{pin.name}=={pin.version}" for pin in lock.pins] == [
        "foo==2.0",
        "torch==2.7.1",
        "triton==3.3.1",
    ]
    assert all(len(pin.hashes) == 1 for pin in lock.pins)
    assert parse_lock(lock.text()) == lock


def test_a_preferred_lock_keeps_its_versions(cache: CacheLayout) -> None:
    older = resolved(cache, "foo==1.0")
    assert resolved(cache, "torch==2.7.1", prefer=older).version("foo") == "1.0"


def test_off_matrix_pin_is_forced_and_not_declared(cache: CacheLayout) -> None:
    request = Request(("torch==2.7.1",), ("triton==3.6.0",), sys.executable)
    found = resolve(Uv.here(cache), TorchIndex(None), request, prefer=None)
    assert found.lock.version("triton") == "3.6.0"
    assert not found.declared
    assert found.says is not None
    assert found.says.startswith("Because torch")
    assert "triton==3.3.1" in found.says
    assert "\n" not in found.says


def test_a_declared_pin_is_not_forced(cache: CacheLayout) -> None:
    request = Request(("torch==2.8.0",), ("triton==3.4.0",), sys.executable)
    found = resolve(Uv.here(cache), TorchIndex(None), request, prefer=None)
    assert found.declared
    assert found.says is None


@pytest.mark.parametrize(
    ("requirements", "overrides", "words"),
    [
        (("torch==9.9",), (), "torch==9.9"),
        (("needs-bar==1.0",), (), "bar"),
        (("torch==2.7.1",), ("triton==9.9",), "triton==9.9"),
    ],
)
def test_what_cannot_be_satisfied_says_why(
    cache: CacheLayout, requirements: tuple[str, ...], overrides: tuple[str, ...], words: str
) -> None:
    request = Request(requirements, overrides, sys.executable)
    with pytest.raises(EnvironmentBuildError, match="no stack satisfies it: Because") as caught:
        resolve(Uv.here(cache), TorchIndex(None), request, prefer=None)
    assert words in caught.value.what


def test_an_unreachable_index_is_not_an_unsatisfiable_stack(
    cache: CacheLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    request = Request(("torch==2.7.1",), ("triton==3.6.0",), sys.executable)
    with pytest.raises(EnvironmentBuildError, match="could not be reached") as caught:
        resolve(Uv.here(cache), TorchIndex(None), request, prefer=None)
    assert "secret" not in str(caught.value)


def test_source_distributions_are_not_built_unasked(
    cache: CacheLayout, wheels: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "executed"
    project = tmp_path / "sdist" / "trap-1.0"
    project.mkdir(parents=True)
    (project / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: trap\nVersion: 1.0\n")
    (project / "setup.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    subprocess.run(
        ["tar", "czf", wheels / "trap-1.0.tar.gz", "-C", project.parent, "trap-1.0"], check=True
    )
    with pytest.raises(EnvironmentBuildError, match=r"no usable wheels|no wheels"):
        resolved(cache, "trap==1.0")
    assert not proof.exists()


def test_a_project_above_the_cache_does_not_change_the_stack(
    cache: CacheLayout, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.uv]\noverride-dependencies = ["foo==1.0"]\n')
    assert resolved(cache, "torch==2.7.1").version("foo") == "2.0"


def test_users_uv_override_does_not_change_the_stack(
    cache: CacheLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "over.txt").write_text("triton==3.6.0\n")
    monkeypatch.setenv("UV_OVERRIDE", str(tmp_path / "over.txt"))
    assert resolved(cache, "torch==2.7.1").version("triton") == "3.3.1"


def test_unreachable_torch_index_is_tried_once_and_noted(
    cache: CacheLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that refuses stands for every network that does not reach that index.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    (config := Path(os.environ["PIP_CONFIG_FILE"])).write_text(
        config.read_text().replace("no-index = true\n", f"index-url = {_empty_index(config)}\n")
    )
    torch = TorchIndex("cpu")
    uv = Uv.here(cache)
    request = Request(("torch==2.7.1",), (), sys.executable)
    assert resolve(uv, torch, request, prefer=None).lock.version("torch") == "2.7.1"
    note = torch.note()
    assert note is not None
    assert "could not be reached" in note
    calls: list[tuple[str, ...]] = []

    def count(chosen: Uv, backend: tuple[str, ...]) -> Any:
        calls.append(backend)
        return chosen.run("--version")

    torch.run(uv, count)
    assert calls == [()]


def _empty_index(config: Path) -> str:
    folder = config.parent / "empty-index"
    folder.mkdir(exist_ok=True)
    return folder.as_uri()


def test_a_python_that_is_not_here_is_a_clear_error(cache: CacheLayout) -> None:
    with pytest.raises(EnvironmentBuildError, match=r"no Python 3\.99") as caught:
        find_interpreter(Uv.here(cache), "3.99")
    assert "uv python install 3.99" in caught.value.hint
