"""`reprokit merge`: it writes two files, and over nothing that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from kept_runs import gain_case, saved

from reprokit.cli.main import invoke
from reprokit.merging.records import Merged


def test_the_command_writes_both_files_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [saved(gain_case(), tmp_path / gpu, gpu=gpu) for gpu in ("Ada", "A100")]
    out = tmp_path / "out"
    arguments = ["merge", *map(str, runs), "--out", str(out)]
    assert invoke(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == ["merge.json", "merge.md"]
    assert "Regimes" in (out / "merge.md").read_text()
    capsys.readouterr()
    assert invoke([*arguments, "--json"]) == 0  # over its own files
    assert Merged.model_validate_json(capsys.readouterr().out).claim_id == "case"


def test_the_command_writes_over_nothing_foreign_and_into_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = saved(gain_case(), tmp_path / "runs")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "merge.md").write_text("mine\n")
    for out in (run, run / "points", foreign, run / "rows.jsonl"):
        assert invoke(["merge", str(run), "--out", str(out)]) == 2
        assert "--out" in capsys.readouterr().err
    assert (foreign / "merge.md").read_text() == "mine\n"
    assert not (run / "merge.md").exists()
    assert invoke(["merge", "--out", str(tmp_path / "o")]) == 2
