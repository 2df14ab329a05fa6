"""Several specs in one process, each with its own directory, streams and result file.

A batch is `{"common": {...}, "entries": [{"spec": {...}, "directory": "..."}, ...]}`, or a list of
entries. A spec holds what differs from the common part. For each entry the process sends its
streams to stdout.log and stderr.log there, and writes result.jsonl and, last, done.json:
{"returncode": 0 for measured, 1 for failed, "wall_s": seconds spent on it}. It ends after the first
failure, which may have damaged what the next entry would use.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failure_record import describe
from result_file import ResultFile
from spec import SpecError, load_json, spec_of

if TYPE_CHECKING:
    from session import Session

RESULT, DONE = "result.jsonl", "done.json"
_STREAMS = ((1, "stdout.log"), (2, "stderr.log"))


class BatchError(Exception):
    """What was handed over is no batch."""


@dataclass(frozen=True)
class Entry:
    """One spec, not yet checked, and the directory for all that it leaves."""

    spec: dict[str, Any]
    directory: Path


def load_entries(arguments: Sequence[str]) -> list[Entry]:
    """Read batches, each JSON text or the path of a file, and put their entries in one row.

    Raises:
        BatchError: one cannot be read or has another form, or a directory is not there.
    """
    entries: list[Entry] = []
    for argument in arguments:
        try:
            value = load_json(argument)
        except SpecError as error:
            raise BatchError(f"--batch: {error}") from error
        entries += _entries(value)
    if not entries:
        raise BatchError("--batch: there is no entry")
    return entries


def run_batch(entries: Sequence[Entry]) -> int:
    """Measure the entries in their order; return the exit code. Does not return after a failure."""
    session: Session | None = None
    for entry in entries:
        started = time.perf_counter()
        _redirect(entry.directory)
        with ResultFile(entry.directory / RESULT) as results:
            try:
                spec = spec_of(entry.spec)
                # Imported here, so that a broken torch is recorded like every other failure.
                from session import Session

                session = session or Session()
                session.measure(spec, results)
            except Exception as error:
                results.write("failure", describe(error))
                traceback.print_exc()
                _finish(entry, 1, started)
                # Not by way of an orderly end: a broken CUDA context may hang or abort in it, and
                # all that is to be kept has been written.
                os._exit(1)
        _finish(entry, 0, started)
    return 0


def _entries(value: object) -> list[Entry]:
    common: object = {}
    if isinstance(value, dict):
        if set(value) - {"common", "entries"}:
            raise BatchError("--batch: a batch has `common` and `entries`, and nothing else")
        common, value = value.get("common", {}), value.get("entries")
    if not isinstance(value, list) or not isinstance(common, dict):
        raise BatchError("--batch: a batch is a list of entries, or an object that has one")
    return [_entry(each, common, place) for place, each in enumerate(value)]


def _entry(value: object, common: dict[str, Any], place: int) -> Entry:
    if not isinstance(value, dict) or set(value) != {"spec", "directory"}:
        raise BatchError(f"--batch: entry {place} must have `spec` and `directory`")
    spec, directory = value["spec"], value["directory"]
    if not isinstance(spec, dict) or not isinstance(directory, str):
        raise BatchError(f"--batch: entry {place}: spec is an object, directory a path")
    if not Path(directory).is_dir():
        raise BatchError(f"--batch: entry {place}: {directory} is no directory")
    return Entry({**common, **spec}, Path(directory))


def _redirect(directory: Path) -> None:
    """Send both streams, of the process and of all that it starts, to the entry's own logs."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, name in _STREAMS:
        log = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, number)
        os.close(log)


def _finish(entry: Entry, returncode: int, started: float) -> None:
    """Say that the entry is over; the file is whole as soon as it is there."""
    sys.stdout.flush()
    sys.stderr.flush()
    said = {"returncode": returncode, "wall_s": time.perf_counter() - started}
    partial = entry.directory / f"{DONE}.partial"
    partial.write_text(json.dumps(said) + "\n", encoding="utf-8")
    partial.replace(entry.directory / DONE)
