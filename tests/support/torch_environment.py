"""An environment with a real torch, and a way to run things in it as the runner would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from reprokit.cache import CacheLayout
from reprokit.envs.build import EnvironmentBuilder
from reprokit.envs.interpreter import describe
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.process.environment import child_environment, point_variables
from reprokit.progress import nobody

PYTHON_VARIABLE = "REPROKIT_TEST_PYTHON"
REQUIREMENTS = (
    "torch==2.13.0", "numpy", "transformers==5.23.0", "sentencepiece", "tiktoken", "blobfile",
    "safetensors",
)  # fmt: skip


@dataclass(frozen=True)
class TorchEnvironment:
    """An interpreter with torch and transformers; `work` holds bytecode and compiled code.

    `compiler` is the C++ compiler of the tests, which keeps what it made; None where there is none.
    """

    python: Path
    work: Path
    compiler: Path | None

    def toolchain(self) -> dict[str, str]:
        """Return the variables that make a process use the compiler, and leave nothing behind.

        Inductor puts large precompiled headers beside the temporary files.
        """
        temporary = {"TMPDIR": str(self.temporary())}
        return temporary if self.compiler is None else {**temporary, "CXX": str(self.compiler)}

    def temporary(self) -> Path:
        """Return the folder for temporary files."""
        folder = self.work / "temporary"
        folder.mkdir(exist_ok=True)
        return folder

    def run(
        self, *argv: str, cwd: Path, cache: str = "compiled", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command with the variables that the runner gives to a benchmark."""
        added = point_variables(
            os.environ, python=self.python, bytecode=self.work / "bytecode",
            compile_cache=self.work / cache,
        )  # fmt: skip
        environment = child_environment(
            os.environ, added={**added, **self.toolchain(), **variables}
        )
        return subprocess.run(
            argv, cwd=cwd, env=environment.variables, check=False, timeout=300,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip


def build(work: Path) -> Path:
    """Build the environment under `work` as `prepare` would; return its interpreter."""
    cache = CacheLayout(work / "cache")
    uv, torch = Uv.here(cache), TorchIndex("cpu")
    lock = resolve(uv, torch, Request(REQUIREMENTS, (), sys.executable), prefer=None).lock
    builder = EnvironmentBuilder(cache, uv, torch, build_from_source=(), observer=nobody)
    return builder.ensure(lock, describe(sys.executable), "tests").python
