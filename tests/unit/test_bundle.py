"""Scoring and reporting a saved run: what is read, how often, and what its list vouches for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved_run import BASELINE, SUBJECT, Saved, ended, line
from scripted_plan import new_run, ready_points, scripted_plan

from reprokit.errors import DamagedRunError
from reprokit.finish import finish_run, read_verdict, report_run, score_run
from reprokit.progress import nobody
from reprokit.report.markdown import render_markdown
from reprokit.run import manifest
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import removed_variables
from reprokit.run.manifest import MANIFEST, verify_manifest

SECRET = "sk-none-of-your-business"


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    plan = scripted_plan()
    ready = ready_points(plan)
    run = new_run(plan, tmp_path)
    for point in ready.values():
        run.write_point(point)
    saved = Saved(run, ready)
    saved.save(BASELINE, [line(0), line(1)], ended(), removed=("TORCH_LOGS", "PYTHONPATH"))
    saved.save(SUBJECT, [line(0), line(1)], ended(), removed=("MY_API_KEY", "PYTHONPATH"))
    return saved


@pytest.fixture
def closed(saved: Saved) -> RunDirectory:
    score_run(saved.run, nobody)
    report_run(saved.run)
    return saved.run


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often the digest of each file is computed."""
    counted: Counter[str] = Counter()
    digest = manifest._digest

    def count(path: Path) -> str:
        counted[path.name] += 1
        return digest(path)

    monkeypatch.setattr(manifest, "_digest", count)
    return counted


@pytest.mark.parametrize(
    ("stage", "written"),
    [
        (lambda run: score_run(run, nobody), "verdict.json"),
        (report_run, "report.md"),
        (read_verdict, None),
    ],
)
def test_a_stage_reads_the_files_of_a_closed_bundle_once(
    closed: RunDirectory,
    reads: Counter[str],
    stage: Callable[[RunDirectory], object],
    written: str | None,
) -> None:
    stage(closed)
    assert reads["stdout.log"] == 2, "one of each invocation"
    assert reads["rows.jsonl"] == 1
    again = {name for name in ("verdict.json", "report.md", "rows.jsonl") if reads[name] == 2}
    assert again == ({written} if written else set()), "only what was written has a new digest"
    verify_manifest(closed.path)


def test_closing_a_run_reads_its_files_once(saved: Saved, reads: Counter[str]) -> None:
    finish_run(saved.run, nobody)
    assert reads["stdout.log"] == 2
    assert (reads["rows.jsonl"], reads["verdict.json"], reads["report.md"]) == (1, 1, 1)
    verify_manifest(saved.run.path)


@pytest.mark.parametrize("stage", [lambda run: score_run(run, nobody), report_run, read_verdict])
def test_no_stage_works_on_a_damaged_bundle(
    closed: RunDirectory, stage: Callable[[RunDirectory], object]
) -> None:
    before = (closed.path / MANIFEST).read_bytes()
    with closed.rows.open("a") as rows:
        rows.write("\n")
    with pytest.raises(DamagedRunError, match=r"rows\.jsonl was changed"):
        stage(closed)
    assert (closed.path / MANIFEST).read_bytes() == before


def test_what_changes_between_check_and_list_is_not_vouched_for(
    closed: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddle(*given: Any, **more: Any) -> str:
        (closed.invocation(SUBJECT) / "stdout.log").write_text("other\n")
        return render_markdown(*given, **more)

    monkeypatch.setattr("reprokit.finish.render_markdown", meddle)
    report_run(closed)
    with pytest.raises(DamagedRunError, match=r"stdout\.log was changed"):
        verify_manifest(closed.path)


def test_variables_that_were_removed_are_named_and_nothing_more(saved: Saved) -> None:
    spec = saved.run.invocation(SUBJECT) / "spec.json"
    document = json.loads(spec.read_text())
    spec.write_text(json.dumps({**document, "env": {"HF_HOME": SECRET}}))
    verdict = score_run(saved.run, nobody)
    report = report_run(saved.run).read_text()
    assert verdict.removed_variables == ("MY_API_KEY", "PYTHONPATH", "TORCH_LOGS")
    assert "not passed on to the benchmark: `MY_API_KEY`, `PYTHONPATH`, `TORCH_LOGS`\n" in report
    assert SECRET not in report + verdict.to_json()


@pytest.mark.parametrize("text", [None, "{", "{}"])
def test_a_spec_that_is_gone_names_nothing(saved: Saved, text: str | None) -> None:
    spec = saved.run.invocation(SUBJECT) / "spec.json"
    spec.unlink()
    if text is not None:
        spec.write_text(text)
    assert removed_variables(saved.run) == ("PYTHONPATH", "TORCH_LOGS")
