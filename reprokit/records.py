"""The records that stages hand to each other: statuses, evidence, failures, rows, estimates.

All are frozen and strict; what is written as JSON reads back as the same record. No stage edits a
record of an earlier one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Scalar = str | int | float | bool
"""A value of an axis, as it is written in a claim."""


class Record(BaseModel):
    """Base of every record: frozen, no unknown fields, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="strings")


class Arm(StrEnum):
    """The roles compared inside a stack point."""

    BASELINE = "baseline"
    SUBJECT = "subject"


class RowStatus(StrEnum):
    """What became of one planned iteration (design, section 6). Never a number."""

    OK = "ok"
    CRASH = "crash"
    OOM = "oom"
    TIMEOUT = "timeout"
    KILLED = "killed"
    SILENT_FALLBACK = "silent_fallback"
    FALL_THROUGH = "fall_through"
    WRONG_OUTPUT = "wrong_output"
    CONTAMINATED = "contaminated"
    ENVIRONMENT_FAILED = "environment_failed"
    UNSUPPORTED = "unsupported"
    NOT_RUN = "not_run"


NOT_ATTEMPTED = frozenset({RowStatus.ENVIRONMENT_FAILED, RowStatus.UNSUPPORTED, RowStatus.NOT_RUN})
"""Statuses that say nothing about stability: the measurement was never possible or never began."""

STOPPED_EARLY = "stopped_early"
"""Begin of the reason of rows whose invocation was not made because equal failures were enough."""


class CompileDecision(StrEnum):
    """Whether compiled code really executed (design, section 7)."""

    NOT_ASKED = "not_asked"
    COMPILED = "compiled"
    PARTLY = "partly"
    FELL_BACK = "fell_back"
    UNKNOWN = "unknown"


class CompileEvidence(Record):
    """What was seen of compilation, and the decision drawn from it.

    `facts` holds counters and kernel names as observed; their names move between releases, so
    nothing but the adapter that wrote them may interpret them.
    """

    decision: CompileDecision
    reason: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)


class Evidence(Record):
    """What the benchmark's process itself proved about a run; `None` means that it did not say.

    Attributes:
        device: device type the work ran on ("cpu", "cuda"), as seen from inside.
        tokens: tokens produced by one iteration.
        tokens_asked: tokens that one iteration was asked for.
        output_tokens: the greedy token ids of one iteration, for comparing arms.
        output_ties: for each of them the other id that rounding alone could have made the greedy
            choice; None where the choice was clear. The tolerance is in `extra`.
        output_steps: how many consecutive tokens make one sequence, in which every token depends
            on those before it; 1 where every token stands for itself. None is taken as 1.
        input_digest: digest of the iteration's input; iterations with other inputs are compared
            with other outputs.
        output_digest: digest of all that the iteration computed, to the bit.
        output_logits: some of the last logits of each sequence, the same ones in every iteration
            and arm; sequences in the order of `output_tokens`, and the first few are enough.
        logit_tolerance: by how much those of two arms may differ through rounding: root mean
            square of the differences over that of the logits.
        window_s: begin and end of the iteration on the system's monotonic clock, in s.
        log_end: size of stdout.log in bytes when the iteration had been reported there, for
            benchmarks that tell no clock.
        floor_ms: least time in ms that one iteration can take on this device: the bytes that it
            must read over the measured bandwidth.
        compile: proof of compilation; `not_asked` where the arm does not compile.
        extra: everything else worth keeping (versions seen, peak memory, parameter counts).
    """

    device: str | None = None
    tokens: int | None = None
    tokens_asked: int | None = None
    output_tokens: tuple[int, ...] | None = None
    output_ties: tuple[int | None, ...] | None = None
    output_steps: int | None = None
    input_digest: str | None = None
    output_digest: str | None = None
    output_logits: tuple[tuple[float, ...], ...] | None = None
    logit_tolerance: float | None = None
    window_s: tuple[float, float] | None = None
    log_end: int | None = None
    floor_ms: float | None = None
    compile: CompileEvidence | None = None
    extra: dict[str, JsonValue] = Field(default_factory=dict)


class Frame(Record):
    """One stack frame of a traceback; `line` counts from 1."""

    file: str
    line: int
    function: str


class Cause(Record):
    """An exception in the chain that led to the last one."""

    exception: str
    message: str


class FailureKind(StrEnum):
    """What a failure is called in the field; `OTHER` is everything without a name of its own."""

    CUDAGRAPH_OVERWRITE = "cudagraph_overwrite"
    CUDAGRAPH_ASSERTION = "cudagraph_assertion"
    INDUCTOR_ERROR = "inductor_error"
    TRITON_BUILD = "triton_build"
    STACK_INCOMPATIBLE = "stack_incompatible"
    RECOMPILE_LIMIT = "recompile_limit"
    OOM = "oom"
    ILLEGAL_ACCESS = "illegal_access"
    IMPORT_ERROR = "import_error"
    TIMEOUT = "timeout"
    SIGNAL = "signal"
    OTHER = "other"


class Failure(Record):
    """Why an invocation failed, complete enough to compare with another failure.

    Attributes:
        kind: its name in the taxonomy (`reprokit.failure`), None where nothing classified it.
        exception: qualified class of the last exception, `None` where there was no traceback.
        message: its whole message.
        frame: the terminal frame, innermost.
        causes: chained exceptions, outermost cause first.
        fingerprint: equal for equal failures on any machine (paths, addresses, numbers removed).
        log: path of the whole log, relative to the run directory.
    """

    exception: str | None
    message: str
    frame: Frame | None
    causes: tuple[Cause, ...] = ()
    fingerprint: str
    log: str | None = None
    kind: FailureKind | None = None

    def headline(self) -> str:
        """Say the failure in one line: class, first line of the message, terminal frame."""
        first = self.message.strip().splitlines()[0] if self.message.strip() else ""
        head = f"{self.exception}: {first}" if self.exception and first else self.exception or first
        if self.frame is None:
            return head or "no message"
        name = self.frame.file.rsplit("/", 1)[-1]
        return f"{head} (at {name}:{self.frame.line} in {self.frame.function})"


class GpuState(StrEnum):
    """Whether something else disturbed a measurement on a GPU; `unknown` is never taken as no."""

    CLEAN = "clean"
    CONTAMINATED = "contaminated"
    UNKNOWN = "unknown"


class Energy(Record):
    """Energy that the whole GPU took, from its own counter; nothing idle is taken off.

    Attributes:
        joules_per_token: None with its `reason`.
        joules: during `window_s` seconds.
        scope: "iteration" for this one; "iterations" where one alone is too short for the counter
            and all of its invocation were taken together.
        sampled_joules: the same from sampled power, to compare.
        reason: why there is no figure; None where there is one.
    """

    joules_per_token: float | None = None
    joules: float | None = None
    window_s: float | None = None
    scope: Literal["iteration", "iterations"] | None = None
    sampled_joules: float | None = None
    reason: str | None = None


class GpuRecord(Record):
    """What was seen of the GPU around one iteration; None is what could not be seen.

    Attributes:
        state: whether the measurement was disturbed; `reason` says by what, or why it is unknown.
        memory_mib: all of it.
        power_limit_w: enforced while measuring.
        sm_mhz, memory_mhz: lowest and highest clock while measuring.
        temperature_c: highest while measuring.
        events: why the clocks were not higher, by name, seen while measuring.
        power_capped: share of samples in which the power limit held the clocks down.
        copy_gbps: best rate of a copy from its memory to its memory, bytes read and written, as
            measured in this run; None where it was not.
        unknown: what the driver did not tell, and why.
    """

    state: GpuState
    reason: str | None = None
    uuid: str | None = None
    name: str | None = None
    sm: str | None = None
    memory_mib: int | None = None
    driver: str | None = None
    cuda: str | None = None
    vbios: str | None = None
    pcie: str | None = None
    ecc: bool | None = None
    mig: bool | None = None
    persistence: bool | None = None
    power_limit_w: float | None = None
    power_default_w: float | None = None
    power_w: float | None = None
    sm_mhz: tuple[int, int] | None = None
    sm_max_mhz: int | None = None
    memory_mhz: tuple[int, int] | None = None
    temperature_c: int | None = None
    events: tuple[str, ...] = ()
    power_capped: float | None = None
    copy_gbps: float | None = None
    energy: Energy = Energy(reason="not_measured")
    unknown: dict[str, str] = Field(default_factory=dict)


class Row(Record):
    """One planned iteration and what became of it: one line of `rows.jsonl`.

    Attributes:
        id: `<invocation>__<iteration>`, the same before and after the run.
        invocation: index of the process launch within its point, cell and arm, from 0.
        iteration: index inside the invocation, from 0, in time order.
        values: metric name to value in that metric's unit (see `reprokit.metrics`).
        cold: the first iteration of a process without warm-up: kept, never pooled.
        labels: facts that a reader must know beside the number (`synthetic_weights`, ...).
        gpu: what was seen of the GPU meanwhile; None where none was asked for (a claim about a
            CPU), or nothing was started.
    """

    id: str
    point: str
    cell: str
    arm: Arm
    invocation: Annotated[int, Field(ge=0)]
    iteration: Annotated[int, Field(ge=0)]
    status: RowStatus
    reason: str | None = None
    values: dict[str, float] = Field(default_factory=dict)
    cold: bool = False
    labels: tuple[str, ...] = ()
    evidence: Evidence = Evidence()
    failure: Failure | None = None
    gpu: GpuRecord | None = None


class PhaseSample(Record):
    """One iteration of a phase probe; times in ms.

    Attributes:
        prefill_ms: from the start of the iteration to its first token.
        decode_ms: the `decode_steps` steps after it.
        cold: it also compiles or loads, so it is not used.
    """

    prefill_ms: float
    decode_ms: float
    decode_steps: int
    cold: bool = False


class Phases(Record):
    """What one phase probe found; `problem` says why there is less than was asked for."""

    samples: tuple[PhaseSample, ...] = ()
    method: str = ""
    problem: str | None = None


class PhaseProbe(Record):
    """A launch beside the planned ones that splits the phases; it is never counted.

    Attributes:
        id: of its directory, `<point>__<cell>__<arm>`.
        skipped: why no process was started for it.
    """

    id: str
    point: str
    cell: str
    arm: Arm
    phases: Phases = Phases()
    skipped: str | None = None


class Estimate(Record):
    """A number with everything needed to trust or to recompute it.

    `value`, `low` and `high` are in `unit`; a `None` value carries its `reason`.

    Attributes:
        n: sample sizes by level, for example {"invocations": 5, "iterations": 60}.
        method: how it was computed, with the source of the method.
        level: confidence level of [low, high], between 0 and 1.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str
    level: float | None = None
    method: str
    n: dict[str, int] = Field(default_factory=dict)
    seed: int | None = None
    reason: str | None = None
