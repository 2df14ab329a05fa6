"""Where invocations are measured: on GPUs that are held for this run, or on none.

A stack point stays on one GPU, so that its arms are compared on one; several GPUs of one kind
measure several points side by side. Which point went where is kept in the run directory, for a
resumed run must not spread the invocations of a point over two GPUs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from reprokit.atomic_files import write_record
from reprokit.errors import DamagedRunError
from reprokit.evidence import read_evidence
from reprokit.gpu.ceiling import CopyRate, measure_copy
from reprokit.gpu.inventory import VISIBLE, choose, could_be, survey
from reprokit.gpu.lock import GpuLock, take
from reprokit.gpu.recording import recording
from reprokit.plan import Plan
from reprokit.records import Record
from reprokit.run.cores import cores
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import needs_process
from reprokit.run.phase_probe import probe_record
from reprokit.stack import ReadyPoint

CORES_PER_SEAT = 4
"""Side by side, benchmarks share the host: eager code is often bound by it."""

_GPUS, _SEATS = "gpus", "seats.json"
_LARGEST = 1 << 20
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")

Tell = Callable[[str], None]


class SeatsRecord(Record):
    """What gpus/seats.json holds: stack point to the UUID of its GPU."""

    points: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Seat:
    """One place to measure.

    Attributes:
        uuid: GPU that the benchmark is pinned to; None leaves it where its environment sends it.
        why: why there is none although a GPU was asked for; None where none was.
    """

    uuid: str | None = None
    why: str | None = None

    def variables(self) -> dict[str, str]:
        """Name the variables that pin a process to the GPU."""
        return {} if self.uuid is None else {VISIBLE: self.uuid}

    def is_seen_by(self, env: Mapping[str, str]) -> bool:
        """Tell whether a process with these variables computes here: an adapter's own win."""
        return self.uuid is not None and env.get(VISIBLE) == self.uuid

    def recording(self, folder: Path, env: Mapping[str, str]) -> AbstractContextManager[None]:
        """Have the GPU watched while a benchmark with these variables runs.

        Its telemetry goes to `folder`.
        """
        if self.uuid is None and self.why is None:
            return nullcontext()
        if self.uuid is None or self.is_seen_by(env):
            return recording(folder, self.uuid, why=self.why)
        why = f"pinned_elsewhere: its adapter set {VISIBLE}={env.get(VISIBLE)}"
        return recording(folder, None, why=why)


def copy_file(run: RunDirectory, uuid: str) -> Path:
    """File of the measured ceiling of a GPU."""
    # The UUID may have been read from a file that a benchmark could write.
    return run.path / _GPUS / f"{_UNSAFE.sub('-', uuid)}.json"


def read_copy(run: RunDirectory, uuid: str) -> CopyRate | None:
    """Read what was measured of a GPU's memory in this run; None where nothing was."""
    try:
        return CopyRate.model_validate_json(read_evidence(copy_file(run, uuid), limit=_LARGEST))
    except (OSError, ValidationError):
        return None


def measure_ceiling(
    run: RunDirectory, seat: Seat, python: str | None, env: Mapping[str, str]
) -> None:
    """Measure the memory of the seat's GPU as a benchmark is about to see it, once in a run."""
    if seat.uuid is None or python is None or not seat.is_seen_by(env):
        return
    path = copy_file(run, seat.uuid)
    if path.exists():
        return
    path.parent.mkdir(exist_ok=True)
    write_record(path, measure_copy(python, env, path.with_suffix(".log")))


def unfinished_points(
    plan: Plan, ready: Mapping[str, ReadyPoint], run: RunDirectory
) -> tuple[str, ...]:
    """Name the points of which something is still to be made, in the order of the plan.

    Checks no record: whoever makes the invocations says what is wrong with one.
    """
    left = {
        each.point
        for each in plan.invocations
        if needs_process(run.invocation(each.id))
        or (plan.phase_probe and not probe_record(run, each).exists())
    }
    usable = {name for name, point in ready.items() if point.failed is None}
    return tuple(point.id for point in plan.points if point.id in left & usable)


@contextmanager
def held_seats(
    plan: Plan, ready: Mapping[str, ReadyPoint], run: RunDirectory, tell: Tell
) -> Iterator[dict[Seat, tuple[str, ...]]]:
    """Hold the GPUs that are needed; yield which unfinished points each of them measures.

    Raises:
        RunError: the GPUs are in use by other runs of reprokit; it says by which.
    """
    points = unfinished_points(plan, ready, run) if plan.setup.device == "cuda" else ()
    if not points:
        yield {Seat(): points}
        return
    device = next((each.device for name in points if (each := ready[name].probe)), {})
    inventory = survey()
    choice = choose(inventory, device, os.environ)
    if not choice.uuids:
        why = choice.why or "no_gpu: none is known"
        with _held_all(could_be(inventory, device, os.environ), run, tell):
            yield {Seat(why=why): points}
        return
    locks = {uuid: GpuLock(uuid) for uuid in choice.uuids}
    taken: list[str] = []
    try:
        assigned = _assign(run, points, locks, taken, tell)
        yield {
            Seat(uuid): tuple(name for name in points if assigned[name] == uuid) for uuid in taken
        }
    finally:
        for uuid in taken:
            locks[uuid].release()


@contextmanager
def _held_all(names: Sequence[str], run: RunDirectory, tell: Tell) -> Iterator[None]:
    """Hold every GPU that it could be, for which one it will be is not known."""
    locks = {name: GpuLock(name) for name in names}
    taken: list[str] = []
    try:
        _take_each(locks, taken, run, tell)
        yield
    finally:
        for name in taken:
            locks[name].release()


def _take_each(
    locks: Mapping[str, GpuLock], taken: list[str], run: RunDirectory, tell: Tell
) -> None:
    """Take all of some GPUs; in one order everywhere, or two runs could wait for each other."""
    for name in sorted(locks):
        taken += take({name: locks[name]}, 1, run.path, tell)


def _assign(
    run: RunDirectory,
    points: Sequence[str],
    locks: Mapping[str, GpuLock],
    taken: list[str],
    tell: Tell,
) -> dict[str, str]:
    """Give every point a GPU that is held; those that had one before keep it."""
    before = _read_seats(run)
    kept = {name: before[name] for name in points if before.get(name) in locks}
    _take_each({uuid: locks[uuid] for uuid in kept.values()}, taken, run, tell)
    new = [name for name in points if name not in kept]
    others = {uuid: lock for uuid, lock in locks.items() if uuid not in taken}
    room = min(len(new), cores() // CORES_PER_SEAT - len(taken))
    if new and not taken:
        taken += take(others, max(1, room), run.path, tell)
    else:
        taken += [uuid for uuid in list(others)[: max(0, room)] if others[uuid].acquire(run.path)]
    assigned = dict(kept)
    for name in new:
        held = list(assigned.values())
        assigned[name] = min(taken, key=held.count)
    (run.path / _GPUS).mkdir(exist_ok=True)
    write_record(run.path / _GPUS / _SEATS, SeatsRecord(points={**before, **assigned}))
    return assigned


def _read_seats(run: RunDirectory) -> dict[str, str]:
    path = run.path / _GPUS / _SEATS
    try:
        return SeatsRecord.model_validate_json(read_evidence(path, limit=_LARGEST)).points
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DamagedRunError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise DamagedRunError(f"{path}: {error.errors()[0]['msg']}") from error
