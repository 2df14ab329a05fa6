"""The direction of imports is the design; these tests fail when it breaks."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("reprokit", "adapters", "internal_harness")

# Each unit of reprokit may import these other units. Left of the arrow in docs/architecture.md
# comes first; nothing may be imported that stands further right.
FOUNDATION = {"errors", "records", "metrics", "progress", "cache", "evidence", "atomic_files"}
CORE = FOUNDATION | {"adapter", "stack"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "records": set(),
    "metrics": set(),
    "progress": set(),
    "cache": {"errors"},
    "evidence": set(),
    "atomic_files": set(),
    "adapter": {"errors", "records"},
    "stack": {"records"},
    "claim": CORE,
    "plan": CORE | {"claim"},
    "sweep": CORE | {"claim", "plan"},
    "matrix": CORE | {"claim", "plan", "sweep"},
    "process": {"errors", "records", "evidence"},
    "envs": CORE | {"claim", "plan", "process"},
    "gpu": {"errors", "records", "evidence", "atomic_files", "process"},
    "regime": {"records", "metrics"},
    "run": CORE | {"claim", "plan", "process", "envs", "failure", "gpu"},
    "failure": {"errors", "records", "evidence"},
    "rows": CORE | {"claim", "plan", "process", "run", "failure"},
    "stats": {"records", "metrics", "errors"},
    "robustness": {"records", "metrics", "errors", "stats"},
    "verdict": CORE | {"claim", "plan", "stats", "robustness", "regime"},
    "gates": CORE | {"claim", "plan", "stats", "verdict", "regime"},
    "kept": CORE | {"claim", "plan", "run", "rows", "verdict"},
    "merging": CORE | {"claim", "plan", "stats", "robustness", "verdict", "gates", "kept"},
    "sensitivity": CORE | {"claim", "plan", "stats", "verdict", "kept", "merging"},
    "summary": CORE | {"claim", "plan", "matrix", "stats", "verdict", "kept", "merging"},
    "report": CORE
    | {"merging", "sensitivity", "summary"}
    | {"claim", "plan", "stats", "robustness", "verdict", "regime"},
    "scoring": CORE | {"plan", "run", "verdict", "gates", "report"},
    "check": CORE | {"plan", "run", "rows", "verdict", "gates", "report", "scoring"},
    "machine": {"cache"},
    "doctor": {"errors", "records", "cache", "envs", "gpu", "process"},
    "bundle": CORE | {"claim", "plan", "envs", "run", "machine"},
    "points": CORE | {"claim", "plan", "envs", "run", "machine", "bundle"},
    "finish": CORE | {"run", "rows", "verdict", "report", "scoring"},
    "pipeline": CORE
    | {"machine", "points", "bundle", "finish"}
    | {"claim", "plan", "sweep", "process", "envs", "run", "failure", "rows", "verdict", "report"},
    "__main__": {"cli"},
    "cli": CORE
    | {
        "machine",
        "bundle",
        "check",
        "finish",
        "claim",
        "kept",
        "merging",
        "sensitivity",
        "summary",
        "doctor",
        "plan",
        "sweep",
        "matrix",
        "envs",
        "run",
        "rows",
        "verdict",
        "report",
        "pipeline",
    },
}
STARTS_PROCESSES = {"subprocess", "multiprocessing", "pty"}


def _sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            module = node.module or ""
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def _unit(path: Path) -> str:
    return path.relative_to(ROOT / "reprokit").parts[0].removesuffix(".py")


def _reprokit_units(path: Path) -> set[str]:
    return {
        name.split(".")[1]
        for name in _imports(path)
        if name.startswith("reprokit.") and name.split(".")[1] != "__version__"
    }


@pytest.mark.parametrize("path", _sources("reprokit"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    unit = _unit(path)
    if unit == "__init__":
        assert not _reprokit_units(path)
        return
    assert unit in ALLOWED, (
        f"a new unit {unit!r}: give it its place in docs/architecture.md and here"
    )
    wrong = _reprokit_units(path) - ALLOWED[unit] - {unit}
    assert not wrong, f"{unit} may not import {sorted(wrong)}"


@pytest.mark.parametrize("path", _sources("adapters"), ids=lambda path: str(path.relative_to(ROOT)))
def test_adapters_know_only_the_protocol(path: Path) -> None:
    assert _reprokit_units(path) <= {"adapter", "records", "errors", "evidence"}


@pytest.mark.parametrize(
    "path", _sources("internal_harness"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_harness_stands_alone(path: Path) -> None:
    own = {source.stem for source in _sources("internal_harness")} | {"internal_harness"}
    roots = {name.split(".")[0] for name in _imports(path)}
    foreign = roots - set(sys.stdlib_module_names) - own - {"torch", "transformers"}
    assert not foreign, f"the harness runs in other people's environments; it has no {foreign}"


@pytest.mark.parametrize("name", ["nvml", "owners", "sampler", "window"])
def test_the_sampler_needs_nothing_installed(name: str) -> None:
    imported = _imports(ROOT / "reprokit" / "gpu" / f"{name}.py")
    ours = ("reprokit.gpu.nvml", "reprokit.gpu.owners", "reprokit.gpu.window")
    foreign = {
        each
        for each in imported
        if each.split(".")[0] not in sys.stdlib_module_names and not each.startswith(ours)
    }
    assert not foreign, f"it runs without site-packages; it has no {foreign}"


@pytest.mark.parametrize(
    "path",
    [path for package in PACKAGES for path in _sources(package)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_only_process_starts_processes(path: Path) -> None:
    if path.is_relative_to(ROOT / "reprokit" / "process"):
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = {name.split(".")[0] for name in _imports(path)}
    assert not roots & STARTS_PROCESSES
    calls = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    }
    starters = {name for name in calls if name.startswith(("exec", "spawn", "posix_spawn"))}
    assert not starters | (calls & {"system", "popen", "fork", "forkpty"})


def test_every_unit_of_the_table_exists() -> None:
    units = {_unit(path) for path in _sources("reprokit")} - {"__init__"}
    assert units == set(ALLOWED)
