"""`reprokit matrix` writes where it was told to, and over nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprokit.cli.main import invoke
from reprokit.matrix.load import load_matrix


def test_an_empty_folder_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("mine\n")
    for empty in ("", "  "):
        assert invoke(["matrix", "tr147", "--out", empty]) == 2
        assert "empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["file", "other study", "folder"])
def test_what_the_command_did_not_write_is_never_overwritten(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "README.md"
    if kind == "folder":
        target.mkdir()
    else:
        target.write_text("mine\n" if kind == "file" else "Written by `reprokit matrix other`\n")
    assert invoke(["matrix", "tr147", "--out", str(tmp_path)]) == 2
    assert "README.md is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_gpus_are_named_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["matrix", "--help"]) == 0
    assert "a100" not in capsys.readouterr().out
    assert invoke(["matrix", "tr147", "--gpu", "h100"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in load_matrix("tr147").gpus)
