"""The command line inside this process: what a machine refuses, and what the options accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from reprokit.cli import stages
from reprokit.cli.main import invoke

QUICKSTART = str(Path(__file__).parents[2] / "claims" / "quickstart.yaml")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPROKIT_CACHE", str(tmp_path / "cache"))


def unusable(tmp_path: Path, kind: str) -> str:
    if kind == "below a file":
        (tmp_path / "file").touch()
        return str(tmp_path / "file" / "cache")
    if kind == "file":
        (tmp_path / "file").touch()
        return str(tmp_path / "file")
    if kind == "dangling link":
        (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "else")
        return str(tmp_path / "link")
    return str(tmp_path / ("x" * 300))


@pytest.mark.parametrize("kind", ["below a file", "file", "dangling link", "too long"])
@pytest.mark.parametrize("command", ["verify", "prepare"])
def test_an_unusable_cache_is_named_before_anything_is_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    command: str,
) -> None:
    named = unusable(tmp_path, kind)
    monkeypatch.setenv("REPROKIT_CACHE", named)
    assert invoke([command, QUICKSTART]) == 4
    error = capsys.readouterr().err
    assert f"REPROKIT_CACHE names {named}, which cannot be used" in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("kind", ["below a file", "file", "too long"])
def test_environments_of_an_unusable_cache_are_not_said_to_be_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    monkeypatch.setenv("REPROKIT_CACHE", unusable(tmp_path, kind))
    assert invoke(["env", "list"]) == 4
    assert "REPROKIT_CACHE" in capsys.readouterr().err


def test_a_cache_that_is_not_there_yet_has_no_environments_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["env", "list"]) == 0
    assert "no environments yet" in capsys.readouterr().out
    assert invoke(["verify", QUICKSTART, "--dry-run"]) == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/srv/x"), "/srv/x: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(18, "Cross-device link", "/a", None, "/b"), "/a and /b: Cross-device link"),
        (OSError(), "OSError"),
    ],
)
def test_what_the_machine_refuses_is_no_bug_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    words: str,
) -> None:
    def refuse(_: Path) -> None:
        raise error

    monkeypatch.setattr(stages, "open_run", refuse)
    assert invoke(["show", "run"]) == 4
    told = capsys.readouterr().err
    assert told.startswith(f"error: {words}\n")
    assert "Traceback" not in told
    assert "bug" not in told


def test_a_bug_still_shows_where_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(stages, "open_run", fail)
    assert invoke(["show", "run"]) == 4
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["zzz", "cuda", "", "cpu --x"])
def test_a_torch_build_on_the_command_line_is_held_to_the_rule_of_a_claim(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert invoke(["verify", QUICKSTART, "--dry-run", "--torch-backend", name]) == 2
    error = capsys.readouterr().err
    assert "--torch-backend" in error
    assert "is not a PyTorch build" in error
    assert invoke(["verify", QUICKSTART, "--dry-run", "--torch-backend", "cu126"]) == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["transformers"], "axis transformers: 4.57.6*, 5.23.0   (* the claim's own)"),
        (["transformers=5.1.0,5.2.0"],
         "axis transformers: 5.1.0, 5.2.0   (the claim pins none of them)"),
        (["triton=1,2", "--design", "one-at-a-time"],
         "axis triton: 1, 2   (the claim pins none of them; departures are from the first)"),
    ],
)  # fmt: skip
def test_only_a_value_of_the_claim_is_marked_as_its_own(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert invoke(["verify", QUICKSTART, "--dry-run", "--sweep", *arguments]) == 0
    assert line in capsys.readouterr().out
