"""A run whose files a test writes by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from reprokit.adapter import load_adapter
from reprokit.atomic_files import write_record
from reprokit.plan import PlannedInvocation
from reprokit.process.launch import Exit
from reprokit.records import Row
from reprokit.rows import collect_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.invocation import InvocationSpec, identity
from reprokit.stack import ReadyPoint

SUBJECT, BASELINE = "p1__all__subject__00", "p1__all__baseline__00"


def line(iteration: int, **changes: Any) -> str:
    facts = {
        "iteration": iteration, "latency_ms": 2.0, "tokps": 4000.0, "tokens": 8, "tokens_asked": 8,
        "output_tokens": [1, 2, 3], "device": "cpu", "compile": "compiled",
    }  # fmt: skip
    return json.dumps({**facts, **changes})


def ended(**changes: Any) -> Exit:
    facts = {
        "schema": "reprokit/exit/v1", "returncode": 0, "signal": None, "stopped_by": None,
        "spawn_error": None, "wall_s": 9.0, "user_s": 1.0, "system_s": 0.0, "max_rss_bytes": 1,
        "leftovers": 0, "unkillable": 0, "started": "2026-01-01T00:00:00+00:00",
        "monotonic_start_s": 1.0, "boot_id": None, "stdout_bytes": 0, "stderr_bytes": 0,
    }  # fmt: skip
    return Exit(**{**facts, **changes})


@dataclass(frozen=True)
class Saved:
    """A run whose files a test writes by hand: two invocations of two samples."""

    run: RunDirectory
    ready: dict[str, ReadyPoint]

    def invocation(self, name: str) -> PlannedInvocation:
        return next(planned for planned in self.run.plan.invocations if planned.id == name)

    def save(
        self,
        name: str,
        lines: list[str],
        exit_: Exit | None = None,
        *,
        stderr: str = "",
        **spec: Any,
    ) -> None:
        planned = self.invocation(name)
        folder = self.run.invocation(name)
        folder.mkdir()
        mine = identity(self.run.plan, planned, self.ready["p1"])
        made = {"argv": ("x",), "cwd": "/", "planned": planned, "identity": mine, "timeout_s": 30.0}
        write_record(folder / "spec.json", InvocationSpec(**{**made, **spec}))
        (folder / "stdout.log").write_text("".join(f"{text}\n" for text in lines))
        (folder / "stderr.log").write_text(stderr)
        if exit_ is not None:
            sizes = {
                f"{name}_bytes": (folder / f"{name}.log").stat().st_size
                for name in ("stdout", "stderr")
            }
            write_record(folder / "exit.json", exit_.model_copy(update=sizes))

    def rows(self) -> tuple[Row, ...]:
        return collect_rows(self.run.plan, self.ready, load_adapter("scripted"), self.run)

    def of(self, name: str) -> list[Row]:
        return [row for row in self.rows() if row.id.startswith(name)]
