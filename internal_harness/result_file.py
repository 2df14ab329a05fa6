"""The file that the harness leaves: one JSON object per line, each written as soon as it is known.

    header     what is measured and with what: spec, versions, device, model, the least time that
               an iteration can take, and how near two logits must be for a tie
    iteration  one timed call: times in ms, tokens made with those that tie with them, digests of
               the prompt and of the last logits, whether these were finite; whether the model as
               it is, given the whole sequence, would choose these tokens
    compile    what was compiled and what executed, with the decision
    failure    an exception, complete
    end        the last line of a run that came through: peak memory, time outside of timed calls,
               one more iteration in which the logits of every call were looked at

A file without `end` is of a process that died; what it holds is still true.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

SCHEMA = "reprokit/harness/v1"


class ResultFile:
    """Appends records; what was written survives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """Where it is; artifacts go beside it."""
        return self._path

    def __enter__(self) -> ResultFile:
        self._stream = self._path.open("x", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()

    def write(self, kind: str, record: dict[str, object]) -> None:
        """Append one record and hand it to the system."""
        line = json.dumps({"kind": kind, **record}, default=str)
        self._stream.write(line + "\n")
        self._stream.flush()
