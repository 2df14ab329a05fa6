"""Stack points as locked environments: a lock for each, then one environment per lock."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reprokit.envs.build import Built, EnvironmentBuilder
from reprokit.envs.locking import LockedPoint, PointLocks
from reprokit.envs.probe import ProbeError
from reprokit.envs.steps import StepFailure
from reprokit.errors import EnvironmentBuildError, TamperedEnvironmentError
from reprokit.plan import Plan
from reprokit.process.tool import kill_running_tools
from reprokit.stack import StackPoint


@dataclass(frozen=True)
class LockedStack:
    """How far a point came: its lock, and the environment that was built from it.

    `built` is None where nothing was tried: no lock, or no source to run.
    """

    locked: LockedPoint | StepFailure
    built: Built | StepFailure | None


class LockedStacks:
    """Makes the environments of a plan, several at a time.

    Args:
        plan: names the points.
        locks: finds the lock of each.
        builder: builds or reuses environments.
        jobs: environments built at the same time.
        tell: told about a point what happens.
    """

    def __init__(
        self,
        plan: Plan,
        locks: PointLocks,
        builder: EnvironmentBuilder,
        *,
        jobs: int,
        tell: Callable[[StackPoint, str], None],
    ) -> None:
        self._plan = plan
        self._locks = locks
        self._builder = builder
        self._jobs = max(1, jobs)
        self._tell = tell

    def make(self, without_source: Collection[str]) -> dict[str, LockedStack]:
        """Lock every point and build its environment, unless it has nothing to run there."""
        locks = {point.id: self._lock(point) for point in self._locks.in_order()}
        with ThreadPoolExecutor(max_workers=self._jobs, thread_name_prefix="build") as pool:
            building = {
                point.id: pool.submit(self._build, point, locks[point.id])
                for point in self._plan.points
                if point.id not in without_source  # gigabytes are not installed for nothing
            }
            try:
                built = {point_id: future.result() for point_id, future in building.items()}
            except BaseException:
                # Ctrl-C reaches only this thread; without this the others' uv would be waited for.
                pool.shutdown(wait=False, cancel_futures=True)
                kill_running_tools()
                raise
        return {name: LockedStack(lock, built.get(name)) for name, lock in locks.items()}

    def _lock(self, point: StackPoint) -> LockedPoint | StepFailure:
        self._tell(point, "resolving the stack")
        try:
            return self._locks.lock(point)
        except EnvironmentBuildError as error:
            return StepFailure.of("resolve_failed", error)

    def _build(
        self, point: StackPoint, locked: LockedPoint | StepFailure
    ) -> Built | StepFailure | None:
        if isinstance(locked, StepFailure):
            return None
        try:
            return self._builder.ensure(locked.lock, locked.interpreter, point.id)
        except EnvironmentBuildError as error:
            return StepFailure.of(_build_code(error), error)
        except OSError as error:
            return StepFailure.of_system("install_failed", error)


def _build_code(error: EnvironmentBuildError) -> str:
    if isinstance(error, TamperedEnvironmentError):
        return "altered"
    return "probe_failed" if isinstance(error, ProbeError) else "install_failed"
