"""Kept runs: nothing is read from what is damaged, foreign, unfinished or named twice."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kept_runs import saved
from scored_case import Case, steady

from reprokit.adapter import adapter_version
from reprokit.cli.main import invoke
from reprokit.errors import DamagedRunError, ReprokitError, UsageError
from reprokit.kept.read import read_kept_run, read_kept_runs
from reprokit.run.manifest import MANIFEST, write_manifest

GAIN = {"kind": "gain", "metric": "latency_ms", "at_least": 40.0}
CASE = Case(GAIN, steady(10, 5.5))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(CASE, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


def test_a_kept_run_is_read_whole(run: Path) -> None:
    found = read_kept_run(run)
    assert (found.name, found.claim.id, found.verdict.outcome) == ("run", "case", "reproduced")
    assert [row.id for row in found.rows] == [row.id for row in CASE.rows]
    assert set(found.ready) == {"sha-pinned", "sha-head"}


def _relisted(path: Path) -> None:
    (path / MANIFEST).unlink()
    write_manifest(path)


def _edit_rows(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    rows = path / "rows.jsonl"
    rows.write_text("\n".join(change(rows.read_text().splitlines())) + "\n")
    _relisted(path)


def _faster(lines: list[str]) -> list[str]:
    row = json.loads(lines[0])
    row["values"]["latency_ms"] *= 0.5
    return [json.dumps(row), *lines[1:]]


def _other_verdict(path: Path) -> None:
    (path / "verdict.json").write_text("{}")
    _relisted(path)


def _no_verdict(path: Path) -> None:
    (path / "verdict.json").unlink()
    _relisted(path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (shutil.rmtree, "not a run directory"),
        (lambda path: (path / "run.json").unlink(), "not a run directory"),
        (lambda path: (path / "run.json").write_bytes(b"\xff\x00{"), "run.json"),
        (lambda path: (path / "run.json").write_text("[]"), "run.json"),
        (lambda path: (path / MANIFEST).unlink(), "not finished"),
        (lambda path: (path / MANIFEST).write_bytes(b"\xff\n"), MANIFEST),
        (lambda path: (path / "rows.jsonl").unlink(), "rows.jsonl is missing"),
        (lambda path: (path / "rows.jsonl").write_text("x\n"), "rows.jsonl was changed"),
        (lambda path: (path / "extra").write_text("x"), "extra is not in the manifest"),
        (lambda path: _edit_rows(path, lambda lines: ["x", *lines[1:]]), "rows.jsonl:1"),
        (lambda path: _edit_rows(path, lambda lines: lines[1:]), "is missing"),
        (lambda path: _edit_rows(path, lambda lines: [*lines, lines[0]]), "2 times"),
        (lambda path: _edit_rows(path, lambda lines: []), "rows.jsonl:1"),
        (lambda path: _edit_rows(path, _faster), "other rows"),
        (_other_verdict, "verdict.json"),
        (_no_verdict, "has no verdict"),
        (lambda path: (path / "claim/claim.yaml").write_text("id: other\n"), "claim.yaml"),
    ],
)
def test_what_cannot_be_relied_on_is_refused(
    run: Path, damage: Callable[[Path], object], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run)
    with pytest.raises(ReprokitError, match=told) as error:
        read_kept_run(run)
    assert str(run) in error.value.what or run.name in error.value.what
    for command in (["merge", "--out", str(run.parent / "out")], ["sensitivity"], ["summary"]):
        assert invoke([*command, str(run)]) in {2, 3, 4}
        err = capsys.readouterr().err
        assert told in err
        assert "Traceback" not in err
    assert not (run.parent / "out").exists()


def test_a_run_and_its_copy_are_one_run(run: Path, original: Path) -> None:
    with pytest.raises(UsageError, match="are the same run"):
        read_kept_runs([original, run])
    (run / "report.md").write_text("another report\n")
    _relisted(run)
    with pytest.raises(UsageError, match="are the same run"):
        read_kept_runs([original, run])


def test_two_runs_of_a_benchmark_without_noise_are_two(original: Path, tmp_path: Path) -> None:
    other = saved(CASE, tmp_path, text="id: case\n# again\n")
    assert len(read_kept_runs([original, other])) == 2


def test_runs_of_one_name_get_names_of_their_own(original: Path, tmp_path: Path) -> None:
    first = shutil.copytree(original, tmp_path / "a" / "same")
    second = shutil.move(saved(CASE, tmp_path, text="id: case\n# b\n"), tmp_path / "b" / "same")
    names = [run.name for run in read_kept_runs([Path(first), Path(second)])]
    assert names == ["same", "same#2"]


def test_a_run_knows_the_distribution_of_its_adapter(original: Path) -> None:
    found = adapter_version("gpt_fast")
    assert found is not None
    assert re.fullmatch(r"reprokit \d\S*", found)
    assert adapter_version("no_such_adapter") is None
    assert read_kept_run(original).adapter is None  # the case's adapter is not installed


def test_no_run_is_no_family() -> None:
    with pytest.raises(UsageError, match="no run"):
        read_kept_runs([])


def test_a_row_that_is_no_json_names_its_line(run: Path) -> None:
    _edit_rows(run, lambda lines: [lines[0], "{", *lines[2:]])
    with pytest.raises(DamagedRunError, match=r"rows\.jsonl:2"):
        read_kept_run(run)
