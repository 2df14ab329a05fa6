"""The claim record: one published statement, as a YAML file says it (design, section 4).

The models here hold what a single value must look like; `reprokit.claim.check` holds what must fit
together; `reprokit.claim.load` reads files and turns every complaint into file:line:column.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from reprokit.adapter import Model
from reprokit.records import Record, Scalar
from reprokit.stack import digest

SCHEMA = "reprokit/claim/v1"
LONGEST_TIMEOUT_S = 7 * 24 * 3600.0

ClaimId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,79}$")]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Positive = Annotated[int, Field(ge=1)]
Margin = Annotated[float, Field(gt=1.0, le=10.0)]
Level = Annotated[float, Field(gt=0.5, lt=1.0)]


class Provenance(Record):
    """Where a figure is printed: document, section, table row and column, to the letter."""

    document: str | None = None
    section: str | None = None
    row: dict[str, str] | None = None
    column: str | None = None
    printed: str | None = None


class GitSource(Provenance):
    """A benchmark in a Git repository at one commit."""

    repo: str
    commit: Sha


class BuiltinSource(Provenance):
    """A benchmark that an adapter brings itself, such as the internal harness."""

    builtin: str


def _kind_of_source(value: object) -> str | None:
    """Tell the two sources apart by the one key that each has and the other has not."""
    if isinstance(value, dict):
        named = [tag for key, tag in _SOURCE_TAGS.items() if key in value]
        return named[0] if named else None
    return type(value).__name__ if isinstance(value, Provenance) else None


_SOURCE_TAGS = {"repo": "GitSource", "builtin": "BuiltinSource"}

Source = Annotated[
    Annotated[GitSource, Tag("GitSource")] | Annotated[BuiltinSource, Tag("BuiltinSource")],
    Discriminator(_kind_of_source),
]


class _Expectation(Record):
    metric: str


class ExpectValue(_Expectation):
    """A number: the subject's metric equals `value` within `margin` (a ratio, 1.03 is 3 %).

    `bands` name ranges of the metric ("strong_match": ">= 90"); `null` is kept for no survivors.
    """

    kind: Literal["value"]
    value: Annotated[float, Field(gt=0)]
    unit: str
    statistic: Literal["median", "mean"] = "mean"
    margin: Margin = 1.03
    bands: dict[str, str] = Field(default_factory=dict)


class ExpectGain(_Expectation):
    """The subject against the baseline: 100 (1 - subject time / baseline time), in per cent.

    At least one bound; a negative gain is an overhead.
    """

    kind: Literal["gain"]
    at_least: float | None = None
    at_most: float | None = None


class ExpectEquivalence(_Expectation):
    """Subject and baseline differ by less than `margin` (TOST on the log ratio)."""

    kind: Literal["equivalence"]
    margin: Margin = 1.03


class ExpectStability(Record):
    """The subject's crash rate: attempted iterations that are not ok, from 0 to 1."""

    kind: Literal["stability"]
    equals: Annotated[float, Field(ge=0, le=1)] | None = None
    at_most: Annotated[float, Field(ge=0, le=1)] | None = None


Conclusion = Annotated[
    ExpectValue | ExpectGain | ExpectEquivalence | ExpectStability, Field(discriminator="kind")
]


class ExpectInvariance(Record):
    """The same conclusion at every value of `axis`, the other axes held."""

    kind: Literal["invariance"]
    axis: str
    of: Conclusion


class ExpectFlip(Record):
    """A conclusion that changes along `axis`, the other axes held."""

    kind: Literal["flip"]
    axis: str
    of: Conclusion


Expect = Annotated[
    ExpectValue | ExpectGain | ExpectEquivalence | ExpectStability | ExpectInvariance | ExpectFlip,
    Field(discriminator="kind"),
]


class Regime(Record):
    """The hardware that the claim names. Left out means: the claim does not say."""

    device: Literal["cpu", "cuda"] = "cuda"
    gpu: str | None = None
    sm: Annotated[str, Field(pattern=r"^sm_\d{2,3}[a-z]?$")] | None = None
    vram_gb: Annotated[float, Field(gt=0)] | None = None
    power_limit_w: Annotated[float, Field(gt=0)] | None = None
    batch: Positive | None = None
    prompt: str | None = None


class AdapterSpec(Record):
    """Which adapter asks the benchmark, what the arms are, and its own options."""

    name: str
    baseline: str
    subject: str
    options: dict[str, JsonValue] = Field(default_factory=dict)


class Protocol(Record):
    """How often and how long: invocations are the unit of replication, samples lie inside.

    Attributes:
        timeout_s: of one cell in one process.
        share_process: measure the cells of one arm one after the other in one process, where the
            adapter can; a cell that fails ends the process, and the next ones get a new one.
        same_failure_stops: after so many equal failures of one arm in one cell its further
            invocations are not made; 0 for never. A claim about a rate of failures (`stability`) is
            measured in full whatever stands here, for stopping would raise the rate.
    """

    invocations: Positive = 5
    samples: Positive = 5
    warmup: Annotated[int, Field(ge=0)] = 3
    timeout_s: Annotated[float, Field(gt=0, le=LONGEST_TIMEOUT_S)] = 900.0
    level: Level = 0.95
    seed: Annotated[int, Field(ge=0)] = 42
    share_process: bool = False
    same_failure_stops: Annotated[int, Field(ge=0)] = 3


class StackSpec(Record):
    """The environment a claim asks for.

    Attributes:
        python: version request ("3.11"); left out, the Python that runs reprokit.
        requirements: PEP 508 lines.
        lock: hashed requirement file, relative to the claim file.
        exclude_newer: resolve as of this date (RFC 3339, UTC), for historical replay.
        torch_backend: PyTorch build to prefer ("cpu", "auto", "cu126"), handed to uv.
        build_from_source: distributions that may be built; all others must come as wheels.
    """

    python: str | None = None
    requirements: Annotated[tuple[str, ...], Field(min_length=1)]
    lock: str | None = None
    exclude_newer: str | None = None
    torch_backend: str | None = None
    build_from_source: tuple[str, ...] = ()


class Exclusion(Record):
    """A combination of axis values that is not planned, and why."""

    when: Annotated[dict[str, Scalar], Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]


class Claim(Record):
    """One published statement."""

    schema_: Annotated[Literal["reprokit/claim/v1"], Field(alias="schema")]
    id: ClaimId
    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]
    notes: str | None = None
    source: Source
    expect: Expect
    regime: Regime | None = None
    model: Model | None = None
    adapter: AdapterSpec
    cells: dict[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    protocol: Protocol = Protocol()
    stack: StackSpec
    sweep: dict[str, dict[str, Scalar]] = Field(default_factory=dict)
    exclude: tuple[Exclusion, ...] = ()

    def digest(self) -> str:
        """Digest of the statement, independent of the layout of the file."""
        return digest(self.model_dump(mode="json", by_alias=True))
