"""From a log of any size to the failure that it ends with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from reprokit.evidence import open_evidence
from reprokit.failure.fingerprint import fingerprint, portable, portable_text
from reprokit.failure.traceback import (
    DEATH,
    FRAME,
    LONGEST_MESSAGE,
    Block,
    frame_of,
    parse_tracebacks,
)
from reprokit.records import Cause, Failure, Frame

_CHUNK = 1 << 20
_BEFORE, _AFTER = 256 * 1024, 1 << 20
"""Bytes parsed around the last traceback: its chained causes before it, its message after it."""
_TAIL, _SEARCHED_LINES, _SHOWN_LINES = 64 * 1024, 50, 5

_LOOKS_RAISED = re.compile(r"^[^\W\d][\w.]*(Error|Exception|Interrupt|Exit)(:\s.*)?$")
_ERROR = re.compile(r"^\S+: (fatal )?error: ")
_TRACEBACK = b"Traceback (most recent call last):"
_FATAL = b"Fatal Python error: "
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

_OUT_OF_MEMORY = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|std::bad_alloc|can't allocate memory"
    r"|not enough memory|Cannot allocate memory",
    re.IGNORECASE,
)
_OUT_OF_MEMORY_CLASSES = frozenset({"OutOfMemoryError", "MemoryError", "_ArrayMemoryError"})


def read_failure(log: Path, *, relative_to: Path, source: Path | None = None) -> Failure | None:
    """Read the failure that a log ends with; None for a log that is empty or not there.

    The last traceback counts, wherever it stands in the log; Python's own announcement of a fatal
    error after it counts more. Without either, the last lines are the message.

    Args:
        log: any bytes, any size.
        relative_to: the run directory, to name the log in.
        source: the checkout; frames inside it are named relative to it.

    Raises:
        OSError: what is there is no regular file, or may not be read.
    """
    try:
        with open_evidence(log) as file:
            found = _read(_Log(file), source)
    except FileNotFoundError:
        return None
    if found is None:
        return None
    inside = log.is_relative_to(relative_to)
    name = log.relative_to(relative_to).as_posix() if inside else log.name
    return found.model_copy(update={"log": name})


def make_failure(
    exception: str | None,
    message: str,
    *,
    frame: Frame | None = None,
    causes: tuple[Cause, ...] = (),
    log: str | None = None,
) -> Failure:
    """Return a failure with its fingerprint."""
    return Failure(
        exception=exception, message=message, frame=frame, causes=causes, log=log,
        fingerprint=fingerprint(exception, message, frame),
    )  # fmt: skip


def is_out_of_memory(failure: Failure) -> bool:
    """Tell whether memory ran out, of a device or of the host, here or in a chained cause."""
    chain = [(failure.exception or "", failure.message)]
    chain += [(cause.exception, cause.message) for cause in failure.causes]
    return any(says_out_of_memory(name, message) for name, message in chain)


def says_out_of_memory(exception: str, message: str) -> bool:
    """Tell it of one exception alone."""
    named = exception.rpartition(".")[2] in _OUT_OF_MEMORY_CLASSES
    return named or _OUT_OF_MEMORY.search(message) is not None


class _Log:
    """A log file, read in pieces of bounded size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, 2)

    def find_last(self, needle: bytes, *, before: int) -> int | None:
        """Return the offset of the last occurrence that begins under `before`."""
        end = before
        while end > 0:
            start = max(0, end - _CHUNK)
            self._file.seek(start)
            # The overlap finds a needle that lies across the border of two pieces.
            at = self._file.read(min(end + len(needle) - 1, self.size) - start).rfind(needle)
            if at >= 0:
                return start + at
            end = start
        return None

    def lines(self, start: int, end: int) -> list[str]:
        """Return the lines between two offsets; what a progress bar overwrote is left out."""
        start = max(0, start)
        self._file.seek(start)
        text = self._file.read(min(end, self.size) - start).decode(errors="replace")
        plain = _COLOUR.sub("", text)
        return [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]


def _read(log: _Log, source: Path | None) -> Failure | None:
    fatal = log.find_last(_FATAL, before=log.size)
    before = log.size
    while (at := log.find_last(_TRACEBACK, before=before)) is not None:
        if fatal is not None and fatal > at:
            break
        blocks = parse_tracebacks(log.lines(at - _BEFORE, at + _AFTER))
        if any(not block.ignored for block in blocks):
            return _from_blocks(blocks, source)
        before = max(0, at - _BEFORE)
    if fatal is not None:
        return _fatal(log.lines(fatal, fatal + _AFTER), source)
    lines = [line for line in log.lines(log.size - _TAIL, log.size) if line.strip()]
    return _from_tail(lines, source) if lines else None


def _from_blocks(blocks: list[Block], source: Path | None) -> Failure:
    """Make the failure of the last traceback that ended something."""
    last = max(at for at, block in enumerate(blocks) if not block.ignored)
    final = blocks[last]
    chain: list[Block] = []
    while last > 0 and blocks[last - 1].chained:
        last -= 1
        chain.insert(0, blocks[last])
    if final.member and not final.group:
        chain = [block for block in blocks[:last] if block.group][-1:] + chain
    causes = tuple(block.as_cause() for block in (*chain, *final.inside))
    message = final.text() if final.exception else "the traceback is cut short"
    return _finish(final.exception, message, final.frames[-1:], source, causes)


def _fatal(lines: list[str], source: Path | None) -> Failure:
    """Make the failure of a fatal error that Python announced: its current thread's inner frame."""
    current = next((at for at, line in enumerate(lines) if line.startswith("Current thread")), 0)
    frames = [frame_of(found) for line in lines[current:] if (found := FRAME.match(line))]
    return _finish(None, lines[0].strip(), frames[:1], source)


def _from_tail(lines: list[str], source: Path | None) -> Failure:
    """Make the failure of a log without a traceback, from its last lines."""
    last = lines[-1]
    if _LOOKS_RAISED.match(last):  # a SyntaxError of the script itself has no header
        name, _, message = last.partition(":")
        frames = [frame_of(found) for line in lines[-6:] if (found := FRAME.match(line))]
        return _finish(name, message.strip(), frames[-1:], source)
    lines = lines[-_SEARCHED_LINES:]
    telling = (at for at, line in enumerate(lines) if DEATH.match(line) or _ERROR.match(line))
    shown = lines[next(telling, -_SHOWN_LINES) :][:_SEARCHED_LINES]
    return _finish(None, "\n".join(shown)[:LONGEST_MESSAGE], [], source)


def _finish(
    exception: str | None,
    message: str,
    frames: list[Frame],
    source: Path | None,
    causes: tuple[Cause, ...] = (),
) -> Failure:
    """Take the fingerprint from what was printed, then take this machine's paths out."""
    frame = frames[0] if frames else None
    shown = frame.model_copy(update={"file": portable(frame.file, source)}) if frame else None
    return Failure(
        exception=exception,
        message=portable_text(message, source),
        frame=shown,
        causes=tuple(
            cause.model_copy(update={"message": portable_text(cause.message, source)})
            for cause in causes
        ),
        fingerprint=fingerprint(exception, message, frame),
    )
