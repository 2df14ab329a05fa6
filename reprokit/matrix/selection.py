"""Which stages, GPUs and models of a study are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from reprokit.claim.problems import nearest
from reprokit.errors import UsageError
from reprokit.matrix.model import Matrix


@dataclass(frozen=True)
class Selection:
    """Empty means all. A GPU is also selected by what its name begins with ("a100").

    Attributes:
        models: `name`, or `name:dtype`.
        dtype: of a model that the study names without one.
    """

    stages: frozenset[str] = frozenset()
    gpus: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    dtype: str = ""

    @property
    def everything(self) -> bool:
        """True when nothing is left out."""
        return not (self.stages or self.gpus or self.models)

    def has(self, stage: str, gpu: str, model: str) -> bool:
        """Tell whether this stage, GPU and model ("name" or "name:dtype") are selected."""
        return (
            (not self.stages or stage in self.stages)
            and (not self.gpus or any(_is_gpu(gpu, wanted) for wanted in self.gpus))
            and (not self.models or bool(set(_names(model, self.dtype)) & self.models))
        )


def select(
    matrix: Matrix, *, stages: tuple[str, ...], gpus: tuple[str, ...], models: tuple[str, ...]
) -> Selection:
    """Check a selection against the study.

    Raises:
        UsageError: a stage, GPU or model is not of this study; the message names those that are.
    """
    lots = [stage.lot(name) for stage in matrix.stages.values() for name in stage.lots]
    named = [_names(model, matrix.dtype) for lot in lots for model in lot.models]
    bare = dict.fromkeys(name for name, _ in named)
    _check("stage", stages, tuple(matrix.stages), tuple(matrix.stages))
    families = {gpu.split("-")[0] for gpu in matrix.gpus}
    _check("gpu", gpus, (*matrix.gpus, *families), tuple(matrix.gpus))
    _check("model", models, (*bare, *(full for _, full in named)), tuple(bare))
    return Selection(frozenset(stages), frozenset(gpus), frozenset(models), matrix.dtype)


def _names(model: str, dtype: str) -> tuple[str, str]:
    """Name a model without and with its data type."""
    name, _, own = model.partition(":")
    return name, f"{name}:{own or dtype}"


def _is_gpu(gpu: str, wanted: str) -> bool:
    return gpu == wanted or gpu.startswith(f"{wanted}-")


def _check(
    kind: str, asked: tuple[str, ...], legal: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    for name in asked:
        if name not in legal:
            near = nearest(name, legal)
            hint = f"Did you mean {near!r}? " if near else ""
            raise UsageError(
                f"--{kind} {name}: the study has no {kind} of this name",
                hint=f"{hint}Known: {', '.join(shown)}.",
            )
