"""Plans, points and runs for tests of execution; also a driver that may be killed.

python scripted_plan.py RUNS OPTIONS_JSON        execute in the only run under RUNS, or a new one
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from reprokit.adapter import Setup, load_adapter
from reprokit.cache import CacheLayout
from reprokit.claim.model import Claim
from reprokit.plan import Cell, Plan, PlannedInvocation
from reprokit.progress import nobody
from reprokit.records import Arm, Row
from reprokit.rows import collect_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import execute
from reprokit.stack import ReadyPoint, StackPoint


def scripted_plan(
    options: dict[str, Any] | None = None,
    *,
    points: Sequence[str] = ("p1",),
    invocations: int = 1,
    samples: int = 2,
    timeout_s: float = 30.0,
    cells: Sequence[str] = ("all",),
    same_failure_stops: int = 0,
    device: str = "cpu",
) -> Plan:
    """Return a plan for the scripted adapter; ids are `<point>__<cell>__<arm>__<index>`.

    More than one cell share a process, in the order given.
    """
    shared = len(cells) > 1
    processes = [
        [
            PlannedInvocation(
                id=f"{point}__{cell}__{arm.value}__{index:02d}",
                point=point, cell=cell, arm=arm, index=index,
                launch=f"{point}__{arm.value}__{index:02d}" if shared else None,
            )
            for cell in cells
        ]
        for point in points for arm in Arm for index in range(invocations)
    ]  # fmt: skip
    Random(7).shuffle(processes)
    launches = [planned for process in processes for planned in process]
    return Plan(
        claim_id="scripted", claim_digest="0" * 64, design="full", seed=7,
        axes={"stack": tuple(points)}, base={"stack": points[0]},
        points=tuple(
            StackPoint(
                id=point, axes={"stack": point}, commit=None, python=None, requirements=("x",)
            )
            for point in points
        ),
        cells=tuple(Cell(id=cell, axes={"token_len": cell} if shared else {}) for cell in cells),
        setup=Setup(
            model=None, arms={Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"},
            options=load_adapter("scripted").check_options(options or {}),
            device=device, samples=samples, warmup=0, seed=42,
        ),
        timeout_s=timeout_s,
        invocations=tuple(launches),
        same_failure_stops=same_failure_stops,
    )  # fmt: skip


def ready_points(plan: Plan) -> dict[str, ReadyPoint]:
    """Return every point as prepared: this interpreter and the adapter's own benchmark."""
    source = load_adapter("scripted").builtin_source()
    return {
        point.id: ReadyPoint(
            point=point.id, identity=point.identity(), python=sys.executable, source=str(source)
        )
        for point in plan.points
    }


def new_run(plan: Plan, runs: Path) -> RunDirectory:
    return RunDirectory.create(
        runs, plan=plan, claim=scripted_claim(), claim_text=b"id: scripted\n", claim_file="c.yaml"
    )


def scripted_claim() -> Claim:
    return Claim.model_validate(
        {
            "schema": "reprokit/claim/v1",
            "id": "scripted",
            "title": "A scripted benchmark is faster compiled",
            "source": {"builtin": "scripted"},
            "expect": {"kind": "gain", "metric": "latency_ms", "at_least": 0.0},
            "adapter": {"name": "scripted", "baseline": "eager", "subject": "compiled"},
            "stack": {"requirements": ("x",)},
        }
    )


def run_all(run: RunDirectory, cache: Path) -> tuple[Row, ...]:
    """Execute what is left and return the rows."""
    plan, adapter = run.plan, load_adapter("scripted")
    ready = ready_points(plan)
    execute(plan, ready, adapter, run, observer=nobody, cache=CacheLayout(cache))
    return collect_rows(plan, ready, adapter, run)


def main() -> None:
    runs, arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
    found = sorted(runs.glob("scripted/*/run.json"))
    run = RunDirectory.open(found[0].parent) if found else new_run(scripted_plan(**arguments), runs)
    print("working", flush=True)
    run_all(run, runs.parent / "cache")


if __name__ == "__main__":
    main()
