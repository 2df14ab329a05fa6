"""Gate 3 over robustness and axis shares of a kept run: passes as written, fails when altered."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest
from gated_run import close_anew, edit_json, kept_run, probed, sound_case
from scored_case import Slot, steady

from reprokit.check import check_run
from reprokit.run.directory import REPORT, VERDICT, RunDirectory

CELLS = tuple(
    {"phase": "kv_decode", "cache": "StaticCache", "token_len": length} for length in (8, 32)
)
FACTORS = {"1.0": 1.0, "1.1": 1.02, "2.0": 1.3}


def slower_on_the_last(slot: Slot) -> float:
    found = steady(10, 5.5 * FACTORS[str(slot.axes["numpy"])])(slot)
    assert isinstance(found, float)
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """Return a run over two commits and three versions of a package."""
    case = sound_case(
        axes={"sha": ("pinned", "head"), "numpy": tuple(FACTORS)},
        cells=CELLS,
        behaviour=slower_on_the_last,
    )
    case.ready = {point.id: {"probe": probed()} for point in case.points}
    return kept_run(case, tmp_path_factory.mktemp("runs"))


def verdict_of(run: RunDirectory) -> str:
    (gate,) = (each for each in check_run(run).gates if each.gate == "artifact_evidence")
    return gate.verdict


def test_what_was_written_is_accepted(kept: RunDirectory) -> None:
    assert verdict_of(kept) == "pass"
    report = (kept.path / REPORT).read_text(encoding="utf-8")
    assert "## Robustness over the stack" in report
    assert "share of the variance" in report


@pytest.mark.parametrize("heading", ["## Which axis", "## Robustness over the stack"])
def test_a_digit_that_is_changed_is_caught(
    kept: RunDirectory, tmp_path: Path, heading: str
) -> None:
    run = RunDirectory.open(Path(shutil.copytree(kept.path, tmp_path / "copy")))
    report = (run.path / REPORT).read_text(encoding="utf-8")
    begin = report.index(heading)
    end = report.index("\n## ", begin + 1)
    places = [at.start() for at in re.finditer(r"\d", report) if begin < at.start() < end]
    chosen = random.Random(42)
    for place in chosen.sample(places, 8):
        digit = chosen.choice([each for each in "0123456789" if each != report[place]])
        altered = f"{report[:place]}{digit}{report[place + 1 :]}"
        (run.path / REPORT).write_text(altered, encoding="utf-8")
        close_anew(run)
        assert verdict_of(run) == "fail", report[place - 30 : place + 10]


@pytest.mark.parametrize("part", ["robustness", "variance"])
def test_an_index_that_the_rows_do_not_give_is_caught_in_the_verdict(
    kept: RunDirectory, tmp_path: Path, part: str
) -> None:
    run = RunDirectory.open(Path(shutil.copytree(kept.path, tmp_path / "copy")))

    def better(document: dict[str, dict[str, list[dict[str, object]]]]) -> None:
        if part == "robustness":
            document[part]["axes"][0]["robustness"] = "catastrophic"
        else:
            document[part]["missing"] = [{}]

    edit_json(run.path / VERDICT, better)
    close_anew(run)
    assert verdict_of(run) == "fail"
