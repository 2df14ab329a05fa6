"""Which Python interpreter a stack point runs on."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from reprokit.envs.uv_command import Uv
from reprokit.errors import EnvironmentBuildError, ReprokitError
from reprokit.process.tool import run_tool
from reprokit.records import Record

_PLAIN_VERSION = re.compile(r"^\d+(\.\d+){0,2}$")
_DESCRIBE = """
import json, platform, sys, sysconfig
print(json.dumps({
    "implementation": sys.implementation.name,
    "version": platform.python_version(),
    "abi": sysconfig.get_config_var("SOABI") or "",
    "platform": sysconfig.get_platform(),
    "libc": " ".join(platform.libc_ver()).strip(),
}))
"""
_LIMIT_S = 60.0


class Interpreter(Record):
    """An interpreter and what decides whether an environment fits it."""

    path: str
    implementation: str
    version: str
    abi: str
    platform: str
    libc: str

    def identity(self) -> tuple[str, ...]:
        """Return what environments of equal content have in common; paths are no part of it."""
        return (self.implementation, self.version, self.abi, self.platform, self.libc)


def find_interpreter(uv: Uv, request: str | None) -> Interpreter:
    """Find the interpreter for a version request; None means the one that runs reprokit.

    Raises:
        EnvironmentBuildError: there is none on this machine. None is ever downloaded here.
    """
    if request is None or _is_running(request):
        return describe(sys.executable)
    if request.startswith("-"):
        raise EnvironmentBuildError(f"{request!r} is not a Python version")
    result = uv.run("python", "find", "--system", "--no-project", request)
    path = result.stdout.strip()
    if not result.ok or not path:
        raise EnvironmentBuildError(
            f"there is no Python {request} on this machine",
            hint=f"Install it, for example with `uv python install {request}`, and try again.",
        )
    return describe(path)


def _is_running(request: str) -> bool:
    if not _PLAIN_VERSION.match(request) or sys.implementation.name != "cpython":
        return False
    wanted = tuple(int(part) for part in request.split("."))
    return sys.version_info[: len(wanted)] == wanted


def describe(path: str) -> Interpreter:
    """Ask an interpreter what it is.

    Raises:
        EnvironmentBuildError: it does not start or does not answer.
    """
    environment: Mapping[str, str] = {"PATH": str(Path(path).parent)}
    said = ""
    try:
        result = run_tool([path, "-I", "-c", _DESCRIBE], env=environment, timeout_s=_LIMIT_S)
        said = " ".join(result.stderr.split()) or f"exit {result.returncode}"
        return Interpreter(path=path, **json.loads(result.stdout))
    except (ReprokitError, TypeError, ValueError) as error:
        raise EnvironmentBuildError(
            f"the Python interpreter {path} does not work: {said or error}",
            hint="Repair or reinstall it, or ask for another version with `stack.python`.",
        ) from error
