"""Make every planned invocation that is not finished yet, in the order of the plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from reprokit.adapter import Adapter
from reprokit.cache import CacheLayout
from reprokit.plan import Plan, PlannedInvocation
from reprokit.progress import Event, Observer
from reprokit.run.directory import RunDirectory
from reprokit.run.phase_probe import probe_phases
from reprokit.run.seats import Seat, held_seats
from reprokit.run.side_by_side import measure_side_by_side
from reprokit.run.work import Work
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

    Several GPUs of one kind measure several stack points side by side, each in a process of its
    own; `run/seats.py` has the rules.

    Raises:
        DamagedRunError: the directory holds invocations of another plan or environment.
        RunError: another process executes this run or uses the GPU, or files cannot be written.
        KeyboardInterrupt: after every process of the current invocation is gone.
    """

    def tell(text: str) -> None:
        observer(Event("run", run.path.name, text))

    with run.locked(), held_seats(plan, ready, run, tell) as seats:
        if len(seats) == 1:
            everywhere = [point.id for point in plan.points]
            seat = next(iter(seats))
            make_invocations(
                plan, ready, adapter, run, everywhere, seat=seat, observer=observer, cache=cache
            )
            return
        busy = {point for points in seats.values() for point in points}
        rest = [point.id for point in plan.points if point.id not in busy]
        done = make_invocations(
            plan, ready, adapter, run, rest, seat=Seat(), observer=observer, cache=cache
        )
        measure_side_by_side(
            plan, seats, ready, adapter, run, observer=observer, cache=cache, done=done
        )


def make_invocations(
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    run: RunDirectory,
    points: Collection[str],
    *,
    seat: Seat,
    observer: Observer,
    cache: CacheLayout,
) -> int:
    """Make what is left of some points, in the order of the plan; return how many there were.

    Whoever calls this holds the run and the seat.
    """
    work = Work(plan, ready, adapter, run, observer, cache, seat)
    number = 0
    for batch in _processes(plan):
        if batch[0].point not in points:
            continue
        for planned, outcome in work.make(batch, number):
            number += 1
            work.tell_end(planned, number, outcome)
    if plan.phase_probe:
        probe_phases(work, run, ready, adapter, points, observer)
    return number


def _processes(plan: Plan) -> Iterator[list[PlannedInvocation]]:
    """Put the invocations together that one process measures, in the order of the plan."""
    for _, batch in groupby(plan.invocations, key=lambda planned: planned.launch or planned.id):
        yield list(batch)
