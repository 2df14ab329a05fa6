"""From an exception to a record: class, message, innermost frame, chained causes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_MACHINE = re.compile(r"^.*/(?:(?:site|dist)-packages|lib(?:64)?/python3\.\d+)/")
_HERE = Path(__file__).resolve().parent


def describe(error: BaseException) -> dict[str, object]:
    """Describe an exception; causes come in the order in which they were raised."""
    chain = list(_chain(error))
    return {
        "exception": qualified_name(error),
        "message": str(error),
        "frame": _innermost_frame(error),
        "causes": [
            {"exception": qualified_name(cause), "message": str(cause)}
            for cause in reversed(chain[1:])
        ],
    }


def qualified_name(error: BaseException) -> str:
    """Name an exception's class as tracebacks do: builtins without their module."""
    kind = type(error)
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what led to it, as `traceback` chains them, each one once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)


def _innermost_frame(error: BaseException) -> dict[str, object] | None:
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return {
        "file": _portable(code.co_filename), "line": trace.tb_lineno, "function": code.co_name
    }  # fmt: skip


def _portable(file: str) -> str:
    """Name a file without the folders that only this machine has."""
    path = Path(file)
    if path.parent == _HERE:
        return path.name
    return _MACHINE.sub("", file)
