"""Conversion by a checkout's own script: its files, its failures and a disk that fills up."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from adapters.gpt_fast import convert

SCRIPT = """
import json, sys
from pathlib import Path
assert __name__ == "__main__"
folder = Path(sys.argv[1].partition("=")[2])
names = json.loads((folder / "pytorch_model.bin.index.json").read_text())["weight_map"].values()
content = b"".join((folder / name).read_bytes() for name in sorted(set(names)))
(folder / "model.pth").write_bytes(content)
"""
Convert = Callable[[str], Path]


@pytest.fixture
def download(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    (folder / "original").mkdir(parents=True)
    files = {"pytorch_model.bin": b"weights", "original/tokenizer.model": b"tokens"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    origin = {
        "repo": "a/b", "revision": "f" * 40,
        "files": {name: {"size": len(content)} for name, content in files.items()},
    }  # fmt: skip
    (folder / convert.ORIGIN).write_text(json.dumps(origin))
    return folder


@pytest.fixture
def converted(download: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convert:
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    def run(script: str) -> Path:
        path, target = tmp_path / "convert_hf_checkpoint.py", tmp_path / "asset"
        path.write_text(script)
        target.mkdir()
        convert.convert("a/b", path, download, target)
        return target

    return run


def test_one_file_of_weights_needs_no_index_and_the_download_stays_as_it_is(
    converted: Convert, download: Path
) -> None:
    before = sorted((path, path.lstat().st_mtime_ns) for path in download.rglob("*"))
    target = converted(SCRIPT)
    made = target / "checkpoints" / "a" / "b"
    assert (made / "model.pth").read_bytes() == b"weights"
    assert (made / "tokenizer.model").read_bytes() == b"tokens"
    left = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert left == {
        "converted.json", "checkpoints/a/b/model.pth", "checkpoints/a/b/tokenizer.model",
    }  # fmt: skip
    assert sorted((path, path.lstat().st_mtime_ns) for path in download.rglob("*")) == before


def test_a_script_that_writes_a_tokenizer_does_not_write_into_the_download(
    converted: Convert, download: Path
) -> None:
    origin = json.loads((download / convert.ORIGIN).read_text())
    origin["files"]["tokenizer.model"] = {"size": 5}
    (download / convert.ORIGIN).write_text(json.dumps(origin))
    (download / "tokenizer.model").write_bytes(b"plain")
    target = converted(SCRIPT + "(folder / 'tokenizer.model').write_bytes(b'its own')\n")
    assert (target / "checkpoints/a/b/tokenizer.model").read_bytes() == b"its own"
    assert (download / "tokenizer.model").read_bytes() == b"plain"


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_is_too_small_is_said_before(
    converted: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 1 << 20))
    with pytest.raises(SystemExit, match=r"too full for the conversion: 0\.3 GB are needed"):
        converted("raise AssertionError('it must not be run')\n")


def test_a_disk_that_fills_up_meanwhile_is_said_and_another_failure_is_the_scripts_own(
    converted: Convert, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = [1 << 40, 0, 1 << 40, 1 << 40]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free.pop(0)))
    with pytest.raises(SystemExit, match=r"the disk of .* is full"):
        converted("raise RuntimeError('PytorchStreamWriter failed writing file')\n")
    shutil.rmtree(tmp_path / "asset")
    with pytest.raises(RuntimeError, match="its own words"):
        converted("raise RuntimeError('its own words')\n")


@pytest.mark.parametrize(
    ("script", "gone", "words"),
    [
        ("pass\n", "", "left no model.pth"),
        (SCRIPT, "original/tokenizer.model", "has no tokenizer.model"),
    ],
)
def test_what_generate_py_could_not_read_is_no_checkpoint(
    converted: Convert, download: Path, script: str, gone: str, words: str
) -> None:
    if gone:
        (download / gone).unlink()
    with pytest.raises(SystemExit, match=words):
        converted(script)
