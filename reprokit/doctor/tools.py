"""Programs that a run needs: Python, uv, git, a C++ compiler."""

from __future__ import annotations

import platform
import shlex
import sys
import sysconfig
import tempfile
from pathlib import Path

from reprokit.doctor.records import Check, fail, first_line, ok, warn
from reprokit.doctor.surroundings import Surroundings
from reprokit.envs.uv_command import Uv
from reprokit.errors import ReprokitError
from reprokit.process.tool import ToolResult

_SOURCE = '#include <vector>\nextern "C" int size() { return std::vector<int>(3).size(); }\n'


def check_python(_here: Surroundings) -> Check:
    """Look at the Python that runs reprokit, of which environments are made by default."""
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.is_file():
        return ok("python", found, "environments are made of it where a claim names no Python")
    return warn(
        "python",
        f"{found}, without Python.h",
        "Triton and the C++ wrapper of inductor cannot compile for environments made of it",
        "Install the headers of this Python (python3-dev or python3-devel), or run reprokit with "
        "one that brings them (uv python install).",
    )


def check_uv(here: Surroundings) -> Check:
    """Look for uv, which resolves and installs locked stacks."""
    try:
        uv = Uv.here(here.cache, here.environ)
    except ReprokitError as error:
        return fail("uv", error.what, "locked stacks cannot be made", error.hint)
    except OSError as error:
        return fail(
            "uv", f"{here.cache.root}: {error.strerror}", "uv has no folder to work in",
            "Set REPROKIT_CACHE to a folder that you can write to.",
        )  # fmt: skip
    version = here.run(str(uv.binary), "--version")
    if not version.ok:
        return fail(
            "uv", f"{uv.binary} does not start: {first_line(version.stderr)}",
            "locked stacks cannot be made", "Install reprokit again; it brings its uv.",
        )  # fmt: skip
    notes = "; ".join(uv.bridge.notes)
    if notes:
        return warn(
            "uv", f"{version.stdout.strip()}; {notes}",
            "a setting of pip could not be handed on to uv", "Correct it in pip's configuration.",
        )  # fmt: skip
    return ok("uv", version.stdout.strip(), "locked stacks can be resolved and installed")


def check_git(here: Surroundings) -> Check:
    """Look for Git, which brings the sources of claims."""
    binary = here.which("git")
    missing = "sources of claims cannot be checked out"
    if binary is None:
        return fail("git", "not on the PATH", missing, "Install git.")
    version = here.run(binary, "--version")
    if not version.ok:
        words = first_line(version.stderr) or f"exit {version.returncode}"
        return fail("git", f"{binary} does not work: {words}", missing, "Install git again.")
    return ok("git", version.stdout.strip(), "sources of claims can be checked out")


def check_compiler(here: Surroundings) -> Check:
    """Compile a few lines of C++ as inductor would: with the same compiler and OpenMP."""
    named = here.environ.get("CXX")
    default = "clang++" if sys.platform == "darwin" else "g++"
    means = "torch.compile cannot build kernels for a CPU, so compiled arms end as crashes"
    fix = f"Install a C++ compiler ({default}), or name one in CXX."
    try:
        command = shlex.split(named) if named else [default]
    except ValueError as error:
        return fail("C++ compiler", f"CXX={named!r} is no command: {error}", means, fix)
    if not command or here.which(command[0]) is None:
        what = f"CXX names {named!r}, which is not there" if named else f"no {default} on the PATH"
        return fail("C++ compiler", what, means, fix)
    try:
        result = _compile(here, command)
    except OSError as error:
        return fail(
            "C++ compiler", f"nothing can be compiled in the temporary folder: {error.strerror}",
            means, "Free some space there, or set TMPDIR to another folder.",
        )  # fmt: skip
    if not result.ok:
        words = first_line(result.stderr) or f"exit {result.returncode}"
        return fail("C++ compiler", f"{command[0]} does not compile: {words}", means, fix)
    version = first_line(here.run(*command, "--version").stdout)
    return ok("C++ compiler", version or command[0], "torch.compile can build kernels for a CPU")


def _compile(here: Surroundings, command: list[str]) -> ToolResult:
    """Compile the source in a folder of its own."""
    openmp = [] if sys.platform == "darwin" else ["-fopenmp"]
    with tempfile.TemporaryDirectory(prefix="reprokit-doctor-") as folder:
        source, made = Path(folder) / "size.cpp", Path(folder) / "size.so"
        source.write_text(_SOURCE)
        result = here.run(
            *command, "-O1", "-shared", "-fPIC", *openmp, str(source), "-o", str(made),
            limit_s=60.0,
        )  # fmt: skip
        if result.ok and not made.is_file():
            return ToolResult(1, "", "it made no file", timed_out=False)
        return result
