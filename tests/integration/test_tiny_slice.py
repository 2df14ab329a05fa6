"""A claim of TR147 as a slice that a CPU measures, through the command line."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from command_line import Machine, make_machine
from torch_environment import TorchEnvironment

from reprokit.records import Arm, RowStatus

pytestmark = pytest.mark.integration

CLAIM = (
    Path(__file__).parents[2]
    / "claims/tr147/v4c/tr147_v4c_triton-3.3.1_prefill_dynamiccache_default_gain.yaml"
)


def test_a_claim_of_tr147_is_verified_on_a_cpu(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    made = make_machine(tmp_path, uuid.uuid4().hex)
    machine = Machine(made.root, made.mark, torch_environment.toolchain())
    result = machine.run(
        "verify", str(CLAIM), "--set", "model=tiny", "--stack", f"host:{torch_environment.python}",
        "--set", "protocol.invocations=1", "--set", "protocol.samples=3",
        # As in the other tests of the harness: what they compiled is not compiled again.
        "--set", "adapter.options.batch=2",
        "--json",
    )  # fmt: skip
    assert result.out, result.err
    rows = result.rows()
    assert [(row.status, row.reason) for row in rows] == [(RowStatus.OK, None)] * len(rows)
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        assert "synthetic_weights" in row.labels
        proof = row.evidence.compile
        assert proof is not None
        assert proof.decision == ("compiled" if row.arm is Arm.SUBJECT else "not_asked")
    report = (result.path() / "report.md").read_text()
    assert "model=tiny" in report
