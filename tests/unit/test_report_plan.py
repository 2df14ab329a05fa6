"""A plan in words says of the subject only what is true of every cell."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_claim import GAIN_IN_EVERY_MODE, loaded

from reprokit.report.plan import plan_lines
from reprokit.sweep import make_plan

CLAIM = (
    GAIN_IN_EVERY_MODE
    + """\
cells: {phase: [prefill, kv_decode], token_len: [8]}
protocol: {invocations: 2, samples: 2}
"""
)


@pytest.mark.parametrize(
    ("sweep", "cells", "told"),
    [
        (None, None, "arms: baseline = eager, subject = default"),
        ("phase", None, "arms: baseline = eager, subject = default"),
        (
            "compile_mode=default,reduce-overhead",
            None,
            "arms: baseline = eager, subject = compile_mode of the cell",
        ),
        (
            None,
            "compile_mode: [default, reduce-overhead], ",
            "arms: baseline = eager, subject = compile_mode of the cell",
        ),
        (
            "compile_mode=reduce-overhead",
            None,
            "arms: baseline = eager, subject = reduce-overhead",
        ),
    ],
)
def test_the_subject_is_named_as_it_is(
    tmp_path: Path, sweep: str | None, cells: str | None, told: str
) -> None:
    claim = loaded(tmp_path, CLAIM.replace("cells: {", "cells: {" + (cells or "")))
    plan = make_plan(claim, sweeps=(sweep,) if sweep else ())
    assert told in list(plan_lines(claim.claim, plan, torch_backend=None, relock=False))
