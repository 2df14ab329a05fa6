"""What the sensitivity of a run is told as; every change is in per cent, with its conclusion."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from reprokit.merging.records import Repeats
from reprokit.records import Arm, Estimate, Record, Scalar
from reprokit.stats.steady import Steadiness
from reprokit.verdict.outcome import Outcome

SCHEMA: Final = "reprokit/sensitivity/v1"

Side = Literal["under", "inside", "over", "open"]
"""Where an interval lies among the claim's bounds; `open` reaches over one of them."""


class SeedRow(Record):
    """One bootstrap interval under several seeds (C.1).

    Attributes:
        arm: None for the contrast of both.
        value: the estimate, which no seed changes.
        change: largest move of a bound between two seeds, in per cent of the value.
        sides: seed to where the interval lies; empty where the claim says nothing of this number.
        changes: whether that differs between seeds; None where it cannot be told.
        decides: whether there are invocations enough for a decision to rest on it; what is as
            published never decides.
    """

    point: str
    cell: str
    arm: Arm | None
    interval: str
    value: float | None
    unit: str
    change: float | None
    reason: str | None = None
    sides: dict[int, Side] = Field(default_factory=dict)
    changes: bool | None = None
    decides: bool = False


class WarmupRow(Record):
    """The mean of one arm without its first iterations (C.2), and whether it was steady.

    Attributes:
        means: iterations dropped to the pooled mean in `unit`.
        change: largest change against dropping none, in per cent; `at` is where.
        label: of the iterations over time; None with its `reason`.
        steady: None where it cannot be told.
    """

    point: str
    cell: str
    arm: Arm
    unit: str
    means: dict[int, float | None]
    change: float | None
    at: int | None = None
    label: Steadiness | None = None
    share: Estimate
    steady: bool | None
    reason: str | None = None


class WarmupOutcome(Record):
    """The outcome of one point of the verdict without its first iterations, scored anew each time.

    Attributes:
        outcomes: iterations dropped to the outcome.
        changes: whether two decided outcomes differ; None where one is open that was not, or all
            are.
    """

    point: str
    axes: dict[str, Scalar]
    outcomes: dict[int, Outcome]
    changes: bool | None


class Length(Record):
    """The subject at one token length; `found` says fails, partly fails, faster, slower, same."""

    token_len: Scalar
    failed: int
    attempted: int
    contrast: Estimate
    found: Literal["fails", "partly_fails", "faster", "slower", "same", "open"]


class LengthRow(Record):
    """One setting of all other axes over its token lengths (C.3).

    Attributes:
        together: contrast over all lengths with equal weights.
        change: how far the contrast at one length is from `together` at most, in per cent.
        changes: whether what was found differs between lengths; None where it cannot be told.
    """

    point: str
    axes: dict[str, Scalar]
    lengths: tuple[Length, ...]
    together: Estimate
    change: float | None
    changes: bool | None


class RunSensitivity(Record):
    """Everything about one run."""

    run: str
    claim_id: str
    outcome: Outcome
    metric: str
    seeds: tuple[SeedRow, ...]
    warmup: tuple[WarmupRow, ...]
    warmup_outcomes: tuple[WarmupOutcome, ...]
    lengths: tuple[LengthRow, ...]


class Sensitivity(Record):
    """The text of sensitivity.json.

    Attributes:
        repeats: baselines over runs of one regime (C.5, C.6).
        not_compared: why runs were not compared with each other.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["reprokit/sensitivity/v1"] = Field(default=SCHEMA, alias="schema")
    seeds: tuple[int, ...]
    runs: tuple[RunSensitivity, ...]
    repeats: tuple[Repeats, ...]
    not_compared: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the text of sensitivity.json: the same bytes for the same runs."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
