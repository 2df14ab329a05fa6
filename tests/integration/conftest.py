"""Resources that several integration tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import kept_compiler
import pytest
from dummy_wheels import only_pips_configuration, torch_like_wheelhouse
from torch_environment import PYTHON_VARIABLE, REQUIREMENTS, TorchEnvironment, build

from reprokit.cache import CacheLayout
from reprokit.envs.disk import remove_tree
from reprokit.errors import EnvironmentBuildError


@pytest.fixture(scope="session")
def torch_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchEnvironment]:
    """Give an environment with torch: the one that REPROKIT_TEST_PYTHON names, or a new one."""
    work = tmp_path_factory.mktemp("torch")
    named = os.environ.get(PYTHON_VARIABLE)
    try:
        python = Path(named) if named else build(work)
    except EnvironmentBuildError as error:
        pytest.skip(f"no index here provides {' '.join(REQUIREMENTS)}: {error.what}")
    environment = TorchEnvironment(python, work, kept_compiler.install(work / "compiler"))
    yield environment
    remove_tree(environment.temporary())
    if (work / "cache").exists():
        remove_tree(work / "cache")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Give a folder of tiny wheels that look like torch and what it needs."""
    return torch_like_wheelhouse(tmp_path / "wheels")


@pytest.fixture
def offline(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a machine whose only source of distributions is the folder of wheels."""
    only_pips_configuration(tmp_path, wheels, monkeypatch)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[CacheLayout]:
    """Give a cache of reprokit's that is empty."""
    yield CacheLayout(tmp_path / "cache")
    remove_tree(tmp_path / "cache")
