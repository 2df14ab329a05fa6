"""Which existing interpreter is measured on: `--stack host[:PYTHON]`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from reprokit.errors import ReprokitError, UsageError
from reprokit.process.environment import child_environment
from reprokit.process.tool import run_tool

OLDEST = (3, 8)
"""What the probe inside is written for."""
_NAMES = ("python3", "python")
_VERSION = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_LIMIT_S = 60.0
_NAME_IT = "Name the interpreter to measure on: --stack host:/path/to/python."


def host_interpreter(request: str, *, environ: Mapping[str, str], passed_over: Path | None) -> Path:
    """Find the interpreter that `host` or `host:PYTHON` names; starts nothing.

    `host` alone is what a shell here starts as `python3`, without the virtual environment that
    was made for reprokit, which activating it or `uvx` puts first in PATH.

    Args:
        request: "host", "host:PATH" or "host:NAME".
        environ: where PATH is taken from.
        passed_over: a virtual environment that `host` alone does not mean; None for none.

    Returns:
        An absolute path, with links unresolved: a virtual environment's `python` is one.

    Raises:
        UsageError: the request is something else, or there is no such interpreter.
    """
    kind, colon, named = request.partition(":")
    if kind != "host" or (colon and not named):
        raise UsageError(
            f"--stack {request!r} is not a stack", hint=f"It is host or host:PYTHON. {_NAME_IT}"
        )
    path = environ.get("PATH", os.defpath)
    if not named:
        return _first_on_path(path, passed_over)
    if os.sep not in named and not named.startswith("~"):
        found = shutil.which(named, path=path)
        if found is None:
            raise UsageError(f"--stack: there is no {named!r} on the PATH", hint=_NAME_IT)
        return Path(found).absolute()
    return _checked_file(Path(named).expanduser().absolute())


def check_interpreter(python: Path) -> None:
    """Start an interpreter once, before anything is written for its sake.

    Raises:
        UsageError: it does not start, or is too old to be asked what it holds.
    """
    said = ""
    try:
        result = run_tool(
            [str(python), "-I", "-B", "-c", _VERSION],
            env=child_environment(os.environ, added={}).variables,
            timeout_s=_LIMIT_S,
        )
        said = " ".join(result.stderr.split())[-300:] or f"exit {result.returncode}"
        version = tuple(int(part) for part in result.stdout.split()[-1].split("."))
    except (ReprokitError, ValueError, IndexError) as error:
        raise UsageError(
            f"--stack: {python} does not start as a Python 3: {said or error}", hint=_NAME_IT
        ) from error
    if version < OLDEST:
        shown = ".".join(map(str, version))
        raise UsageError(
            f"--stack: {python} is Python {shown}, which is too old",
            hint=f"Name one of {OLDEST[0]}.{OLDEST[1]} or newer: --stack host:/path/to/python.",
        )


def _first_on_path(path: str, passed_over: Path | None) -> Path:
    own = os.path.realpath(passed_over / "bin") if passed_over else None
    folders = [folder for folder in path.split(os.pathsep) if folder]
    others = os.pathsep.join(folder for folder in folders if os.path.realpath(folder) != own)
    for name in _NAMES:
        if others and (found := shutil.which(name, path=others)):
            return Path(found).absolute()
    beside = ", but the one made for reprokit" if passed_over else ""
    raise UsageError(f"--stack host: there is no python3 on the PATH{beside}", hint=_NAME_IT)


def _checked_file(path: Path) -> Path:
    if path.is_dir():
        inside = path / "bin" / "python"
        hint = f"Did you mean --stack host:{inside}?" if inside.exists() else _NAME_IT
        raise UsageError(f"--stack: {path} is a folder, not an interpreter", hint=hint)
    if not path.exists():
        raise UsageError(f"--stack: there is no interpreter {path}", hint=_NAME_IT)
    if not os.access(path, os.X_OK):
        raise UsageError(f"--stack: {path} is not executable", hint=_NAME_IT)
    return path
