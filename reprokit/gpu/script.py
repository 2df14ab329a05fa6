"""How the sampler is started: by the interpreter that runs reprokit, without site-packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from reprokit.gpu.nvml import LIBRARY_VARIABLE

# Appended, so that nothing beside reprokit comes before the standard library.
_BEGIN = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from reprokit.gpu.sampler import main; sys.exit(main(sys.argv[1:]))"
)
_PASSED_ON = (LIBRARY_VARIABLE, "LD_LIBRARY_PATH", "PATH")


def sampler_command(*arguments: str) -> tuple[str, ...]:
    """Return the command of the sampler."""
    root = str(Path(__file__).parents[2])
    return (sys.executable, "-I", "-S", "-B", "-c", _BEGIN, root, *arguments)


def sampler_environment() -> dict[str, str]:
    """Return all that the sampler gets of the environment: where the driver's library is."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
