"""Proof that an overlay is what gets imported: asked from inside, as a benchmark is started."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import all_suffixes
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import BaseModel, ConfigDict

from reprokit.envs.probe import ask
from reprokit.envs.steps import StepError
from reprokit.process.environment import point_variables

SCRIPT = Path(__file__).with_name("overlay_proof_script.py")
NOT_IMPORTED = "overlay_not_imported"
_SUFFIXES = tuple(sorted(all_suffixes(), key=len, reverse=True))


class _Seen(BaseModel):
    model_config = ConfigDict(strict=True)
    file: str | None
    version: str | None
    error: str | None


class _Report(BaseModel):
    """What `overlay_proof_script.py` writes."""

    model_config = ConfigDict(strict=True)
    imported: dict[str, _Seen]
    found: dict[str, _Seen]


def prove_imported(python: Path, overlay: Path, swept: Iterable[str]) -> dict[str, str]:
    """Import what an overlay was made for, and find all else that it holds.

    Args:
        python: the interpreter that it is put before.
        overlay: folder of packages.
        swept: distributions whose modules are really imported; those that they require are found.

    Returns:
        Module to the file that was loaded, relative to the overlay.

    Raises:
        StepError: an import fails, or loads something else than the overlay.
        ProbeError: the process dies.
    """
    wanted = {canonicalize_name(name) for name in swept}
    held = {canonicalize_name(each.name): each for each in distributions(path=[str(overlay)])}
    modules = {name: _modules(each) for name, each in held.items()}
    asked = {
        "import": [module for name in wanted & set(held) for module in _chief(name, modules[name])],
        "find": sorted({module for names in modules.values() for module in _public(names)}),
    }
    report = _ask(python, overlay, asked)
    for name in sorted(wanted & set(held)):
        for module in _chief(name, modules[name]):
            _check_import(held[name], module, report.imported[module], overlay)
    for module, seen in sorted(report.found.items()):
        _check_place(module, seen, overlay)
    return {
        module: os.path.relpath(str(seen.file), os.path.realpath(overlay))
        for module, seen in sorted(report.imported.items())
    }


def _ask(python: Path, overlay: Path, asked: Mapping[str, list[str]]) -> _Report:
    with TemporaryDirectory(prefix="reprokit-proof-") as scratch:
        added = point_variables(
            os.environ, python=python, bytecode=Path(scratch) / "bytecode",
            compile_cache=Path(scratch), overlay=overlay,
        )  # fmt: skip
        return ask(
            [str(python), "-s", "-B", str(SCRIPT), json.dumps(asked)],
            _Report,
            whom=f"importing {', '.join(asked['import']) or 'nothing'} from the overlay",
            hint="The words are those of the interpreter as it ended.",
            added=added,
        )


def _check_import(each: Distribution, module: str, seen: _Seen, overlay: Path) -> None:
    if seen.error is not None:
        raise StepError(
            NOT_IMPORTED,
            f"{each.name} {each.version} does not import on this interpreter: "
            f"import {module} raises {seen.error}",
        )
    _check_place(module, seen, overlay)
    if seen.version is not None and not _same(seen.version, each.version):
        raise StepError(
            NOT_IMPORTED,
            f"the overlay holds {each.name} {each.version}, and import {module} loads "
            f"{seen.version}",
        )


def _check_place(module: str, seen: _Seen, overlay: Path) -> None:
    place = os.path.realpath(overlay)
    if seen.error is not None:
        raise StepError(
            NOT_IMPORTED,
            f"the overlay holds {module}, and looking for it raises {seen.error}: which file an "
            "import would load cannot be told",
        )
    if seen.file is None or not seen.file.startswith(f"{place}{os.sep}"):
        raise StepError(
            NOT_IMPORTED,
            f"import {module} does not load the overlay: it loads {seen.file or 'no file'}. A "
            "package of the interpreter that is imported before the path is searched (a .pth file, "
            "an editable install) does that",
        )


def _same(module: str, distribution: str) -> bool:
    try:
        return Version(module).public == Version(distribution).public
    except InvalidVersion:
        return True  # a word of the module's own, which says nothing about the distribution


def _chief(name: str, modules: list[str]) -> list[str]:
    """Choose what stands for a distribution: the module of its name, or else all public ones."""
    own = [module for module in modules if canonicalize_name(module) == name]
    return own or _public(modules)


def _public(modules: list[str]) -> list[str]:
    return [module for module in modules if not module.rpartition(".")[2].startswith("_")]


def _modules(each: Distribution) -> list[str]:
    """Name the outermost modules of a distribution; inside a shared namespace, those below it."""
    files = [PurePosixPath(str(path)) for path in each.files or ()]
    packages = {path.parent for path in files if path.name == "__init__.py"}
    return sorted({".".join(parts) for path in files for parts in _outermost(path, packages)})


def _outermost(path: PurePosixPath, packages: set[PurePosixPath]) -> Iterator[tuple[str, ...]]:
    """Give the module that has to be imported first for a file to be used; nothing for data."""
    for depth in range(1, len(path.parts)):
        folder = PurePosixPath(*path.parts[:depth])
        if not folder.name.isidentifier():
            return
        if folder in packages:
            yield folder.parts
            return
    stem = next((path.name[: -len(end)] for end in _SUFFIXES if path.name.endswith(end)), "")
    if stem.isidentifier() and path.parts[0] != "bin":
        yield (*path.parts[:-1], stem)
