"""Runs of the internal harness through the runner, to rows; with faults planted where asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue
from scripted_plan import new_run
from torch_environment import TorchEnvironment

from adapters.hf_harness.adapter import HfHarness
from reprokit.adapter import Command, Invocation, Launch, Model, PointContext, Setup
from reprokit.cache import CacheLayout
from reprokit.plan import Cell, Plan, PlannedInvocation
from reprokit.progress import nobody
from reprokit.records import Arm, Row, Scalar
from reprokit.rows import collect_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import execute
from reprokit.stack import ReadyPoint, StackPoint

POINT = "p"
_PLANTED = Path(__file__).with_name("planted_harness.py")


@dataclass(frozen=True)
class Faulty:
    """A cell of the subject with a fault; `baseline` is the cell that is measured without it.

    `variables` are given to its process, which it then has for itself. What is `fatal` ends its
    process, so it comes behind all that shares it.
    """

    name: str
    baseline: str
    variables: Mapping[str, str] = field(default_factory=dict)
    fatal: bool = False


class PlantedHarness(HfHarness):
    """The adapter as it is, but that the harness is started through `planted_harness.py`."""

    def __init__(self, faults: Sequence[Faulty], environment: TorchEnvironment) -> None:
        self._variables = {fault.name: dict(fault.variables) for fault in faults}
        # Runs of one session share what they compiled: the machine has little time for tests.
        compiled = environment.work / "compiled" / "inductor"
        self._common = {"TORCHINDUCTOR_CACHE_DIR": str(compiled), **environment.toolchain()}

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        made = super().command(setup, point, invocation)
        _, name, arm, _ = invocation.id.split("__")
        variables = self._variables.get(name, {}) if arm == Arm.SUBJECT else {}
        return self._planted(made, variables)

    def shared_command(self, setup: Setup, point: PointContext, launch: Launch) -> Command:
        return self._planted(super().shared_command(setup, point, launch), {})

    def _planted(self, command: Command, variables: Mapping[str, str]) -> Command:
        python, flag, *rest = command.argv
        return command.model_copy(
            update={
                "argv": (python, flag, str(_PLANTED), *rest),
                "env": {**command.env, **self._common, **variables},
            }
        )


@dataclass(frozen=True)
class HarnessRun:
    """What is measured: cells as they are, and faults that use the axes of one of them.

    Cells that are in `baselines` have no baseline of their own; the subject comes to them when all
    faults of its process, but the fatal ones, are behind it.
    """

    cells: Mapping[str, Mapping[str, Scalar]]
    faults: Sequence[Faulty] = ()
    options: Mapping[str, JsonValue] = field(default_factory=dict)
    device: str = "cpu"
    seed: int = 42
    invocations: int = 1
    baselines: Mapping[str, str] = field(default_factory=dict)

    def plan(self) -> Plan:
        """Plan baselines in one process; subjects in another, but for those with variables."""
        axes = {**self.cells, **{each.name: self.cells[each.baseline] for each in self.faults}}
        measured = {
            Arm.BASELINE: [name for name in self.cells if name not in self.baselines],
            Arm.SUBJECT: sorted(axes, key=self._turn),
        }
        alone = {each.name for each in self.faults if each.variables}
        planned = [
            PlannedInvocation(
                id=f"{POINT}__{name}__{arm}__{index:02d}", point=POINT, cell=name, arm=arm,
                index=index, launch=None if name in alone else f"{POINT}__{arm}__{index:02d}",
            )
            for index in range(self.invocations)
            for arm, names in measured.items()
            for name in names
        ]  # fmt: skip
        return Plan(
            claim_id="scripted", claim_digest="0" * 64, design="full", seed=7,
            axes={"stack": (POINT,)}, base={"stack": POINT},
            points=(
                StackPoint(
                    id=POINT, axes={"stack": POINT}, commit=None, python=None, requirements=("x",)
                ),
            ),
            cells=tuple(Cell(id=name, axes=dict(axis)) for name, axis in axes.items()),
            baselines={**{each.name: each.baseline for each in self.faults}, **self.baselines},
            setup=Setup(
                model=Model(id="tiny-llama", weights="synthetic"),
                arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
                options=HfHarness().check_options({"threads": 1, **self.options}),
                device=self.device, samples=3, warmup=3, seed=self.seed,
            ),
            timeout_s=300.0, invocations=tuple(planned),
        )  # fmt: skip

    def _turn(self, name: str) -> int:
        """Say when the subject comes to a cell: as it is, faults, as it is again, fatal, alone."""
        fault = next((each for each in self.faults if each.name == name), None)
        if fault is None:
            return 2 if name in self.baselines else 0
        return 4 if fault.variables else 3 if fault.fatal else 1

    def only(self, arm: Arm) -> Plan:
        """Plan one arm alone."""
        plan = self.plan()
        kept = tuple(each for each in plan.invocations if each.arm is arm)
        return plan.model_copy(update={"invocations": kept})


@dataclass(frozen=True)
class Measured:
    """A run that is over; rows are read from its files anew each time."""

    run: RunDirectory
    ready: dict[str, ReadyPoint]
    adapter: HfHarness

    def rows(self) -> dict[tuple[str, Arm], list[Row]]:
        """Return the rows by cell and arm."""
        found: dict[tuple[str, Arm], list[Row]] = defaultdict(list)
        for row in collect_rows(self.run.plan, self.ready, self.adapter, self.run):
            found[row.cell, row.arm].append(row)
        return found

    def directory(self, cell: str, arm: Arm) -> Path:
        """Return the directory of the first invocation of a cell."""
        return self.run.invocation(f"{POINT}__{cell}__{arm}__00")


def measure(
    asked: HarnessRun, environment: TorchEnvironment, folder: Path, *, arm: Arm | None = None
) -> Measured:
    """Measure through the runner, in the environment with torch."""
    plan = asked.plan() if arm is None else asked.only(arm)
    adapter = PlantedHarness(asked.faults, environment)
    ready = {
        POINT: ReadyPoint(
            point=POINT, identity=plan.point(POINT).identity(), python=str(environment.python),
            source=str(adapter.builtin_source()),
        )
    }  # fmt: skip
    run = new_run(plan, folder / "runs")
    execute(plan, ready, adapter, run, observer=nobody, cache=CacheLayout(folder / "cache"))
    return Measured(run, ready, adapter)
