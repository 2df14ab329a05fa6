"""A C++ compiler that keeps what it made, as ccache does.

    PYTHON kept_compiler.py KEPT COMPILER ARGUMENTS...

Inductor's own cache lies in a folder that every run has for itself; compiling the same kernels anew
for each of them would take most of the time of the tests. Only a library made of one source is
kept, under what its source and its arguments say; everything else, failures too, is the compiler's.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def install(folder: Path) -> Path | None:
    """Write a compiler that keeps what it makes under `folder`; None where there is none to ask."""
    real = shutil.which(os.environ.get("CXX", "g++"))
    if real is None:
        return None
    kept = folder / "kept"
    kept.mkdir(parents=True)
    # Inductor chooses its arguments by the name.
    script = folder / Path(real).name
    command = shlex.join([sys.executable, "-I", "-S", str(Path(__file__)), str(kept), real])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    return script


def compile_with(kept: Path, compiler: str, arguments: Sequence[str]) -> int:
    """Compile, or hand out what was made of the same source before; return the exit code."""
    sources = [each for each in arguments if each.endswith(".cpp")]
    if len(sources) != 1 or "-shared" not in arguments or "-o" not in arguments:
        return subprocess.run([compiler, *arguments], check=False).returncode
    made = Path(arguments[arguments.index("-o") + 1])
    same = [each for each in arguments if each not in {sources[0], str(made)}]
    content = Path(sources[0]).read_bytes()
    known = kept / hashlib.sha256("\0".join([compiler, *same, ""]).encode() + content).hexdigest()
    if known.exists():
        shutil.copyfile(known, made)
        made.chmod(0o755)
        return 0
    code = subprocess.run([compiler, *arguments], check=False).returncode
    if code == 0:
        partial = known.with_name(f"{known.name}.{os.getpid()}")
        shutil.copyfile(made, partial)
        partial.replace(known)
    return code


if __name__ == "__main__":
    sys.exit(compile_with(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
