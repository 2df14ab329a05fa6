"""Reads the harness's result file; believes nothing in it that is not whole and of its form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from adapters.hf_harness.clocks import clocks_disagree
from reprokit.adapter import Reading, Sample
from reprokit.evidence import open_evidence
from reprokit.records import (
    Cause,
    CompileDecision,
    CompileEvidence,
    Evidence,
    Failure,
    Frame,
    RowStatus,
)

LONGEST_LINE = 16 * 1024 * 1024


class _Line(BaseModel):
    """A line of the file. Extra fields are allowed: a newer harness may say more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Floor(_Line):
    """The least time in ms that one iteration can take; None with a reason."""

    ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    reason: str | None = None


class _Tolerance(_Line):
    """How near the logits of two arms must be; files of older harnesses do not say it."""

    logits: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class _Header(_Line):
    kind: Literal["header"]
    schema_: Annotated[Literal["reprokit/harness/v1"], Field(alias="schema")]
    spec: dict[str, JsonValue]
    versions: dict[str, str | None]
    device: dict[str, JsonValue]
    model: dict[str, JsonValue]
    floor: dict[str, JsonValue]
    tolerance: dict[str, JsonValue]

    @property
    def floor_ms(self) -> float | None:
        return _Floor.model_validate(self.floor).ms

    @property
    def logit_tolerance(self) -> float | None:
        return _Tolerance.model_validate(self.tolerance).logits

    @model_validator(mode="after")
    def _check_floor(self) -> Self:
        _Floor.model_validate(self.floor)
        _Tolerance.model_validate(self.tolerance)
        return self


class _Iteration(_Line):
    kind: Literal["iteration"]
    iteration: Annotated[int, Field(ge=0)]
    latency_ms: _Number
    device_ms: _Number | None
    ttft_ms: _Number | None
    check_ms: _Number | None = None
    device: str
    finite: bool
    tokens_made: Annotated[int, Field(ge=0)]
    tokens_asked: int
    output: tuple[int, ...]
    ties: tuple[int | None, ...]
    input: Annotated[str, Field(min_length=1)]
    logits: Annotated[str, Field(min_length=1)] | None
    sampled_logits: tuple[tuple[_Number, ...], ...] | None = None
    overhead_ms: _Number | None

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.output) == len(self.ties) == self.tokens_made:
            raise ValueError("tokens_made, output and ties must be equally long")
        return self


class _Compile(_Line):
    kind: Literal["compile"]
    decision: CompileDecision
    reason: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    artifact: str | None


class _Failure(_Line):
    kind: Literal["failure"]
    exception: str
    message: str
    frame: Frame | None
    causes: tuple[Cause, ...]


class _End(_Line):
    kind: Literal["end"]
    iterations: int
    peak_bytes: int | None
    overhead_ms: _Number | None


_Record = _Header | _Iteration | _Compile | _Failure | _End
_LINE: TypeAdapter[_Record] = TypeAdapter(Annotated[_Record, Field(discriminator="kind")])


def read_result(path: Path, *, spec: Mapping[str, JsonValue]) -> Reading:
    """Read what one process of the harness left; never raises for what is in the file.

    Args:
        path: the result file; it may be missing or cut short.
        spec: what the process was asked for, to be compared with what it says it measured.
    """
    records, problem = _read(path)
    headers = [record for record in records if isinstance(record, _Header)]
    failures = [record for record in records if isinstance(record, _Failure)]
    iterations = [record for record in records if isinstance(record, _Iteration)]
    if problem is None and not failures:
        problem = _incomplete(records)
    if not headers or _differs(headers[0].spec, spec):
        problem = problem if not headers else "the harness says that it measured another spec"
        iterations = []
    cold = spec["warmup"] == 0
    clocks = clocks_disagree([(each.latency_ms, each.check_ms) for each in iterations])
    samples = (_sample(record, spec, cold=cold) for record in iterations)
    return Reading(
        samples=tuple(_contaminated(each, clocks) if clocks else each for each in samples),
        evidence=_evidence(records, headers),
        labels=(_whose_weights(headers, spec),),
        failure=_failure(failures[0]) if failures else None,
        problem=problem,
    )


def _read(path: Path) -> tuple[list[_Record], str | None]:
    """Return the records up to the first damaged line, and what is wrong with that one."""
    records: list[_Record] = []
    try:
        with open_evidence(path) as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    return records, f"{path.name}:{number} is cut short"
                records.append(_LINE.validate_json(line))
    except FileNotFoundError:
        return records, f"the harness left no {path.name}"
    except OSError as error:
        return records, f"{path.name} cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        return records, f"{path.name}:{number}: {where}: {first['msg']}"
    return records, None


def _incomplete(records: list[_Record]) -> str | None:
    if not records or not isinstance(records[-1], _End):
        return "the result file has no end: the harness died"
    if not isinstance(records[0], _Header):
        return "the result file does not begin with its header"
    made = sum(isinstance(record, _Iteration) for record in records)
    if made != records[-1].iterations:
        return f"the result file holds {made} iterations and says {records[-1].iterations}"
    return None


def _differs(measured: Mapping[str, JsonValue], asked: Mapping[str, JsonValue]) -> bool:
    return json.dumps(measured, sort_keys=True) != json.dumps(asked, sort_keys=True)


def _whose_weights(headers: list[_Header], spec: Mapping[str, JsonValue]) -> str:
    """Label the rows: what the process says it measured, else what it was asked for."""
    said = headers[0].model.get("weights") if headers else None
    return f"{said or spec.get('weights', 'unknown')}_weights"


def _sample(record: _Iteration, spec: Mapping[str, JsonValue], *, cold: bool) -> Sample:
    phase = str(spec["phase"])
    return Sample(
        iteration=record.iteration,
        values=_values(record, phase),
        cold=cold and record.iteration == 0,
        status=RowStatus.OK if record.finite else RowStatus.WRONG_OUTPUT,
        reason=_complaint(record),
        evidence=Evidence(
            device=record.device,
            tokens=record.tokens_made,
            tokens_asked=record.tokens_asked,
            output_tokens=record.output,
            output_ties=record.ties,
            output_steps=_dependent_tokens(phase, record.tokens_asked, spec.get("batch")),
            input_digest=record.input,
            output_digest=_output_digest(record),
            output_logits=record.sampled_logits,
        ),
    )


def _complaint(record: _Iteration) -> str | None:
    if record.finite:
        return None
    if record.logits is None:
        return "no_output: the call returned, and nothing was computed"
    return "not_finite: the logits hold inf or nan"


def _contaminated(sample: Sample, reason: str) -> Sample:
    if sample.status is not RowStatus.OK:
        return sample
    return sample.model_copy(update={"status": RowStatus.CONTAMINATED, "reason": reason})


def _dependent_tokens(phase: str, asked: int, batch: JsonValue) -> int:
    """Length of one sequence of tokens of which each depends on the one before it.

    The positions of a prompt are chosen independently, so that each is a sequence of its own.
    """
    if phase == "prefill" or not isinstance(batch, int):
        return 1
    return asked // batch


def _values(record: _Iteration, phase: str) -> dict[str, float]:
    values = {"latency_ms": record.latency_ms, "wall_ms": record.latency_ms}
    if record.device_ms is not None:
        values["device_ms"] = record.device_ms
    if record.ttft_ms is not None:
        values["ttft_ms"] = record.ttft_ms
    if phase != "prefill" and record.tokens_made > 0 and record.latency_ms > 0:
        values["tokps"] = 1000.0 * record.tokens_made / record.latency_ms
    return values


def _output_digest(record: _Iteration) -> str | None:
    """Digest the tokens with the last logits; no logits, no digest."""
    if record.logits is None:
        return None
    return hashlib.sha256(f"{record.output} {record.logits}".encode()).hexdigest()[:32]


def _evidence(records: list[_Record], headers: list[_Header]) -> Evidence:
    extra: dict[str, JsonValue] = {}
    if headers:
        extra = headers[0].model_dump(include={"versions", "device", "model", "floor", "tolerance"})
    for record in records:
        if isinstance(record, _End):
            extra |= {"peak_bytes": record.peak_bytes, "overhead_ms": record.overhead_ms}
        if isinstance(record, _Compile) and record.artifact is not None:
            extra["compile_artifact"] = record.artifact
    proof = next((record for record in records if isinstance(record, _Compile)), None)
    return Evidence(
        floor_ms=headers[0].floor_ms if headers else None,
        logit_tolerance=headers[0].logit_tolerance if headers else None,
        compile=None if proof is None else _proof(proof),
        extra=extra,
    )


def _proof(record: _Compile) -> CompileEvidence:
    return CompileEvidence(decision=record.decision, reason=record.reason, facts=record.facts)


def _failure(record: _Failure) -> Failure:
    """Return the failure; its fingerprint is the runner's to give, so that all have one rule."""
    return Failure(
        exception=record.exception,
        message=record.message,
        frame=record.frame,
        causes=record.causes,
        fingerprint="",
    )
