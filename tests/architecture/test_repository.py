"""What must never be committed, and what keeps the tree readable."""

from __future__ import annotations

import re
from pathlib import Path

import git
import pytest

ROOT = Path(__file__).parents[2]
# Written in two parts so that this file does not contain what it forbids.
HOSTS = ("pypi" + ".org", "python" + "hosted", "download.py" + "torch", "registry.np" + "mjs")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|opt|home/\w+)/[\w.-]+")
LONGEST_FILE = 400


def _tracked() -> list[Path]:
    try:
        repository = git.Repo(ROOT)
    except git.InvalidGitRepositoryError:
        pytest.skip("needs a Git checkout: the list of tracked files comes from Git")
    return [ROOT / name for name in repository.git.ls_files("-z").split("\0") if name]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def test_no_registry_host_and_no_machine_path() -> None:
    guilty = []
    for path in _tracked():
        text = _text(path)
        guilty += [f"{path.name}: {host}" for host in HOSTS if host in text]
        guilty += [f"{path.name}: {found.group()}" for found in MACHINE_PATH.finditer(text)]
    assert not guilty


def test_no_lock_format_that_names_urls() -> None:
    locks = re.compile(r"(^|/)(uv\.lock|pylock(\..*)?\.toml|poetry\.lock|pdm\.lock)$")
    assert not [path for path in _tracked() if locks.search(path.as_posix())]


def test_files_own_one_noun() -> None:
    long = {
        path.name: count
        for path in _tracked()
        if path.suffix == ".py" and (count := _text(path).count("\n")) > LONGEST_FILE
    }
    assert not long


def test_no_drawer_for_everything() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not [path for path in _tracked() if path.name in drawers]
