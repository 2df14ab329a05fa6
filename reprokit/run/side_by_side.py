"""Several seats at once: one worker process for each, which measures its own stack points.

Processes, not threads: whoever watches a benchmark adopts what it leaves behind, and could not tell
the orphans of two benchmarks apart.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from reprokit.adapter import Adapter
from reprokit.cache import CacheLayout
from reprokit.errors import ExitCode, ReprokitError, RunError
from reprokit.plan import Plan
from reprokit.process.workers import Workers
from reprokit.progress import Event, Observer
from reprokit.records import Record
from reprokit.run.directory import RunDirectory
from reprokit.run.seats import Seat
from reprokit.stack import ReadyPoint

_WORKER = "reprokit.run.worker"


class Task(Record):
    """What a worker is to do; the only line on its standard input."""

    plan: Plan
    run: str
    cache: str
    adapter: str
    uuid: str | None
    points: tuple[str, ...]
    ready: dict[str, ReadyPoint]


class Complaint(Record):
    """A failure of a worker whose cause is known."""

    what: str
    hint: str
    exit_code: int


class Said(Record):
    """One line of a worker: an event, or why it gave up."""

    event: dict[str, str | int | None] | None = None
    complaint: Complaint | None = None


def measure_side_by_side(
    plan: Plan,
    seats: Mapping[Seat, Sequence[str]],
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    run: RunDirectory,
    *,
    observer: Observer,
    cache: CacheLayout,
    done: int,
) -> None:
    """Measure the points of every seat, the seats at the same time.

    `done` invocations were over with before.

    Raises:
        RunError: a worker failed; the others were stopped, and nothing finished is lost.
        KeyboardInterrupt: after every process of every worker is gone.
    """
    workers = Workers()
    try:
        for seat, points in seats.items():
            task = Task(
                plan=plan, run=str(run.path), cache=str(cache.root), adapter=adapter.name,
                uuid=seat.uuid, points=tuple(points),
                ready={name: ready[name] for name in points},
            )  # fmt: skip
            workers.start(str(seat.uuid), _WORKER, task.model_dump_json().encode())
        _listen(workers, observer, done, total=len(plan.invocations))
        for name, words in workers.failures().items():
            raise RunError(
                f"{run.path}: the process that measures on GPU {name} failed: {words}",
                hint="Continue the run; nothing that was finished is lost.",
            )
    finally:
        workers.stop()


def _listen(workers: Workers, observer: Observer, done: int, *, total: int) -> None:
    for name, line in workers.lines():
        try:
            said = Said.model_validate_json(line)
        except ValidationError:
            continue  # an adapter that prints
        if said.complaint is not None:
            raise _error(said.complaint)
        if said.event is None:
            continue
        event = _EVENT.validate_python(said.event)
        if event.outcome is not None:
            done += 1
        text = f"{event.text} on {name}" if event.outcome is None else event.text
        observer(Event(event.stage, event.subject, text, done, total, event.outcome))


_EVENT = TypeAdapter(Event)


def _error(complaint: Complaint) -> ReprokitError:
    error = RunError(complaint.what, hint=complaint.hint)
    error.exit_code = ExitCode(complaint.exit_code)
    return error


def say(event: Event) -> None:
    """Tell the process that started this worker of an event."""
    _write(Said(event=asdict(event)))


def complain(error: ReprokitError) -> None:
    """Tell it why this worker gives up."""
    _write(
        Said(complaint=Complaint(
            what=error.what, hint=error.hint, exit_code=int(error.exit_code)
        ))
    )  # fmt: skip


def read_task() -> Task | None:
    """Read the task; None where there is none."""
    line = sys.stdin.buffer.readline()
    return Task.model_validate_json(line) if line.endswith(b"\n") else None


def interrupt_at_end_of_input() -> None:
    """From now on, the end of standard input is a Ctrl-C: whoever started this is gone or stops."""

    def listen() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=listen, daemon=True).start()


def _write(said: Said) -> None:
    # On a line of its own, whatever an adapter printed before.
    sys.stdout.write(f"\n{said.model_dump_json()}\n")
    sys.stdout.flush()
