"""What merged runs are told as: differences, regimes, conditions, repeats and the whole record."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import ConfigDict, Field

from reprokit.records import Arm, Estimate, Record, Scalar
from reprokit.robustness.records import Guard, Portability
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.outcome import Outcome

SCHEMA: Final = "reprokit/merge/v1"


class Difference(Record):
    """One place at which two runs are not alike, with what stands there in each.

    Attributes:
        where: path into what was compared, for example "claim.expect.at_least".
        runs: their names; `values` in the same order, None for nothing there.
    """

    where: str
    runs: tuple[str, str]
    values: tuple[str | None, str | None]


class Hardware(Record):
    """What was measured on, as seen from inside; None is what could not be seen.

    Attributes:
        name: of the GPU, or of the processor where a CPU was measured.
        memory_gib: of the GPU, rounded.
        power_limit_w: None also where it changed while measuring.
        cpus: processors of the machine; None for a GPU.
        unknown: what could not be told, in words; it may differ between machines of one regime.
    """

    device: str
    name: str
    sm: str | None = None
    memory_gib: int | None = None
    power_limit_w: int | None = None
    mig: bool | None = None
    cpus: int | None = None
    unknown: tuple[str, ...] = ()


class MergedRun(Record):
    """One of the runs.

    Attributes:
        drivers: of the GPU, as seen while measuring.
        rows_sha256: digest of its rows, by which a reader finds them again.
    """

    name: str
    regime: str
    created: str
    reprokit: str
    adapter: str | None
    outcome: Outcome
    sentence: str
    rows_planned: int
    rows_ok: int
    rows_sha256: str
    manifest_sha256: str
    drivers: tuple[str, ...] = ()


class Regime(Record):
    """Hardware with the stacks that were measured on it; rows are never pooled over two of them.

    Attributes:
        label: unique; names the stack only where the hardware does not tell regimes apart.
        runs: repeats, where there are several.
        versions: stack point to what it was made of.
    """

    label: str
    hardware: Hardware
    runs: tuple[str, ...]
    versions: dict[str, dict[str, str | None]]


class StackDifference(Record):
    """A package that is not the same in every regime, so that hardware is not all that differs."""

    point: str
    package: str
    versions: dict[str, str | None]


class Condition(Record):
    """One arm of one cell at one stack point, over the regimes.

    Attributes:
        point: labels on the stack axes; `cell` on those that vary inside a stack point.
        qualitative: whether the outcome without its size (survives or not, faster, slower or the
            same) held over the regimes, changed, or is open.
    """

    id: str
    arm: Arm
    point: dict[str, Scalar]
    cell: dict[str, Scalar]
    portability: Portability
    qualitative: Literal["held", "changed", "open"]


class Repeats(Record):
    """The baseline of one condition over the runs of one regime (TR147, C.5 and C.6).

    Attributes:
        means: run to its mean.
        spread: largest mean over the smallest, less 1, in per cent, as published.
        guard: equivalence tests of all pairs of runs; `equivalent` is the only yes.
    """

    regime: str
    point: dict[str, Scalar]
    cell: dict[str, Scalar]
    means: dict[str, Estimate]
    spread: Estimate
    guard: Guard


class CrossRegime(Record):
    """Did the qualitative outcome of the subject hold in every condition, over the regimes?

    Attributes:
        status: `held`; `changed`, where `changed` names every condition that did; `open` where
            fewer than two regimes were measured or a condition is open.
    """

    status: Literal["held", "changed", "open"]
    regimes: tuple[str, ...]
    held: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    open: tuple[str, ...] = ()


class Merged(Record):
    """All of it; the text of merge.json.

    Attributes:
        gate: gate 5, of the outcomes that the runs' own verdicts have at each point.
        counts: verdict to number of conditions over both arms, as TR147 counts them (SS5.2).
        margin: ratio within which a subject counts as neither faster nor slower, and a baseline
            as stable.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: Literal["reprokit/merge/v1"] = Field(default=SCHEMA, alias="schema")
    claim_id: str
    title: str
    expected: str
    metric: str
    level: float
    margin: float
    runs: tuple[MergedRun, ...]
    regimes: tuple[Regime, ...]
    stacks_differ: tuple[StackDifference, ...]
    conditions: tuple[Condition, ...]
    counts: dict[str, int]
    counts_by_arm: dict[Arm, dict[str, int]]
    repeats: tuple[Repeats, ...]
    gate: GateVerdict
    cross_regime: CrossRegime
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return the text of merge.json: the same bytes for the same runs."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
