"""Making the invocations of one seat: specs before, processes between, records after."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from reprokit.adapter import Adapter, Command, Launch, SharesProcesses
from reprokit.atomic_files import write_record
from reprokit.cache import CacheLayout
from reprokit.errors import RunError
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.environment import ChildEnvironment, child_environment, point_variables
from reprokit.process.launch import Exit, ProcessSpec, supervise
from reprokit.process.lease import end_stale
from reprokit.progress import Event, Observer
from reprokit.run.directory import RunDirectory
from reprokit.run.failing import Failures
from reprokit.run.following import following
from reprokit.run.invocation import (
    SPEC,
    InvocationSpec,
    identity,
    invocation_record,
    is_finished,
    keep_record,
    launch_of,
    make_command,
    point_context,
    read_spec,
    set_aside,
)
from reprokit.run.seats import Seat, measure_ceiling
from reprokit.run.shared import Done, is_begun, recover, settle
from reprokit.stack import ReadyPoint


def _running(cells: int) -> str:
    return "running" if cells == 1 else f"running {cells} cells in one process"


class Work:
    """What is the same for all invocations that one process makes."""

    def __init__(
        self,
        plan: Plan,
        ready: Mapping[str, ReadyPoint],
        adapter: Adapter,
        run: RunDirectory,
        observer: Observer,
        cache: CacheLayout,
        seat: Seat,
    ) -> None:
        self._seat = seat
        self._plan, self._ready, self._adapter = plan, ready, adapter
        self._run, self._observer, self._cache = run, observer, cache
        self._failures = Failures(plan, adapter, run)
        self._told: dict[str, str] = {}

    def tell(
        self, planned: PlannedInvocation, number: int, text: str, outcome: str | None = None
    ) -> None:
        """Tell the observer of the invocation with this number, from 1."""
        done = number if outcome is not None else number - 1
        total = len(self._plan.invocations)
        self._observer(Event("run", planned.id, text, done, total, outcome))

    def tell_end(self, planned: PlannedInvocation, number: int, outcome: str) -> None:
        """Tell how an invocation ended, once."""
        if self._told.get(planned.id) != outcome:
            self._told[planned.id] = outcome
            self.tell(planned, number, "finished", outcome)

    def make(
        self, batch: list[PlannedInvocation], done: int
    ) -> Iterator[tuple[PlannedInvocation, str]]:
        """Make the invocations of one process that are not finished; yield how each one ended."""
        ready = self._ready.get(batch[0].point)
        if ready is None or ready.failed is not None:
            word = "not prepared" if ready is None else "environment failed"
            yield from ((planned, word) for planned in batch)
            return
        try:
            self._end_stale_launches(batch)
            todo: list[InvocationSpec] = []
            recovered = self._recovered(batch)
            for planned in batch:
                outcome = self._settled_before(planned, recovered.get(planned.id), ready, todo)
                if outcome is not None:
                    done += 1
                    yield planned, outcome
            if not todo:
                return
            self.tell(todo[0].planned, done + 1, _running(len(todo)))
            if batch[0].launch is None:
                yield self._start(todo[0], ready)
            else:
                yield from self._start_shared(batch[0].launch, todo, ready, done)
        except OSError as error:
            raise RunError(f"{self._run.path} cannot be written: {error}") from error

    def _settled_before(
        self,
        planned: PlannedInvocation,
        recovered: Exit | None,
        ready: ReadyPoint,
        todo: list[InvocationSpec],
    ) -> str | None:
        """Return how an invocation ended that needs no process; otherwise add it to `todo`."""
        mine = identity(self._plan, planned, ready)
        if is_finished(self._run, planned, mine):
            return self._kept(planned, ready)
        before = read_spec(self._run, planned, mine) if planned.launch is not None else None
        if recovered is not None and before is not None:
            keep_record(self._run.invocation(planned.id), before, recovered)
            return self._kept(planned, ready)
        folder = self._clear(planned)
        spec = self._spec(planned, ready, mine)
        write_record(folder / SPEC, spec)
        if spec.over:
            return "stopped early" if spec.stopped_early else "refused"
        todo.append(spec)
        return None

    def _kept(self, planned: PlannedInvocation, ready: ReadyPoint) -> str:
        found = self._run.exit(planned.id)
        if found is not None:
            self._failures.remember(planned, ready, found)
        return "kept"

    def _recovered(self, batch: list[PlannedInvocation]) -> dict[str, Exit]:
        """Find what shared processes were over with before a kill."""
        mates: dict[str, list[PlannedInvocation]] = {}
        for planned in batch:
            launch = launch_of(self._run, planned) if planned.launch is not None else None
            if launch is not None:
                mates.setdefault(launch, []).append(planned)
        found: dict[str, Exit] = {}
        for launch, pending in mates.items():
            found |= recover(self._run, pending, self._run.path / launch)
        return found

    def _end_stale_launches(self, batch: list[PlannedInvocation]) -> None:
        if batch[0].launch is not None:
            attempt = 1
            while (folder := self._run.launch(batch[0].launch, attempt)).is_dir():
                end_stale(folder)
                attempt += 1

    def _clear(self, planned: PlannedInvocation, why: str = "was interrupted") -> Path:
        """Give the invocation an empty directory."""
        folder = self._run.invocation(planned.id)
        aside = set_aside(folder)
        if aside is not None:
            text = f"{why}; its files are kept as {aside.name}"
            self._observer(Event("run", planned.id, text))
        folder.mkdir(parents=True)
        return folder

    def _spec(self, planned: PlannedInvocation, ready: ReadyPoint, mine: str) -> InvocationSpec:
        point = point_context(ready, self._adapter)
        invocation = invocation_record(self._plan, planned, self._run)
        timeout_s = self._plan.timeout_s
        enough = self._failures.enough(planned)
        command = make_command(self._adapter, self._plan, point, invocation)
        if isinstance(command, str) or enough is not None:
            return InvocationSpec(
                planned=planned, identity=mine, timeout_s=timeout_s, stopped_early=enough,
                refused=command if isinstance(command, str) and enough is None else None,
            )  # fmt: skip
        return self._asked(planned, mine, ready, command)

    def _asked(
        self, planned: PlannedInvocation, mine: str, ready: ReadyPoint, command: Command
    ) -> InvocationSpec:
        environment = self._environment(command, ready)
        return InvocationSpec(
            planned=planned, identity=mine, timeout_s=self._plan.timeout_s,
            argv=command.argv, cwd=command.cwd, unsupported=command.unsupported,
            env=environment.variables, removed=environment.removed,
        )  # fmt: skip

    def _environment(self, command: Command, ready: ReadyPoint) -> ChildEnvironment:
        python = Path(point_context(ready, self._adapter).python)
        return child_environment(
            os.environ,
            added={**self._variables(ready, python), **self._seat.variables(), **command.env},
        )

    def _variables(self, ready: ReadyPoint, python: Path) -> dict[str, str]:
        compiled = self._run.compile_cache(ready.point)
        (compiled / "inductor").mkdir(parents=True, exist_ok=True)
        (compiled / "triton").mkdir(parents=True, exist_ok=True)
        key = Path(ready.environment).name if ready.environment else ready.identity
        bytecode = self._cache.bytecode / key
        overlay = Path(ready.overlay.folder) if ready.overlay is not None else None
        return point_variables(
            os.environ, python=python, bytecode=bytecode, compile_cache=compiled, overlay=overlay
        )

    def _start(self, spec: InvocationSpec, ready: ReadyPoint) -> tuple[PlannedInvocation, str]:
        """Make one invocation in a process of its own."""
        folder = self._run.invocation(spec.planned.id)
        assert spec.argv is not None, "it is not over, so it has a command"
        process = ProcessSpec(
            argv=spec.argv, cwd=spec.cwd or str(folder), env=spec.env,
            directory=str(folder), timeout_s=spec.timeout_s,
        )  # fmt: skip
        measure_ceiling(self._run, self._seat, ready.python, spec.env)
        with self._seat.recording(folder, spec.env):
            found = supervise(process)
        keep_record(folder, spec, found)
        self._failures.remember(spec.planned, ready, found)
        return spec.planned, found.outcome()

    def launch_beside(self, ready: ReadyPoint, command: Command, folder: Path) -> Exit:
        """Start a process as an invocation is started, which is none: no row is drawn from it."""
        process = ProcessSpec(
            argv=command.argv, cwd=command.cwd, directory=str(folder),
            env=self._environment(command, ready).variables, timeout_s=self._plan.timeout_s,
        )  # fmt: skip
        with self._seat.recording(folder, process.env):
            return supervise(process)

    def _start_shared(
        self, launch: str, todo: list[InvocationSpec], ready: ReadyPoint, before: int
    ) -> Iterator[tuple[PlannedInvocation, str]]:
        """Measure invocations in one process; those that a failure leaves get a new one.

        `before` is the number of invocations that are over already.
        """
        while todo:
            specs = {spec.planned.id: spec for spec in self._with_command(launch, todo, ready)}
            first = next(iter(specs.values()))
            folder = self._run.path / str(first.launch)
            assert first.argv is not None, "it was just given one"
            process = ProcessSpec(
                argv=first.argv, cwd=first.cwd or str(folder), env=first.env, directory=str(folder),
                timeout_s=first.timeout_s,
                stages=tuple(str(self._run.invocation(name)) for name in specs),
            )  # fmt: skip
            measure_ceiling(self._run, self._seat, ready.python, first.env)
            pending = [spec.planned for spec in specs.values()]
            with self._seat.recording(folder, first.env), self._following(pending, before):
                found = supervise(process)
            settled, left = settle(self._run, pending, found, folder)
            for each in settled:
                spec = specs[each.planned.id]
                keep_record(self._run.invocation(each.planned.id), spec, each.found)
                self._failures.remember(each.planned, ready, each.found)
                yield each.planned, each.found.outcome()
            before += len(settled)
            for planned in left:
                if is_begun(self._run, planned):
                    self._clear(planned, "was measured after a failure in its process")
            todo = [specs[planned.id] for planned in left]

    def _following(
        self, pending: list[PlannedInvocation], before: int
    ) -> AbstractContextManager[None]:
        def tell(index: int, done: Done) -> None:
            outcome = "ok" if done.returncode == 0 else f"exit {done.returncode}"
            self.tell_end(pending[index], before + index + 1, outcome)

        return following([self._run.invocation(planned.id) for planned in pending], tell)

    def _with_command(
        self, launch: str, todo: list[InvocationSpec], ready: ReadyPoint
    ) -> list[InvocationSpec]:
        """Give the specs the command of the process that is about to measure them."""
        adapter = self._adapter
        assert isinstance(adapter, SharesProcesses), "the plan shares processes only then"
        folder = self._new_launch(launch)
        record = Launch(
            id=launch,
            directory=str(folder),
            invocations=tuple(
                invocation_record(self._plan, spec.planned, self._run) for spec in todo
            ),
        )
        point = point_context(ready, adapter)
        command = adapter.shared_command(self._plan.setup, point, record)
        env = self._environment(command, ready)
        shared = {
            "argv": command.argv, "cwd": command.cwd, "env": env.variables, "removed": env.removed,
            "launch": folder.relative_to(self._run.path).as_posix(),
        }  # fmt: skip
        specs = [spec.model_copy(update=shared) for spec in todo]
        for spec in specs:
            write_record(self._run.invocation(spec.planned.id) / SPEC, spec)
        return specs

    def _new_launch(self, launch: str) -> Path:
        attempt = 1
        while (folder := self._run.launch(launch, attempt)).exists():
            attempt += 1
        folder.mkdir(parents=True)
        return folder
