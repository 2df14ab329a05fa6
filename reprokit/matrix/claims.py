"""From a study to claims: one for every printed figure and for every conclusion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from reprokit.claim.model import SCHEMA
from reprokit.errors import UsageError
from reprokit.matrix.model import Column, Matrix, Reading, Stage, Table
from reprokit.matrix.printed import expectation
from reprokit.matrix.selection import Selection
from reprokit.matrix.setting import Setting, find_setting
from reprokit.matrix.text import claim_text

_SUFFIX = {
    "crash_rate": "crash-rate", "equivalence": "tost", "tokps": "tokps",
    "bandwidth_gbps": "bandwidth", "latency_ms": "latency",
}  # fmt: skip
_WORDS = {
    "gain": "gain in %", "delta": "change of the time", "crash_rate": "crash rate",
    "equivalence": "equivalent at ±3pp?", "tokps": "tok/s", "bandwidth_gbps": "GB/s",
    "latency_ms": "ms",
}  # fmt: skip
_EAGER = "eager"

_POOLED = (
    "The study pools the rows of all token lengths into one mean, which the longest dominates "
    "where the time grows with the length; here they are strata with equal weights. A gain that "
    "depends on the length comes out differently."
)
_BOTH_EAGER = "Both arms are eager: the figure is that of the path that is not compiled."
_SAME = "An invariance says that the conclusion is the same along the axis, not which one it is."


@dataclass(frozen=True)
class MatrixClaim:
    """A claim of a study as a file.

    Attributes:
        path: below the folder of the study.
        models: `name` and `name:dtype` of all its models.
        section, row, printed: where the study has it, and what stands there.
    """

    id: str
    stage: str
    lot: str
    gpu: str
    models: frozenset[str]
    title: str
    text: str
    section: str
    row: dict[str, str]
    printed: str

    @property
    def path(self) -> str:
        """Folder of its stage, and the id."""
        return f"{self.stage}/{self.id}.yaml"


@dataclass(frozen=True)
class _Figure:
    """Everything about a claim that its setting does not say."""

    id: str
    title: str
    notes: tuple[str, ...]
    section: str
    row: dict[str, str] | None
    column: str | None
    printed: str
    expect: dict[str, JsonValue]


def make_claims(matrix: Matrix, selection: Selection) -> tuple[MatrixClaim, ...]:
    """Write the claims of a study, in its own order.

    Raises:
        UsageError: the matrix contradicts itself.
    """
    found: dict[str, MatrixClaim] = {}
    for claim in (*_of_tables(matrix), *_of_statements(matrix)):
        if claim.id in found:
            raise UsageError(f"two figures of {matrix.id} have the id {claim.id!r}")
        found[claim.id] = claim
    return tuple(claim for claim in found.values() if _selected(claim, selection))


def _selected(claim: MatrixClaim, selection: Selection) -> bool:
    return any(selection.has(claim.stage, claim.gpu, model) for model in claim.models)


def _of_tables(matrix: Matrix) -> Iterator[MatrixClaim]:
    for table in matrix.tables:
        for cells in table.figures:
            where = f"{matrix.id}, {table.section}, {' '.join(map(str, cells))}"
            if len(cells) != len(table.keys) + len(table.columns):
                raise UsageError(f"{where}: the row has {len(cells)} cells")
            named = {key: str(cell) for key, cell in zip(table.keys, cells, strict=False)}
            printed = cells[len(table.keys) :]
            for (heading, column), text in zip(table.columns.items(), printed, strict=True):
                if text is not None:
                    yield _of_cell(matrix, table, named, heading, column, text)


def _of_cell(
    matrix: Matrix, table: Table, row: dict[str, str], heading: str, column: Column, printed: str
) -> MatrixClaim:
    where = f"{matrix.id}, {table.section}, {', '.join(row.values())}, {heading}"
    at = dict(table.at)
    for key, word in row.items():
        at |= matrix.words.get(key, {}).get(word) or {matrix.headings[key]: word}
    at |= column.at
    setting = find_setting(matrix, table.stage, at, where)
    stage = matrix.stages[table.stage]
    statistic = "median" if stage.adapter == "gpt_fast" else "mean"
    try:
        expect = expectation(
            column.read, printed, statistic=statistic, tolerance_pp=matrix.gain_tolerance_pp
        )
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None
    pooled = column.read in {"gain", "delta", "equivalence"} and len(setting.token_lens) > 1
    figure = _Figure(
        id=_id(matrix, stage, setting, column.read),
        title=f"{_subject(matrix, setting)}: {_WORDS[column.read]} {printed}",
        notes=(table.notes, _POOLED if pooled else ""),
        section=table.section,
        row=row,
        column=heading,
        printed=printed,
        expect=expect,
    )
    return _claim(matrix, setting, figure)


def _of_statements(matrix: Matrix) -> Iterator[MatrixClaim]:
    for name, statement in matrix.statements.items():
        for lot in statement.lots:
            where = f"{matrix.id}, statement {name}, lot {lot}"
            setting = find_setting(matrix, statement.stage, {**statement.at, "lot": lot}, where)
            parts = (matrix.id, statement.stage, lot if len(statement.lots) > 1 else "", name)
            figure = _Figure(
                id=_joined(parts),
                title=f"{statement.title} ({matrix.gpus[setting.lot.gpu].gpu})",
                notes=(statement.notes,),
                section=statement.section,
                row=statement.row,
                column=statement.column,
                printed=statement.printed,
                expect=statement.expect,
            )
            yield _claim(matrix, setting, figure)


def _claim(matrix: Matrix, setting: Setting, figure: _Figure) -> MatrixClaim:
    stage = matrix.stages[setting.stage]
    gpu = matrix.gpus[setting.lot.gpu].model_dump(mode="json", exclude_none=True)
    document: dict[str, JsonValue] = {
        "schema": SCHEMA,
        "id": figure.id,
        "title": figure.title,
        "notes": " ".join(filter(None, _notes(stage, setting, figure))),
        "source": _source(matrix, stage, setting, figure),
        "expect": figure.expect,
        "regime": {"device": "cuda", **gpu},
        "model": {"id": setting.models[0], "dtype": setting.dtype, "weights": "hub"},
        "adapter": {
            "name": stage.adapter, "baseline": _EAGER, "subject": setting.modes[0],
        },
        "cells": _cells(stage, setting),
        "protocol": stage.protocol.model_dump(mode="json"),
        "stack": _stack(stage, setting),
        "sweep": {axis: dict(values) for axis, values in stage.sweep.items()},
    }  # fmt: skip
    return MatrixClaim(
        id=figure.id,
        stage=setting.stage,
        lot=setting.lot.name,
        gpu=setting.lot.gpu,
        title=figure.title,
        models=frozenset(f"{model}:{setting.dtype}" for model in setting.models),
        text=claim_text(document, matrix.id),
        section=figure.section,
        row=figure.row or {},
        printed=figure.printed,
    )


def _notes(stage: Stage, setting: Setting, figure: _Figure) -> Iterator[str]:
    yield from figure.notes
    if setting.modes == (_EAGER,):
        yield _BOTH_EAGER
    if figure.expect["kind"] == "invariance":
        yield _SAME
    axis = figure.expect.get("axis")
    if axis in stage.sweep:
        yield f"Decided along {axis}: run it with --sweep {axis}."
    yield stage.notes
    if setting.lot.inferred:
        yield f"Not printed in the study: {setting.lot.inferred}"


def _source(
    matrix: Matrix, stage: Stage, setting: Setting, figure: _Figure
) -> dict[str, JsonValue]:
    where: dict[str, JsonValue] = {"builtin": "internal_harness"}
    if stage.repo is not None:
        where = {"repo": stage.repo, "commit": setting.lot.commit}
    where |= {"document": matrix.document, "section": figure.section}
    if figure.row is not None:
        where["row"] = dict(figure.row)
    return {**where, "column": figure.column, "printed": figure.printed}


def _cells(stage: Stage, setting: Setting) -> dict[str, JsonValue]:
    """Return the cell axes of a claim; what has one value and a place of its own stands there."""
    if stage.adapter == "gpt_fast":
        return {}
    cells: dict[str, JsonValue] = {}
    if len(setting.models) > 1:
        cells["model"] = list(setting.models)
    cells["phase"] = list(setting.phases)
    cells["cache"] = list(setting.caches)
    if len(setting.modes) > 1:
        cells["compile_mode"] = list(setting.modes)
    cells["token_len"] = list(setting.token_lens)
    return cells


def _stack(stage: Stage, setting: Setting) -> dict[str, JsonValue]:
    pins = [f"{package}=={version}" for package, version in setting.lot.pins.items()]
    pinned = {pin.split("==")[0] for pin in pins}
    loose = [line for line in stage.requirements if line not in pinned]
    stack: dict[str, JsonValue] = {"python": stage.python} if stage.python else {}
    stack["requirements"] = [*loose, *pins]
    if stage.torch_backend:
        stack["torch_backend"] = stage.torch_backend
    return stack


def _id(matrix: Matrix, stage: Stage, setting: Setting, read: Reading) -> str:
    """Name a claim by those axes along which its stage has more than one value."""
    lots = [stage.lot(name) for name in stage.lots]
    names = [model.split(":")[0] for model in setting.lot.models]
    twins = names.count(setting.models[0]) > 1
    lengths = setting.lot.token_lens
    many = isinstance(lengths, tuple) and len(lengths) > 1 and len(setting.token_lens) == 1
    decode = setting.phases == ("kv_decode",)
    return _joined((
        matrix.id,
        setting.stage,
        setting.lot.name if len(lots) > 1 else "",
        "-".join(setting.models) if len(setting.lot.models) > 1 else "",
        setting.dtype if twins else "",
        "-".join(setting.phases),
        "-".join(setting.caches) if len(setting.lot.caches) > 1 else "",
        "-".join(setting.modes),
        f"t{setting.token_lens[0]}" if many else "",
        _SUFFIX.get(read, "overhead" if decode else "gain"),
    ))  # fmt: skip


def _joined(parts: tuple[str, ...]) -> str:
    return "_".join(part.lower() for part in parts if part)


def _subject(matrix: Matrix, setting: Setting) -> str:
    lengths = setting.token_lens
    parts = (
        f"{', '.join(setting.models)} {setting.dtype}",
        *setting.phases,
        *setting.caches,
        "/".join(setting.modes),
        f"token_len {lengths[0]}" if len(lengths) == 1 else "",
        *(f"{package} {version}" for package, version in setting.lot.pins.items()),
        matrix.gpus[setting.lot.gpu].gpu,
    )
    return ", ".join(filter(None, parts))
