"""The matrix record: a study's stages with their row counts, and its printed figures.

Everything here is data of the study. What a figure means as a claim is in `reprokit.matrix.claims`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue
from pydantic_core import to_json

from reprokit.claim.model import Protocol
from reprokit.records import Record, Scalar

Reading = Literal[
    "gain", "delta", "crash_rate", "tokps", "bandwidth_gbps", "latency_ms", "equivalence"
]
"""How a printed figure is read.

`gain` is 100 (1 - subject / baseline) in per cent, `delta` the same with the other sign (a change
of the time), `crash_rate` a rate or "failed/attempted", `equivalence` the word "Yes" or "No" of a
TOST; the others are values of that metric.
"""


class Gpu(Record):
    """A machine class of the study, as far as the study names it."""

    gpu: str
    sm: str
    vram_gb: float | None = None


class Lot(Record):
    """A part of a stage that was measured as one: one GPU, one stack, one published row count.

    Attributes:
        published: rows that the study counts.
        models: `name` or `name:dtype`.
        token_lens: the lengths, or how many there were where the study does not print them.
        rows_per_cell: by mode, where it is not invocations x samples.
        pins: package to version, put into the claims' requirements.
        commit: of the benchmark's repository.
        inferred: what the study does not print of all this, and how it follows.
        not_derivable: why the published count is no product of what the study prints.
    """

    name: str
    gpu: str
    published: int
    models: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    token_lens: tuple[int, ...] | int = ()
    rows_per_cell: dict[str, int] = Field(default_factory=dict)
    pins: dict[str, str] = Field(default_factory=dict)
    commit: str | None = None
    inferred: str | None = None
    not_derivable: str | None = None


class Stage(Record):
    """A stage of the study.

    Attributes:
        section: where the study describes it.
        primary: whether its rows are in the study's own total.
        lots: parts; what a lot leaves out it takes from `common`.
        sweep: axes of its claims, as in a claim.
        notes: what is said beside every claim of the stage.
    """

    title: str
    section: str
    primary: bool = True
    adapter: Literal["hf_harness", "gpt_fast"] = "hf_harness"
    repo: str | None = None
    common: dict[str, JsonValue] = Field(default_factory=dict)
    lots: Annotated[dict[str, dict[str, JsonValue]], Field(min_length=1)]
    protocol: Protocol
    requirements: tuple[str, ...]
    python: str | None = None
    torch_backend: str | None = None
    sweep: dict[str, dict[str, Scalar]] = Field(default_factory=dict)
    notes: str = ""

    def lot(self, name: str) -> Lot:
        """Return a lot with everything it takes from `common`."""
        return Lot.model_validate_json(to_json({**self.common, **self.lots[name], "name": name}))


class Column(Record):
    """A column of a printed table: how to read it and what its heading fixes."""

    read: Reading
    at: dict[str, JsonValue] = Field(default_factory=dict)


class Table(Record):
    """A printed table; `figures` are its rows to the letter, null where there is no claim.

    Attributes:
        section: of the document.
        at: axes that are the same for the whole table.
        keys: headings of the columns that name a row.
        columns: heading to reading, in the order of `figures`.
    """

    section: str
    stage: str
    at: dict[str, JsonValue] = Field(default_factory=dict)
    keys: tuple[str, ...]
    columns: dict[str, Column]
    figures: tuple[tuple[str | None, ...], ...]
    notes: str = ""


class Statement(Record):
    """A figure in running text, or a conclusion without one; one claim for every lot named."""

    stage: str
    lots: Annotated[tuple[str, ...], Field(min_length=1)]
    section: str
    row: dict[str, str] | None = None
    column: str | None = None
    printed: str
    title: str
    at: dict[str, JsonValue]
    expect: dict[str, JsonValue]
    notes: str = ""


class LeftOut(Record):
    """Printed figures that are no claim, and why."""

    section: str
    figures: str
    why: str


class Matrix(Record):
    """A whole study.

    Attributes:
        gain_tolerance_pp: what a gain may differ from the printed one beyond its rounding.
        total: the study's own total of rows.
        gpus: short name to machine class.
        headings: heading of a table's key column to the axis that it names.
        words: heading to printed word to the axes that it means, where it is no plain value.
        dtype: data type of a model that is named without one.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    document: str
    title: str
    total: int
    gain_tolerance_pp: Annotated[float, Field(ge=0)] = 0.0
    dtype: str
    gpus: dict[str, Gpu]
    headings: dict[str, str]
    words: dict[str, dict[str, dict[str, JsonValue]]] = Field(default_factory=dict)
    stages: dict[str, Stage]
    tables: tuple[Table, ...]
    statements: dict[str, Statement]
    left_out: tuple[LeftOut, ...] = ()
