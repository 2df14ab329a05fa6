"""The process that measures the stack points of one seat: `python -m reprokit.run.worker`.

Started by `side_by_side.py`, which holds the run and the GPUs and shows what happens.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from reprokit.adapter import load_adapter
from reprokit.cache import CacheLayout
from reprokit.errors import ExitCode, ReprokitError
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import make_invocations
from reprokit.run.seats import Seat
from reprokit.run.side_by_side import complain, interrupt_at_end_of_input, read_task, say


def main() -> int:
    """Do one task."""
    task = read_task()
    if task is None:
        return ExitCode.INFRASTRUCTURE
    # A shell without job control has SIGINT ignored in what it starts, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupt_at_end_of_input()
    try:
        make_invocations(
            task.plan, task.ready, load_adapter(task.adapter), RunDirectory.open(Path(task.run)),
            task.points, seat=Seat(task.uuid), observer=say, cache=CacheLayout(Path(task.cache)),
        )  # fmt: skip
    except ReprokitError as error:
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
