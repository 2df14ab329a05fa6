"""This machine as the checks see it; tests put another one in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from reprokit.cache import CacheLayout
from reprokit.envs.redact import HUB_TOKENS
from reprokit.errors import ReprokitError
from reprokit.gpu.inventory import Inventory, survey
from reprokit.gpu.owners import blindness
from reprokit.process.tool import ToolResult, run_tool

Run = Callable[[Sequence[str], float], ToolResult]


@dataclass(frozen=True)
class Surroundings:
    """Where to look.

    Attributes:
        environ: variables of the user.
        cache: the cache that a run would use.
        runs: folder of run directories.
        tool: starts a program with a limit in s; used for everything that is asked.
        gpus: asks the driver for its GPUs.
        blind: says why processes of others may be hidden; None where none are.
        has_module: tells whether reprokit's own Python has a module.
    """

    cache: CacheLayout
    runs: Path
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    tool: Run | None = None
    gpus: Callable[[], Inventory] = survey
    blind: Callable[[], str | None] = blindness
    has_module: Callable[[str], bool] = lambda name: find_spec(name) is not None

    def which(self, program: str) -> str | None:
        """Find a program on the PATH."""
        return shutil.which(program, path=self.environ.get("PATH", os.defpath))

    def run(self, *argv: str, limit_s: float = 30.0) -> ToolResult:
        """Run a program; one that cannot be started has failed with the system's words."""
        try:
            if self.tool is not None:
                return self.tool(argv, limit_s)
            env = {name: self.environ[name] for name in self.environ if name not in HUB_TOKENS}
            return run_tool(argv, env=env, timeout_s=limit_s)
        except ReprokitError as error:
            return ToolResult(127, "", error.what, timed_out=False)
