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
from reprokit.gpu.inventory import VISIBLE, choose, survey
from reprokit.gpu.lock import GpuLock, take
from reprokit.gpu.recording import recording
from reprokit.plan import Plan, PlannedInvocation
from reprokit.process.launch import EXIT
from reprokit.records import Record
from reprokit.run.directory import RunDirectory
from reprokit.stack import ReadyPoint

CORES_PER_SEAT = 4
"""Side by side, benchmarks share the host: eager code is often bound by it."""

_GPUS, _SEATS = "gpus", "seats.json"
_PROBE = "probes/{}__{}__{}/probe.json"
"""What `phase_probe.py` leaves for each arm of a cell: it needs a GPU too."""
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

    def recording(self, folder: Path) -> AbstractContextManager[None]:
        """Have the GPU watched while a benchmark runs; its telemetry goes to `folder`."""
        if self.uuid is None and self.why is None:
            return nullcontext()
        return recording(folder, self.uuid, why=self.why)


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
    if seat.uuid is None or python is None:
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

    Reads no record: whoever makes the invocations says what is wrong with one.
    """
    left = {
        each.point
        for each in plan.invocations
        if not (run.invocation(each.id) / EXIT).exists()
        or (plan.phase_probe and not _probe_record(run, each).exists())
    }
    usable = {name for name, point in ready.items() if point.failed is None}
    return tuple(point.id for point in plan.points if point.id in left & usable)


def _probe_record(run: RunDirectory, each: PlannedInvocation) -> Path:
    return run.path / _PROBE.format(each.point, each.cell, each.arm)


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
        with _held_unknown(run, tell) if inventory.gpus else nullcontext():
            yield {Seat(why=choice.why or "no_gpu: none is known"): points}
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
def _held_unknown(run: RunDirectory, tell: Tell) -> Iterator[None]:
    """Hold whatever GPU it will be, against all who are shown the same ones."""
    shown = f"{VISIBLE}={os.environ.get(VISIBLE, 'all')}"
    lock = GpuLock(shown)
    take({shown: lock}, 1, run.path, tell)
    try:
        yield
    finally:
        lock.release()


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
    for uuid in dict.fromkeys(kept.values()):
        taken += take({uuid: locks[uuid]}, 1, run.path, tell)
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


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


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
