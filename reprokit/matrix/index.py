"""The row counts of a study in words: lines for a terminal, and the index of a claims folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from reprokit.matrix.claims import MatrixClaim
from reprokit.matrix.model import Matrix
from reprokit.matrix.rows import Count

_HEADINGS = ("stage", "lot", "gpu", "cells", "planned rows", "published rows", "claims", "")
_NUMBERS = range(3, 7)

_INTRODUCTION = (
    "Written by `reprokit matrix {id}` from `reprokit/matrix/{id}.yaml`; do not edit. One file is "
    "one printed figure or one conclusion of the study, with its section, row and column. The "
    "study measured real weights; `--weights synthetic` takes random ones, and the report says so."
)

Line = tuple[str, ...]


def table_lines(
    matrix: Matrix, counts: Sequence[Count], claims: Sequence[MatrixClaim]
) -> list[str]:
    """Lay out the counts for a terminal, with what must be known beside them."""
    lines = [_HEADINGS, *_lines(matrix, counts, claims)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    laid_out = [
        "  ".join(map(_aligned, line, widths, range(len(widths)))).rstrip() for line in lines
    ]
    remarks = [f"{count.stage} {count.lot}: {count.remark}" for count in counts if count.remark]
    return [*laid_out, "", *dict.fromkeys(remarks)]


def index_text(matrix: Matrix, counts: Sequence[Count], claims: Sequence[MatrixClaim]) -> str:
    """Write the README of the folder that holds a study's claims."""
    parts = (
        f"# {matrix.title}",
        _INTRODUCTION.format(id=matrix.id),
        "## Rows",
        _markdown((_HEADINGS, *_lines(matrix, counts, claims))),
        "A planned row is one timed iteration in the study's own counting.",
        "## What the study does not print",
        "\n".join(
            f"- **{count.stage} {count.lot}**: {count.remark}" for count in counts if count.remark
        ),
        "## Figures that are no claim",
        _markdown((
            ("section", "figures", "why"),
            *((each.section, each.figures, each.why) for each in matrix.left_out),
        )),
        "## Claims",
        "\n".join(f"- [{claim.id}]({claim.path}): {claim.title}" for claim in claims),
    )  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _lines(
    matrix: Matrix, counts: Sequence[Count], claims: Sequence[MatrixClaim]
) -> Iterator[Line]:
    """Yield a line for every lot, a sum for every stage of several, and the sum of all."""
    made = Counter((claim.stage, claim.lot) for claim in claims)
    for stage, group in groupby(counts, key=lambda count: count.stage):
        lots = list(group)
        for lot in lots:
            number = made[stage, lot.lot]
            yield _line(stage, lot.lot, lot.gpu, [lot], number, _agreement(lot))
        if len(lots) > 1:
            yield _line(stage, "all", "", lots, sum(made[stage, lot.lot] for lot in lots), "")
    primary = [count for count in counts if count.primary]
    sums = sum(count.published for count in primary)
    said = "the study's own total" if sums == matrix.total else f"of {matrix.total:,}"
    number = sum(made[count.stage, count.lot] for count in primary)
    yield _line("primary", "all", "", primary, number, said)


def _line(stage: str, lot: str, gpu: str, counts: Sequence[Count], claims: int, said: str) -> Line:
    sums = (
        sum(count.cells for count in counts),
        sum(count.planned for count in counts),
        sum(count.published for count in counts),
        claims,
    )
    return (stage, lot, gpu, *(f"{number:,}" for number in sums), said)


def _agreement(count: Count) -> str:
    words = "part of the models" if count.agreement == "part" else count.agreement
    return f"{words}, inferred" if count.agreement == "agrees" and count.remark else words


def _aligned(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rule = tuple("---" for _ in lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
