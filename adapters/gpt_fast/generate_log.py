"""Reads what `generate.py` prints: every sample block, and the facts around them.

Between the blocks stands decoded text, which is free text and may look like anything, a result line
included. What limits that: a block counts only as two whole lines in a row, blocks must come as
exactly 1, 2, 3, ... (a forged one before a real one breaks the order, a second one with the same
number too), of the facts at the start the first one counts and of those at the end only what
follows the last block, and the caller compares the blocks with the printed average. Where the
order is broken no block is returned: which of them is real cannot be told.

Sizes are bounded: a line is read up to `LONGEST_LINE` bytes, blocks up to the number asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from reprokit.evidence import open_evidence

LONGEST_LINE = 64 * 1024

_NUMBER = r"(\d{1,12}\.\d{2})"
_TIME = re.compile(rf"Time for inference (\d{{1,9}}): {_NUMBER} sec total, {_NUMBER} tokens/sec")
_BANDWIDTH = re.compile(rf"Bandwidth achieved: {_NUMBER} GB/s")
_FLOPS = re.compile(rf"FLOPS achieved: {_NUMBER} TF/s")
_HEAD = {
    "device": re.compile(r"Using device=(\S+)"),
    "load_s": re.compile(rf"Time to load model: {_NUMBER} seconds"),
    "compile_s": re.compile(rf"Compilation time: {_NUMBER} seconds"),
}
_TAIL = {
    "batch_size": re.compile(r"Batch Size: (\d{1,9})"),
    "prompt_length": re.compile(r"Prompt Length: (\d{1,9})"),
    "generated_tokens": re.compile(r"Generated tokens: (\d{1,9})"),
    "average_tokps": re.compile(rf"Average tokens/sec: {_NUMBER}"),
    "memory_gb": re.compile(rf"Memory used: {_NUMBER} GB"),
}
_RULE = "=========="


@dataclass(frozen=True)
class Block:
    """One sample as printed: `number` counts from 1, `seconds` and `tokps` have two decimals.

    Attributes:
        bandwidth: GB/s, after the script's own rule.
        tflops: TF/s, where the commit prints it.
        end: bytes of the log up to the end of the sample's two lines.
    """

    number: int
    seconds: float
    tokps: float
    bandwidth: float
    tflops: float | None = None
    end: int | None = None


@dataclass(frozen=True)
class GenerateLog:
    """A whole log: facts before the first text, blocks in order, facts after the last text."""

    head: dict[str, str] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    tail: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def read_log(path: Path, *, asked: int) -> GenerateLog:
    """Read the standard output of one `generate.py`; `asked` is the number of samples asked for.

    Never raises for what is in the file.
    """
    try:
        with open_evidence(path) as stream:
            return _Reader(asked).read(stream)
    except OSError as error:
        return GenerateLog(problem=f"{path.name} cannot be read: {error.strerror}")


class _Reader:
    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._head: dict[str, str] = {}
        self._tail: dict[str, str] = {}
        self._blocks: list[Block] = []
        self._pending: re.Match[str] | None = None
        self._in_tail = False
        self._problem: str | None = None
        self._at = 0

    def read(self, stream: BinaryIO) -> GenerateLog:
        whole = True
        for line, whole, self._at in _lines(stream):
            if whole:
                self._take(line)
            if self._problem is not None:
                return GenerateLog(head=self._head, problem=self._problem)
        if not whole:
            self._problem = "the output ends in the middle of a line"
        elif self._pending is not None:
            self._problem = f"the output ends inside the block of sample {self._pending[1]}"
        return GenerateLog(self._head, tuple(self._blocks), self._tail, self._problem)

    def _take(self, line: str) -> None:
        if self._pending is not None:
            self._finish_block(self._pending, line)
        elif match := _TIME.fullmatch(line):
            self._pending = match
        elif line == _RULE:
            self._in_tail, self._tail = True, {}
        elif self._in_tail:
            _note(self._tail, _TAIL, line, first_wins=False)
        elif self._blocks:
            self._take_flops(line)
        else:
            _note(self._head, _HEAD, line, first_wins=True)

    def _finish_block(self, start: re.Match[str], line: str) -> None:
        self._pending = None
        number = int(start[1])
        match = _BANDWIDTH.fullmatch(line)
        if match is None:
            self._problem = (
                f"the line of sample {number} is not followed by its bandwidth: either it is cut "
                "short or the generated text looks like it"
            )
        elif number != len(self._blocks) + 1 or number > self._asked:
            self._problem = (
                f"sample {number} is printed where sample {len(self._blocks) + 1} of {self._asked} "
                "was due: the generated text may look like a result, so none is believed"
            )
        else:
            figures = (float(start[2]), float(start[3]), float(match[1]))
            self._blocks.append(Block(number, *figures, end=self._at))
            self._in_tail, self._tail = False, {}

    def _take_flops(self, line: str) -> None:
        match = _FLOPS.fullmatch(line)
        if match is not None and self._blocks[-1].tflops is None:
            self._blocks[-1] = replace(self._blocks[-1], tflops=float(match[1]))


def _note(
    facts: dict[str, str], known: dict[str, re.Pattern[str]], line: str, *, first_wins: bool
) -> None:
    for name, pattern in known.items():
        if (match := pattern.fullmatch(line)) and not (first_wins and name in facts):
            facts[name] = match[1]


def _lines(stream: BinaryIO) -> Iterator[tuple[str, bool, int]]:
    """Yield each line without its end, whether it was whole, and the bytes up to its end.

    Lines end at newlines only: decoded text may hold any other control character. A line longer
    than `LONGEST_LINE` comes as an empty one, for none that matters is that long.
    """
    skipping, at = False, 0
    while chunk := stream.readline(LONGEST_LINE):
        at += len(chunk)
        ended = chunk.endswith(b"\n")
        if not ended and len(chunk) == LONGEST_LINE:
            skipping = True
            continue
        text = "" if skipping else chunk.removesuffix(b"\n").decode(errors="replace")
        skipping = False
        yield text, ended, at
    if skipping:
        yield "", False, at
