"""The progress display: live bars on a terminal, plain lines anywhere else. Writes to stderr."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from reprokit.progress import Event, Observer, nobody

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_TITLES = {"prepare": "environments", "run": "invocations", "score": "rows", "report": "report"}


@contextmanager
def progress_display(*, quiet: bool = False) -> Iterator[Observer]:
    """Give an observer that shows what stages tell it, for as long as the block lasts."""
    if quiet:
        yield nobody
    elif sys.stderr.isatty():
        with _live() as observer:
            yield observer
    else:
        yield _PlainLines()


class _PlainLines:
    """One line an event, with the time since the start: for logs and pipes."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        count = f" {event.done}/{event.total}" if event.total else ""
        ended = f": {event.outcome}" if event.outcome else ""
        elapsed = _clock(time.monotonic() - self._start)
        with self._lock:
            click.echo(
                f"[{elapsed}] {event.stage}{count} {event.subject} - {event.text}{ended}", err=True
            )


class _Bars:
    """One bar a stage, with what is running beside it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        from rich.markup import escape  # noqa: PLC0415 - rich only when there is a terminal

        with self._lock:
            if event.stage not in self._tasks:
                self._tasks[event.stage] = self._progress.add_task(
                    _TITLES[event.stage], total=event.total, what=""
                )
            task = self._tasks[event.stage]
            what = escape(f"{event.subject} - {event.text}".strip(" -"))
            self._progress.update(task, what=what, total=event.total)
            if event.done is not None:
                self._progress.update(task, completed=event.done)
            if event.outcome not in {None, "ok"}:
                self._progress.console.print(
                    f"[yellow]{escape(str(event.outcome))}[/] {escape(event.subject)}"
                )


@contextmanager
def _live() -> Iterator[Observer]:
    from rich.console import Console  # noqa: PLC0415 - rich only when there is a terminal
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    with Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}", table_column=None),
        console=Console(stderr=True),
        # Redrawing costs processor time beside the measurement; twice a second is enough.
        refresh_per_second=2,
    ) as progress:
        yield _Bars(progress)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
