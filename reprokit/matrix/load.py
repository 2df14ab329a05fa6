"""Finds and reads the matrix files that come with reprokit."""

from __future__ import annotations

from importlib.resources import files

from pydantic import ValidationError
from pydantic_core import to_json

from reprokit.claim.problems import suggestion
from reprokit.claim.source import parse_document
from reprokit.errors import UsageError
from reprokit.matrix.model import Matrix

_SUFFIX = ".yaml"


def known_matrices() -> tuple[str, ...]:
    """Name the studies that there is a matrix of."""
    here = files(__package__).iterdir()
    return tuple(sorted(entry.name[: -len(_SUFFIX)] for entry in here if _is_matrix(entry.name)))


def load_matrix(name: str) -> Matrix:
    """Read the matrix of a study.

    Raises:
        UsageError: there is none of this name, or the file is not valid.
    """
    known = known_matrices()
    if name not in known:
        raise UsageError(
            f"there is no matrix {name!r}", hint=suggestion(name, known, label="There is")
        )
    text = (files(__package__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return read_matrix(text, f"{name}{_SUFFIX}")


def read_matrix(text: str, name: str) -> Matrix:
    """Read a matrix from its text; `name` stands for the file in messages.

    Raises:
        UsageError: it is no valid matrix.
        ClaimError: it is no valid YAML.
    """
    document = parse_document(text, name)
    if document.problems:
        raise document.invalid(document.problems)
    try:
        return Matrix.model_validate_json(to_json(document.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name}: {where}: {first['msg']}") from None


def _is_matrix(name: str) -> bool:
    return name.endswith(_SUFFIX)
