"""Make every planned invocation that is not finished yet, in the order of the plan."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reprokit.adapter import Adapter
from reprokit.cache import CacheLayout
from reprokit.errors import RunError
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.environment import child_environment, point_variables
from reprokit.process.launch import ProcessSpec, supervise
from reprokit.progress import Event, Observer
from reprokit.run.atomic import write_record
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import (
    SPEC,
    InvocationSpec,
    identity,
    invocation_record,
    is_finished,
    keep_record,
    make_command,
    point_context,
    set_aside,
)
from reprokit.stack import ReadyPoint


def execute(
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    run: RunDirectory,
    *,
    observer: Observer,
    cache: CacheLayout,
) -> None:
    """Run what the plan asks for and the directory does not hold yet.

    It may be killed at any moment and called again: finished invocations are kept as they are,
    a half-finished one is set aside and made anew. Points that could not be prepared, and commands
    that the adapter cannot make, start no process; their rows say why.

    `ready` maps the id of every stack point to what became of it.

    Raises:
        DamagedRunError: the directory holds invocations of another plan or environment.
        RunError: another process executes this run, or its files cannot be written.
        KeyboardInterrupt: after every process of the current invocation is gone.
    """
    with run.locked():
        work = _Work(plan, ready, adapter, run, observer, cache)
        for number, planned in enumerate(plan.invocations, start=1):
            outcome = work.make(planned, number)
            work.tell(planned, number, "finished", outcome)


class _Work:
    """What is the same for every invocation of one call of `execute`."""

    def __init__(
        self,
        plan: Plan,
        ready: Mapping[str, ReadyPoint],
        adapter: Adapter,
        run: RunDirectory,
        observer: Observer,
        cache: CacheLayout,
    ) -> None:
        self._plan, self._ready, self._adapter = plan, ready, adapter
        self._run, self._observer, self._cache = run, observer, cache

    def tell(
        self, planned: PlannedInvocation, number: int, text: str, outcome: str | None = None
    ) -> None:
        done = number if outcome is not None else number - 1
        total = len(self._plan.invocations)
        self._observer(Event("run", planned.id, text, done, total, outcome))

    def make(self, planned: PlannedInvocation, number: int) -> str:
        """Make one invocation unless it is finished; return how it ended, in a word."""
        ready = self._ready.get(planned.point)
        if ready is None:
            return "not prepared"
        if ready.failed is not None:
            return "environment failed"
        mine = identity(self._plan, planned, ready)
        if is_finished(self._run, planned, mine):
            return "kept"
        try:
            folder = self._clear(planned, number)
            spec = self._spec(planned, ready, mine)
            write_record(folder / SPEC, spec)
            self.tell(planned, number, "running")
            return self._start(spec, folder)
        except OSError as error:
            raise RunError(f"{self._run.path} cannot be written: {error}") from error

    def _clear(self, planned: PlannedInvocation, number: int) -> Path:
        """Give the invocation an empty directory."""
        folder = self._run.invocation(planned.id)
        aside = set_aside(folder)
        if aside is not None:
            self.tell(planned, number, f"was interrupted; its files are kept as {aside.name}")
        folder.mkdir(parents=True)
        return folder

    def _spec(self, planned: PlannedInvocation, ready: ReadyPoint, mine: str) -> InvocationSpec:
        point = point_context(ready, self._adapter)
        invocation = invocation_record(self._plan, planned, self._run)
        command = make_command(self._adapter, self._plan, point, invocation)
        timeout_s = self._plan.timeout_s
        if isinstance(command, str):
            return InvocationSpec(
                planned=planned, identity=mine, timeout_s=timeout_s, refused=command
            )
        added = {**self._variables(ready, Path(point.python)), **command.env}
        environment = child_environment(os.environ, added=added)
        return InvocationSpec(
            planned=planned, identity=mine, timeout_s=timeout_s,
            argv=command.argv, cwd=command.cwd, unsupported=command.unsupported,
            env=environment.variables, removed=environment.removed,
        )  # fmt: skip

    def _variables(self, ready: ReadyPoint, python: Path) -> dict[str, str]:
        compiled = self._run.compile_cache(ready.point)
        (compiled / "inductor").mkdir(parents=True, exist_ok=True)
        (compiled / "triton").mkdir(parents=True, exist_ok=True)
        key = Path(ready.environment).name if ready.environment else ready.identity
        bytecode = self._cache.bytecode / key
        return point_variables(os.environ, python=python, bytecode=bytecode, compile_cache=compiled)

    def _start(self, spec: InvocationSpec, folder: Path) -> str:
        if spec.argv is None or spec.cwd is None:
            return "refused"
        process = ProcessSpec(
            argv=spec.argv, cwd=spec.cwd, env=spec.env,
            directory=str(folder), timeout_s=spec.timeout_s,
        )  # fmt: skip
        found = supervise(process)
        keep_record(folder, spec, found)
        return found.outcome()
