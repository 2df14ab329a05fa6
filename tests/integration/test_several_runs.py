"""Runs made through the command line, put together: merged, varied, summed up."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path

import pytest
from command_line import Machine, make_machine

from reprokit.merging.records import Merged
from reprokit.sensitivity.records import Sensitivity
from reprokit.summary.records import Summary

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """Make a machine with two runs of one claim, and one with more invocations."""
    found = make_machine(tmp_path_factory.mktemp("several"), uuid.uuid4().hex)
    for invocations in (3, 3, 2):
        claim = found.write_claim(invocations=invocations)
        result = found.run("verify", str(claim), "--sweep", "dummy", "--json")
        assert result.code == 0, result.err
    return found


def test_two_runs_of_one_machine_are_repeats(machine: Machine) -> None:
    one, two, _ = map(str, machine.runs())
    result = machine.run("merge", one, two, "--out", "merged", "--json")
    assert result.code == 0, result.err
    merged = Merged.model_validate_json(result.out)
    assert len(merged.regimes) == 1
    assert merged.gate.verdict == "open"
    assert [len(each.means) for each in merged.repeats] == [2, 2]
    assert (machine.root / "merged" / "merge.md").exists()


def test_another_protocol_is_refused_and_named(machine: Machine) -> None:
    one, _, other = map(str, machine.runs())
    result = machine.run("merge", one, other, "--out", "refused")
    assert result.code == 2
    assert "claim.protocol.invocations: 3 in" in result.err
    assert "Traceback" not in result.err
    assert not (machine.root / "refused").exists()


def test_a_copy_from_another_machine_is_another_regime(machine: Machine, tmp_path: Path) -> None:
    """What another machine would have written: the same files, but for its own facts."""
    from reprokit.run.manifest import MANIFEST, write_manifest

    one, two, _ = machine.runs()
    copy = Path(shutil.copytree(two, tmp_path / "elsewhere"))
    record = json.loads((copy / "run.json").read_text())
    record["host"]["processor"] = "Another CPU"
    (copy / "run.json").write_text(json.dumps(record))
    assert machine.run("merge", str(one), str(copy), "--out", "altered").code == 3
    (copy / MANIFEST).unlink()
    write_manifest(copy)
    result = machine.run("merge", str(one), str(copy), "--out", "elsewhere", "--json")
    assert result.code == 0, result.err
    merged = Merged.model_validate_json(result.out)
    assert len(merged.regimes) == 2
    assert set(merged.counts) == {"portable_similar_latency"}
    assert merged.cross_regime.status == "held"
    assert merged.gate.verdict == "pass"


def test_sensitivity_and_summary_of_real_runs(machine: Machine) -> None:
    runs = list(map(str, machine.runs()))
    result = machine.run("sensitivity", *runs, "--json")
    assert result.code == 0, result.err
    found = Sensitivity.model_validate_json(result.out)
    assert len(found.repeats) == 2
    assert any("claim.protocol.invocations" in note for note in found.not_compared)
    result = machine.run("summary", *runs, "--json")
    assert result.code == 0, result.err
    assert len(Summary.model_validate_json(result.out).family) == 6
