"""Resources that several integration tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch_environment import PYTHON_VARIABLE, REQUIREMENTS, TorchEnvironment, build

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
    yield TorchEnvironment(python, work)
    if (work / "cache").exists():
        remove_tree(work / "cache")
