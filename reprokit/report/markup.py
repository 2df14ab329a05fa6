"""Foreign text made harmless in Markdown: logs, claims and file names can hold anything.

What comes out has one line, no control or direction-changing characters, a bounded length, and
cannot open HTML, a link, a table cell, a mention or a code fence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from reprokit.verdict.wording import one_line

LONGEST = 300

_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", **{each: f"\\{each}" for each in "\\`*_[]|~$"}}
)
# A zero-width space keeps the host of a report from making mentions, issue links and addresses.
_BREAK = "&#8203;"
_LIVE = re.compile(r"@(?=\w)|#(?=\d)|:(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_BLOCK = re.compile(r"^(\s*)([-+#=]|\d+[.)])(?=\s|$|[-+#=])")


@lru_cache(maxsize=16_384)
def text(foreign: str, longest: int = LONGEST) -> str:
    """Write foreign text as plain text."""
    clean = one_line(foreign, longest).translate(_ESCAPES)
    clean = _LIVE.sub(lambda found: found.group() + _BREAK, clean)
    return _BLOCK.sub(rf"\1{_BREAK}\2", clean)


def code(foreign: str, longest: int = LONGEST) -> str:
    """Write foreign text as code, safe inside a table too."""
    clean = one_line(foreign, longest)
    if not clean:
        return ""
    longest_run = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * (longest_run + 1)
    space = " " if "`" in (clean[0], clean[-1]) else ""
    return f"{fence}{space}{clean}{space}{fence}".replace("|", "\\|")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table; cells must be safe already."""
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(cell or '-' for cell in row)} |" for row in rows),
    ]


def details(summary: str, lines: Iterable[str]) -> list[str]:
    """Fold lines away under a summary, which must be safe already."""
    return [f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"]
