"""kill -9 of the whole process group at random moments of a sweep, then --resume."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path
from random import Random

import pytest
from command_line import Machine, Result, make_machine
from processes import marked, wait_for

pytestmark = pytest.mark.integration

KILLS = 10
SWEEP = ("--sweep", "dummy", "--json")


def _all_gone(machine: Machine) -> None:
    """Nothing that reprokit started may outlive it for long."""
    wait_for(lambda: not marked(machine.mark), seconds=15)


def _verify_with_kills(machine: Machine, claim: str, random: Random) -> tuple[Result, int]:
    """Kill reprokit again and again, resume each time, and at last let it finish."""
    kills = 0
    while kills < KILLS:
        resume = ("--resume",) if machine.runs() else ()
        process = machine.start("verify", claim, *SWEEP, *resume)
        # Early kills hit planning and building, later ones the invocations and the scoring.
        time.sleep(random.uniform(0.2, 2.0))
        if process.poll() is not None:
            process.communicate()
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        _all_gone(machine)
    return machine.run("verify", claim, *SWEEP, *(("--resume",) if machine.runs() else ())), kills


def test_ten_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    options = {"sleep_s": 0.1, "latency_ms": {"eager": 40.0, "compiled": 20.0}}
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = make_machine(tmp_path / "whole", uuid.uuid4().hex)
    claim = str(whole.write_claim(options=options, invocations=6))
    undisturbed = whole.run("verify", claim, *SWEEP)
    assert undisturbed.code == 0, undisturbed.err

    machine = make_machine(tmp_path / "killed", uuid.uuid4().hex)
    claim = str(machine.write_claim(options=options, invocations=6))
    resumed, kills = _verify_with_kills(machine, claim, Random(147))
    assert kills == KILLS
    assert resumed.code == 0, resumed.err
    assert len(machine.runs()) == 1

    ids = [row.id for row in resumed.rows()]
    assert ids == [row.id for row in undisturbed.rows()]
    assert len(set(ids)) == len(ids)
    assert [row.values for row in resumed.rows()] == [row.values for row in undisturbed.rows()]
    assert resumed.verdict() == undisturbed.verdict()
