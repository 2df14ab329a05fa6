"""`reprokit check`: whatever is changed in a kept run is found, with the number and the file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from gated_run import close_anew, edit_json, kept_run, sound_case
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reprokit.check import Checked, check_run
from reprokit.cli.main import invoke
from reprokit.errors import UsageError
from reprokit.finish import read_verdict, report_run, score_run
from reprokit.progress import nobody
from reprokit.rows import write_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.manifest import MANIFEST


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Return a whole run, for tests that leave it as it is."""
    return kept_run(sound_case(), tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(kept: RunDirectory, tmp_path: Path) -> RunDirectory:
    """Return a copy of the run, to be altered."""
    return RunDirectory.open(Path(shutil.copytree(kept.path, tmp_path / "copy")))


def evidence(checked: Checked) -> str:
    (gate,) = (gate for gate in checked.gates if gate.gate == "artifact_evidence")
    return "\n".join([gate.verdict, *gate.evidence])


def fails(run: RunDirectory, *says: str) -> bool:
    """Tell whether gate 3 fails and its evidence says all that."""
    found = evidence(check_run(run))
    return found.startswith("fail\n") and all(each in found for each in says)


def test_what_was_left_alone_passes(kept: RunDirectory) -> None:
    before = {path: path.read_bytes() for path in kept.path.rglob("*") if path.is_file()}
    checked = check_run(kept)
    assert [gate.verdict for gate in checked.gates] == ["pass"] * 4 + ["open"]
    assert not checked.failed
    found = evidence(checked)
    assert "of verdict.json and" in found
    assert "files in MANIFEST.sha256 hold" in found
    assert before == {path: path.read_bytes() for path in before}, "checking writes nothing"


def test_the_gates_are_in_verdict_report_and_terminal(
    kept: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [gate.verdict for gate in read_verdict(kept).gates] == ["pass"] * 4 + ["open"]
    report = kept.report.read_text()
    assert "## Gates" in report
    assert "| 3: every printed number is recomputed from rows | pass |" in report
    assert invoke(["show", str(kept.path)]) == 0
    assert "1 pass, 2 pass, 3 pass, 4 pass, 5 open (cross regime)" in " ".join(
        capsys.readouterr().out.split()
    )


def test_scoring_again_gives_the_same_files(run: RunDirectory) -> None:
    before = {name: (run.path / name).read_bytes() for name in ("verdict.json", "report.md")}
    score_run(run, nobody)
    report_run(run)
    assert before == {name: (run.path / name).read_bytes() for name in before}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), hidden=st.booleans())
def test_any_digit_of_the_report_that_is_changed_is_found(
    kept: RunDirectory, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, hidden: bool
) -> None:
    folder = tmp_path_factory.mktemp("digit")
    run = RunDirectory.open(Path(shutil.copytree(kept.path, folder / "run")))
    report = run.report.read_text()
    at = data.draw(st.sampled_from([found.start() for found in re.finditer(r"\d", report)]))
    digit = data.draw(st.sampled_from("0123456789"))
    assume(digit != report[at])
    run.report.write_text(f"{report[:at]}{digit}{report[at + 1 :]}")
    if hidden:
        close_anew(run)
    line = report[:at].count("\n") + 1
    assert fails(run, f"report.md:{line}")


def test_words_of_the_report_count_as_well(run: RunDirectory) -> None:
    run.report.write_text(run.report.read_text().replace("| reproduced |", "| exceeds |", 1))
    close_anew(run)
    assert fails(run, "report.md:", "'exceeds'", "'reproduced'")


def test_a_number_of_the_verdict_is_named_with_its_place(run: RunDirectory) -> None:
    def change(document: dict[str, object]) -> None:
        points = document["points"]
        assert isinstance(points, list)
        estimates = {each["name"]: each for each in points[1]["estimates"]}
        estimates["gain"]["value"] += 0.001

    edit_json(run.verdict, change)
    assert fails(run, "verdict.json was changed")
    close_anew(run)
    assert fails(run, "verdict.json.points[phase kv_decode].estimates[gain].value: it says")


def test_an_outcome_that_was_changed_is_found(run: RunDirectory) -> None:
    edit_json(run.verdict, lambda document: document.update(outcome="falls_short"))
    close_anew(run)
    assert fails(run, "verdict.json.outcome: it says 'falls_short'", "'reproduced'")


def test_a_gate_that_was_changed_is_found(run: RunDirectory) -> None:
    edit_json(run.verdict, lambda document: document["gates"][4].update(verdict="pass"))
    close_anew(run)
    assert fails(run, "verdict.json.gates[cross_regime].verdict: it says 'pass'")


@pytest.mark.parametrize("text", ["{", "[]", '{"points": 3}'])
def test_a_verdict_that_is_none_is_found(run: RunDirectory, text: str) -> None:
    run.verdict.write_text(text)
    close_anew(run)
    assert fails(run, "verdict.json")


def test_a_row_that_was_changed_is_found(run: RunDirectory) -> None:
    lines = run.rows.read_text().splitlines()
    row = json.loads(lines[4])
    row["values"]["latency_ms"] *= 1.01
    run.rows.write_text("\n".join([*lines[:4], json.dumps(row), *lines[5:], ""]))
    assert fails(run, "rows.jsonl was changed", "verdict.json.", "it says")
    close_anew(run)
    assert fails(run, "verdict.json.", "it says")


def test_a_row_that_was_taken_out_is_named(run: RunDirectory) -> None:
    lines = run.rows.read_text().splitlines()
    gone = json.loads(lines[4])["id"]
    run.rows.write_text("\n".join([*lines[:4], *lines[5:], ""]))
    close_anew(run)
    assert fails(run, f"rows.jsonl lacks 1 row ({gone})")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [*lines, lines[0]], "is there twice"),
        (lambda lines: [*lines, lines[0].replace("__000", "__999")], "not in the plan"),
        (lambda lines: [*lines[:2], "{", *lines[3:]], "rows.jsonl:3"),
    ],
)
def test_rows_that_cannot_be_used_fail_one_gate_and_leave_the_others_open(
    run: RunDirectory, change: object, says: str
) -> None:
    lines = run.rows.read_text().splitlines()
    assert callable(change)
    run.rows.write_text("\n".join([*change(lines), ""]))
    close_anew(run)
    checked = check_run(run)
    assert [gate.verdict for gate in checked.gates] == ["open", "open", "fail", "open", "open"]
    assert says in evidence(checked)


def test_rows_that_are_gone_are_missed(run: RunDirectory) -> None:
    run.rows.unlink()
    assert fails(run, "rows.jsonl is missing", "rows.jsonl cannot be read")


def test_a_damaged_stack_point_is_named(run: RunDirectory) -> None:
    (run.point("point") / "stack.json").write_text("{}")
    assert fails(run, "points/point/stack.json was changed", "stack.json: ")


def test_every_file_is_held_to_its_hash(run: RunDirectory) -> None:
    (run.path / "left.txt").write_text("what a benchmark left")
    (run.claim_files / "lock.txt").write_text("added")
    assert fails(run, "left.txt is not in the manifest", "claim/lock.txt is not in the manifest")


def test_a_manifest_that_is_gone_or_damaged_is_no_manifest(run: RunDirectory) -> None:
    (run.path / MANIFEST).write_text("abc\n")
    assert fails(run, "not a line of digest and file name")
    (run.path / MANIFEST).unlink()
    assert fails(run, "MANIFEST.sha256 is not there, and report.md is")


def test_a_run_that_was_never_closed_is_open(run: RunDirectory) -> None:
    (run.path / MANIFEST).unlink()
    run.report.unlink()
    found = evidence(check_run(run))
    assert found.startswith("open\n")
    assert "it has no MANIFEST.sha256" in found


def test_what_was_never_scored_cannot_be_checked(run: RunDirectory) -> None:
    run.rows.unlink()
    run.verdict.unlink()
    with pytest.raises(UsageError, match="neither"):
        check_run(run)
    assert invoke(["check", str(run.path)]) == 2


def of_another_version(run: RunDirectory) -> RunDirectory:
    """The same run, as an older reprokit left it: no gates, fewer estimates, another report."""

    unknown_then: set[str] = set()

    def older(document: dict[str, Any]) -> None:
        del document["gates"]
        for stratum in (each for point in document["points"] for each in point["strata"]):
            unknown_then.update(each["name"] for each in stratum["published"][1:])
            del stratum["published"][1:]

    edit_json(run.verdict, older)
    text = run.report.read_text()
    gates = text.index("## Gates")
    text = text[:gates] + text[text.index("\n## ", gates + 3) + 1 :]
    names = tuple(f"| {name.replace('_', ' ')} |" for name in unknown_then)
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(names)]
    run.report.write_text("".join(lines))
    close_anew(run)
    return RunDirectory.open(run.path)


def test_what_another_version_left_out_is_open_and_its_numbers_are_compared(
    run: RunDirectory,
) -> None:
    """Honest runs of older versions never fail, and what cannot be compared is never a pass."""
    old = of_another_version(run)
    found = evidence(check_run(old))
    assert found.startswith("open\n"), found
    assert "cannot be compared: another reprokit" in found
    assert "were compared with what the rows give" not in found, "some were not"
    changed = edit_estimate(old)
    assert fails(old, f"{changed}: it says")


def edit_estimate(run: RunDirectory) -> str:
    def change(document: dict[str, Any]) -> None:
        document["points"][0]["estimates"][0]["value"] += 0.5

    edit_json(run.verdict, change)
    close_anew(run)
    point = json.loads(run.verdict.read_text())["points"][0]
    axes = ", ".join(f"{name} {value}" for name, value in point["axes"].items())
    return f"verdict.json.points[{axes}].estimates[{point['estimates'][0]['name']}].value"


def test_the_words_of_another_version_are_open_and_its_numbers_are_not(run: RunDirectory) -> None:
    edit_json(run.path / "run.json", lambda document: document.update(reprokit="0.0.0"))
    edit_json(run.verdict, lambda document: document.update(sentence="In other words."))
    close_anew(run)
    found = evidence(check_run(RunDirectory.open(run.path)))
    assert found.startswith("open\n")
    assert "cannot be compared: another reprokit" in found
    assert "the run is of 0.0.0" in found
    edit_json(run.verdict, lambda document: document.update(rows_ok=39))
    close_anew(run)
    assert fails(RunDirectory.open(run.path), "verdict.json.rows_ok: it says 39")


def test_a_verdict_of_a_format_that_is_not_known_is_open(run: RunDirectory) -> None:
    """What a newer reprokit wrote, looked at with an older one."""
    edit_json(run.path / "run.json", lambda document: document.update(reprokit="9.0"))
    edit_json(run.verdict, lambda document: document["points"][0].update(news=[{"value": 3.0}]))
    text = run.report.read_text()
    run.report.write_text(text.replace("| gain |", "| gain of another name |"))
    close_anew(run)
    found = evidence(check_run(RunDirectory.open(run.path)))
    assert found.startswith("open\n"), found


@pytest.mark.parametrize("closed", [True, False])
def test_a_report_that_is_not_there_is_open_or_missed(run: RunDirectory, closed: bool) -> None:
    run.report.unlink()
    if closed:
        assert fails(run, "report.md is missing")
        return
    (run.path / MANIFEST).unlink()
    edit_json(run.verdict, lambda document: document["points"][0]["strata"][0].update(published=[]))
    found = evidence(check_run(run))
    assert "report.md:" not in found, "there is no such file to name a line of"
    assert "of the report's tables" not in found


def test_a_run_whose_gate_fails_is_never_reproduced(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    """A benchmark whose rows include the prompt where their phase says that they do not."""
    case = sound_case()
    rows = [
        row.model_copy(update={"labels": ("includes_prefill",)} if "kv_decode" in row.cell else {})
        for row in case.rows
    ]
    (run.path / MANIFEST).unlink()
    write_rows(run, rows)
    verdict = score_run(run, nobody)
    report_run(run)
    assert (verdict.outcome, verdict.exit_code) == ("invalid", 3)
    assert {point.outcome for point in verdict.points} == {"reproduced"}
    report = run.report.read_text()
    assert "**Verdict: not valid.** Gate 1 (phase separation) fails" in report
    assert "| 1: no number mixes prefill and decode | **fail** |" in report
    assert "- `gate_failed`: What stands behind the figures contradicts them" in report
    assert invoke(["show", str(run.path)]) == 3
    assert "1 fail (phase separation)" in capsys.readouterr().out
    assert invoke(["check", str(run.path)]) == 3


def test_the_command_says_which_number_and_ends_with_3(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["check", str(run.path)]) == 0
    assert "open gate 5: the outcome held over regimes" in capsys.readouterr().out
    edit_json(run.verdict, lambda document: document.update(rows_ok=39))
    assert invoke(["check", str(run.path)]) == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "fail gate 3: every printed number" in told
    assert "verdict.json.rows_ok: it says 39, and the rows give 40" in told
    assert invoke(["check", str(run.path), "--json"]) == 3
    checked = Checked.model_validate_json(capsys.readouterr().out)
    assert checked.failed
