"""Watch a GPU while something runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from reprokit.atomic_files import write_atomic
from reprokit.gpu.sampler import REPLACED, SCHEMA
from reprokit.gpu.script import sampler_command, sampler_environment
from reprokit.gpu.telemetry import FILE
from reprokit.process.companion import Companion

_REPLACED = "telemetry_replaced: the file is not what the watching process wrote"
_NOT_BEGUN = "sampler_failed: the process that was to watch the GPU did not begin or said nothing"

READY_S = 20.0
"""Time that a driver may take to answer; one without persistence wakes the GPU up first."""


@contextmanager
def recording(folder: Path, uuid: str | None, *, why: str | None = None) -> Iterator[None]:
    """Have telemetry.jsonl written in a folder while the body runs.

    Nothing that becomes of the watching process changes what the body does: the file then says
    less, and says so. The body can write there too, so a file that nobody wrote for it is replaced.

    Args:
        folder: of an invocation, or of a process that measures several.
        uuid: the GPU; None where there is none to watch.
        why: why there is none.
    """
    if uuid is None:
        try:
            yield
        finally:
            _write_unavailable(folder, why or "no_gpu: none is known")
        return
    companion = Companion.start(
        sampler_command(), env=sampler_environment(), task=_task(folder, uuid), ready_s=READY_S
    )
    try:
        yield
    finally:
        if companion is None:
            _write_unavailable(folder, _NOT_BEGUN)
        elif companion.end() == REPLACED:
            _write_unavailable(folder, _REPLACED)


def _write_unavailable(folder: Path, why: str) -> None:
    """Write a file that says why there is nothing to say, over whatever may be there."""
    line = {"kind": "unavailable", "schema": SCHEMA, "why": why}
    with suppress(OSError):  # a benchmark removed the folder; its rows say so
        write_atomic(folder / FILE, [json.dumps(line).encode(), b"\n"])


def _task(folder: Path, uuid: str) -> bytes:
    task = {
        "uuid": uuid, "root": os.getpid(),
        "path": str(folder / FILE), "log": str(folder / "stdout.log"),
    }  # fmt: skip
    return json.dumps(task).encode()
