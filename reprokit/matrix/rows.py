"""Row counts: what a lot's axes come to, beside what the study counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from reprokit.matrix.model import Lot, Matrix, Stage
from reprokit.matrix.selection import Selection

Agreement = Literal["agrees", "differs", "not derivable", "part"]


@dataclass(frozen=True)
class Count:
    """Cells and rows of one lot.

    Attributes:
        cells: settings of phase, cache, mode, model and token length.
        planned: rows that these cells mean in the study's own counting.
        published: rows that the study prints.
        agreement: `part` where only some models are selected, so that nothing can be compared.
    """

    stage: str
    lot: str
    gpu: str
    cells: int
    planned: int
    published: int
    agreement: Agreement
    primary: bool
    remark: str | None


def count_rows(matrix: Matrix, selection: Selection) -> tuple[Count, ...]:
    """Count every selected lot, in the order of the study."""
    return tuple(_counts(matrix, selection))


def _counts(matrix: Matrix, selection: Selection) -> Iterator[Count]:
    for name, stage in matrix.stages.items():
        for lot in (stage.lot(each) for each in stage.lots):
            models = [model for model in lot.models if selection.has(name, lot.gpu, model)]
            if models:
                yield _count(name, stage, lot, models)


def _count(name: str, stage: Stage, lot: Lot, models: list[str]) -> Count:
    lengths = lot.token_lens if isinstance(lot.token_lens, int) else len(lot.token_lens)
    per_mode = len(models) * max(1, len(lot.phases)) * max(1, len(lot.caches)) * max(1, lengths)
    each = stage.protocol.invocations * stage.protocol.samples
    planned = sum(per_mode * lot.rows_per_cell.get(mode, each) for mode in lot.modes)
    return Count(
        stage=name,
        lot=lot.name,
        gpu=lot.gpu,
        cells=per_mode * len(lot.modes),
        planned=planned,
        published=lot.published,
        agreement=_agreement(lot, planned, whole=len(models) == len(lot.models)),
        primary=stage.primary,
        remark=lot.not_derivable or lot.inferred,
    )


def _agreement(lot: Lot, planned: int, *, whole: bool) -> Agreement:
    if lot.not_derivable is not None:
        return "not derivable"
    if not whole:
        return "part"
    return "agrees" if planned == lot.published else "differs"
