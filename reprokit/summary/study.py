"""A study's summary tables as data: the published entries and the claims that they rest on."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_core import to_json

from reprokit.claim.problems import suggestion
from reprokit.claim.source import parse_document
from reprokit.errors import UsageError
from reprokit.records import Record

_SUFFIX = ".yaml"

What = Literal[
    "prefill gain", "decode crash", "prefill crash", "compiled crash", "eager tok/s",
    "compiled tok/s",
]  # fmt: skip


class PublishedEntry(Record):
    """One figure of the headline matrix; `why` where it is no claim."""

    what: What
    printed: str
    claims: tuple[str, ...] = ()
    why: str | None = None


class PublishedRow(Record):
    """One regime of the headline matrix; a column that is not here is empty in the study."""

    regime: str
    cells: dict[str, tuple[PublishedEntry, ...]]


class Headline(Record):
    """The headline matrix.

    Attributes:
        mode: compile mode that measured rows are about.
        columns: heading to the models in it.
    """

    section: str
    mode: str
    columns: dict[str, tuple[str, ...]]
    rows: tuple[PublishedRow, ...]


class PublishedStatus(Record):
    """One line of the status table; `why` where no claim can stand for it."""

    claim: str
    status: Literal["Demonstrated", "Rejected"]
    why: str | None = None


class Statuses(Record):
    """The status table; its claims are those of the matrix that name its section and row.

    Attributes:
        claim: heading of the column that names a row.
    """

    section: str
    claim: str
    rows: tuple[PublishedStatus, ...] = Field(min_length=1)


class Study(Record):
    """Both tables of a study."""

    id: str
    statuses: Statuses
    headline: Headline


def known_studies() -> tuple[str, ...]:
    """Name the studies whose summary tables there are."""
    names = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)))


def load_study(name: str) -> Study:
    """Read the summary tables of a study.

    Raises:
        UsageError: there are none of this name, or the file is not valid.
    """
    known = known_studies()
    if name not in known:
        raise UsageError(
            f"there is no study {name!r}", hint=suggestion(name, known, label="There is")
        )
    text = (files(__package__) / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    document = parse_document(text, f"{name}{_SUFFIX}")
    if document.problems:
        raise document.invalid(document.problems)
    try:
        return Study.model_validate_json(to_json(document.data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{name}{_SUFFIX}: {where}: {first['msg']}") from None
