"""The gates of a run that was really made: probed on the disk, and files altered later."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from command_line import make_machine

from reprokit.finish import read_verdict
from reprokit.pipeline import open_run

pytestmark = pytest.mark.integration


def test_a_run_is_judged_and_its_files_are_held_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = make_machine(tmp_path, uuid.uuid4().hex)
    claim = str(machine.write_claim(invocations=2))
    assert machine.call("verify", claim, "--sweep", "dummy", monkeypatch=monkeypatch) == 0
    (run,) = machine.runs()
    states = {gate.gate: gate.verdict for gate in read_verdict(open_run(run)).gates}
    # This benchmark names neither phase nor cache, and nobody guesses them.
    assert states == {
        "phase_separation": "open",
        "environment_attribution": "pass",
        "artifact_evidence": "pass",
        "surfaced_identity": "open",
        "cross_regime": "open",
    }
    assert machine.call("check", str(run), monkeypatch=monkeypatch) == 0
    capsys.readouterr()

    rows = (run / "rows.jsonl").read_text().splitlines()
    first = json.loads(rows[0])
    first["values"]["latency_ms"] += 0.5
    (run / "rows.jsonl").write_text("\n".join([json.dumps(first), *rows[1:], ""]))
    assert machine.call("check", str(run), monkeypatch=monkeypatch) == 3
    told = capsys.readouterr().out
    assert "rows.jsonl was changed" in told
    assert "verdict.json.points[dummy" in told
