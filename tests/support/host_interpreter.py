"""Existing interpreters for `--stack host`: virtual environments that nobody of ours built."""

from __future__ import annotations

import venv
import zipfile
from pathlib import Path

from dummy_wheels import write_wheel


def make_host(folder: Path, **versions: str) -> Path:
    """Make an interpreter with tiny distributions, each with its RECORD; return its `python`."""
    venv.create(folder, with_pip=False, symlinks=True)
    for name, version in versions.items():
        install(folder / "bin" / "python", write_wheel(folder / "wheels", name, version))
    return folder / "bin" / "python"


def install(python: Path, wheel: Path) -> None:
    """Unpack a wheel as an installer would."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_of(python))


def site_of(python: Path) -> Path:
    """Return the folder of an interpreter's packages."""
    return next(python.parents[1].glob("lib/*/site-packages"))
