"""Tracebacks as Python prints them, and as ranks, groups and workers change them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reprokit.records import Cause, Frame

LONGEST_MESSAGE = 16 * 1024

_HEADER = re.compile(
    r"^(?P<prefix>.*?)(?P<kind>Exception Group |Original )?Traceback \(most recent call last\):$"
)
FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d+)(?:,? in (?P<function>.*))?$')
_RAISED = re.compile(
    r"^(?P<exception>[^\W\d][\w.]*(?:<locals>\.[\w.<>]+)?)(?::\s?(?P<message>.*))?$"
)
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_IGNORED = ("Exception ignored ", "--- Logging error ---", "Error in atexit._run_exitfuncs:")
"""Announce a traceback that did not end anything."""
_NOISE = re.compile(
    r"^(\S+:\d+: \w*Warning: |[EWIF]\d{4} \d\d:\d\d|Exception in thread |Thread 0x"
    r"|Fatal Python error: |terminate called |={10,}$|\[W\d+ |\[rank\d+\]:"
    r"|(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|\d{4}-\d\d-\d\d[ T]\d\d:)"
)
"""Begins of lines that programs print after a traceback and that are no part of its message."""
DEATH = re.compile(
    r"^(Fatal Python error|terminate called|libc\+\+abi|Segmentation fault|Aborted|Bus error|Killed"
    r"|Illegal instruction|Floating point exception)\b"
)
"""Last words of a process that no exception ended."""


@dataclass
class Block:
    """One traceback as printed.

    Attributes:
        chained: the next one says that it came of this one.
        inside: tracebacks that the message itself quotes (of a worker process).
        group, member: it is an exception group, or is one of a group.
    """

    exception: str | None = None
    message: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    ignored: bool = False
    chained: bool = False
    inside: list[Block] = field(default_factory=list)
    group: bool = False
    member: bool = False

    def text(self) -> str:
        """Whole message, cut with a remark only where it is absurdly long."""
        lines = self.message
        while lines and lines[-1].strip() in {"", '"""', "'''"}:  # the quotes of a RemoteTraceback
            lines = lines[:-1]
        return shortened("\n".join(lines).strip("\n").rstrip())

    def as_cause(self) -> Cause:
        """Return it as a link of the chain that led to another."""
        return Cause(exception=self.exception or "unknown", message=self.text())


def shortened(message: str) -> str:
    """Cut a message with a remark where it is absurdly long."""
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:LONGEST_MESSAGE]}\n[{len(message) - LONGEST_MESSAGE} more characters]"


def parse_tracebacks(lines: list[str]) -> list[Block]:
    """Parse every traceback in these lines, in their order."""
    blocks: list[Block] = []
    at = 0
    while at < len(lines):
        header = _HEADER.match(lines[at])
        if header is None:
            at += 1
            continue
        block, at = _parse_block(lines, at, header)
        blocks.append(block)
    return blocks


def _parse_block(lines: list[str], at: int, header: re.Match[str]) -> tuple[Block, int]:
    """Parse the traceback whose header is line `at`; return it and the line after it."""
    margin = _Margin.of(header, lines[at + 1] if at + 1 < len(lines) else "")
    block = Block(group=header["kind"] == "Exception Group ", member="|" in margin.text)
    block.ignored = at > 0 and any(mark in lines[at - 1] for mark in _IGNORED)
    at += 1
    while at < len(lines):
        line = margin.strip(lines[at])
        if line is None and margin.ends_here:
            return block, at
        if line is not None and line[:1] not in {"", " "}:
            return _parse_message(lines, at, margin, block)
        frame = FRAME.match(line or "")
        if frame:
            block.frames.append(frame_of(frame))
        at += 1
    return block, at


def _parse_message(lines: list[str], at: int, margin: _Margin, block: Block) -> tuple[Block, int]:
    """Parse what follows the frames: the line that names the exception, and its message."""
    first = margin.strip(lines[at]) or ""
    raised = _RAISED.match(first)
    if raised is None or DEATH.match(first):
        return block, at  # the traceback was cut short
    block.exception = raised["exception"].removeprefix("__main__.")
    block.message.append(raised["message"] or "")
    at += 1
    while at < len(lines):
        line = margin.strip(lines[at])
        if line is None and margin.ends_here:
            break
        if line in _CHAINED:
            block.chained = True
            return block, at + 1
        header = _HEADER.match(lines[at])
        if header is not None and line is not None:
            if not _quotes(block, header):
                break
            at = _quote(lines, at, header, margin, block)
            continue
        if line is not None and _is_afterwards(line):
            break
        if line is not None:
            block.message.append(line)
        at += 1
    return block, at


def _is_afterwards(line: str) -> bool:
    return bool(_NOISE.match(line)) or line.startswith(_IGNORED)


def _quote(lines: list[str], at: int, header: re.Match[str], margin: _Margin, block: Block) -> int:
    """Take a quoted traceback into the message that quotes it; return the line after it."""
    inner, end = _parse_block(lines, at, header)
    block.inside.append(inner)
    block.message += [margin.strip(quoted) or "" for quoted in lines[at:end]]
    return end


def _quotes(block: Block, header: re.Match[str]) -> bool:
    """Tell a traceback that a message quotes from one that follows it."""
    said = [line for line in block.message if line.strip()]
    return header["kind"] == "Original " or (bool(said) and said[-1].rstrip().endswith(":"))


@dataclass(frozen=True)
class _Margin:
    """What stands before every line of one traceback: a rank, or the bars of a group."""

    text: str

    @classmethod
    def of(cls, header: re.Match[str], following: str) -> _Margin:
        before = header["prefix"].replace("+", "|") if header["kind"] else header["prefix"]
        return cls(before if following.startswith(before) else "")

    @property
    def ends_here(self) -> bool:
        """Whether a line without it ends the traceback; lines of other ranks only interrupt it."""
        return "|" in self.text

    def strip(self, line: str) -> str | None:
        """Return a line without the margin, None when it is not a line of this traceback."""
        if line.startswith(self.text):
            return line[len(self.text) :]
        return "" if line and line == self.text.rstrip() else None


def frame_of(found: re.Match[str]) -> Frame:
    """Return the frame of a line that `FRAME` matched; a SyntaxError names no function."""
    return Frame(
        file=found["file"], line=int(found["line"]), function=found["function"] or "<module>"
    )
