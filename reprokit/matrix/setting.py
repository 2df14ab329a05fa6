"""Where in a study a figure was measured: a lot, and the values of the cell axes inside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from reprokit.errors import UsageError
from reprokit.matrix.model import Lot, Matrix, Stage

_AXES = frozenset({"lot", "gpu", "model", "dtype", "phase", "cache", "mode", "token_len"})


@dataclass(frozen=True)
class Setting:
    """A lot and the part of it that a figure is about; several values are pooled or compared.

    Attributes:
        models: names without data type; `dtype` is that of all of them.
    """

    stage: str
    lot: Lot
    models: tuple[str, ...]
    dtype: str
    phases: tuple[str, ...]
    caches: tuple[str, ...]
    modes: tuple[str, ...]
    token_lens: tuple[int, ...]


def find_setting(matrix: Matrix, stage: str, at: Mapping[str, JsonValue], where: str) -> Setting:
    """Find the lot that `at` means, and check that it holds all the values.

    Args:
        matrix: the study.
        stage: name of a stage of it.
        at: axis to one value or a list of them; what is left out is all that the lot has.
        where: the figure, for messages.

    Raises:
        UsageError: an axis or value is not in the study, or the figure is about no single lot.
    """
    if unknown := set(at) - _AXES:
        raise UsageError(f"{where}: there is no axis {min(unknown)!r}")
    if stage not in matrix.stages:
        raise UsageError(f"{where}: there is no stage {stage!r}")
    lot = _lot(matrix.stages[stage], at, where)
    models, dtype = _models(lot, at, matrix.dtype, where)
    lengths = lot.token_lens if isinstance(lot.token_lens, tuple) else ()
    return Setting(
        stage=stage,
        lot=lot,
        models=models,
        dtype=dtype,
        phases=_subset("phase", at, lot.phases, where),
        caches=_subset("cache", at, lot.caches, where),
        modes=_subset("mode", at, lot.modes, where),
        token_lens=tuple(
            int(length)
            for length in _subset("token_len", at, tuple(map(str, lengths)), where)
        ),
    )  # fmt: skip


def _lot(stage: Stage, at: Mapping[str, JsonValue], where: str) -> Lot:
    found = [
        lot
        for lot in map(stage.lot, stage.lots)
        if at.get("lot", lot.name) == lot.name and at.get("gpu", lot.gpu) == lot.gpu
    ]
    if len(found) != 1:
        raise UsageError(f"{where}: this is about {len(found)} lots, not about one")
    return found[0]


def _models(
    lot: Lot, at: Mapping[str, JsonValue], default: str, where: str
) -> tuple[tuple[str, ...], str]:
    """Return model names and the data type that they have in common."""
    known = [_with_dtype(model, default) for model in lot.models]
    names = _texts(at.get("model", [name for name, _ in known]))
    dtypes = _texts(at.get("dtype", [dtype for name, dtype in known if name in names]))
    dtype = dtypes[0] if len(set(dtypes)) == 1 else None
    if dtype is None:
        raise UsageError(f"{where}: the models have different data types; name one")
    for name in names:
        if (name, dtype) not in known:
            raise UsageError(f"{where}: {name} in {dtype} is not in lot {lot.name!r}")
    return names, dtype


def _with_dtype(model: str, default: str) -> tuple[str, str]:
    name, _, dtype = model.partition(":")
    return name, dtype or default


def _subset(
    axis: str, at: Mapping[str, JsonValue], known: tuple[str, ...], where: str
) -> tuple[str, ...]:
    values = _texts(at[axis]) if axis in at else known
    for value in values:
        if value not in known:
            raise UsageError(f"{where}: {axis} {value} is not in the lot")
    return values


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list) else (str(value),)
