"""The ceiling of a GPU's memory as measured: a copy from device to device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, ValidationError

from reprokit.errors import ReprokitError
from reprokit.process.tool import run_tool
from reprokit.records import Record

_LIMIT_S = 180.0
# A folder of its own: Python puts the one of a script before the standard library.
_SCRIPT = Path(__file__).with_name("copy_script")


class CopyRate(Record):
    """Rates in 10^9 bytes per second, bytes read and written; None with a reason.

    Attributes:
        gbps: of the fastest copy; `median_gbps` of all.
        reason: why there is none, as a code and a sentence.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    gbps: float | None = None
    median_gbps: float | None = None
    buffer_bytes: int | None = None
    repeats: int | None = None
    torch: str | None = None
    device: str | None = None
    reason: str | None = None


def measure_copy(python: str, env: Mapping[str, str], log: Path) -> CopyRate:
    """Measure with a stack point's Python on the GPU that `env` shows; never raises for it."""
    try:
        found = run_tool(
            (python, str(_SCRIPT)), env=env, timeout_s=_LIMIT_S, log=log, cwd=log.parent
        )
    except ReprokitError as error:
        return CopyRate(reason=f"copy_failed: {error.what}")
    if not found.ok:
        how = f"no end after {_LIMIT_S:g} s" if found.timed_out else f"exit {found.returncode}"
        return CopyRate(reason=f"copy_failed: {how}; see {log.name}")
    try:
        return CopyRate.model_validate_json(found.stdout.strip().rpartition("\n")[2])
    except ValidationError as error:
        return CopyRate(reason=f"copy_failed: {error.errors()[0]['msg']}")
