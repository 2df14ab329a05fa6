"""Reads the harness's result file; believes nothing in it that is not whole and of its form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

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


class _Header(_Line):
    kind: Literal["header"]
    schema_: Annotated[Literal["reprokit/harness/v1"], Field(alias="schema")]
    spec: dict[str, JsonValue]
    versions: dict[str, str | None]
    device: dict[str, JsonValue]
    model: dict[str, JsonValue]


class _Iteration(_Line):
    kind: Literal["iteration"]
    iteration: Annotated[int, Field(ge=0)]
    latency_ms: Annotated[float, Field(allow_inf_nan=False)]
    device: str
    finite: bool
    tokens: tuple[int, ...]
    tokens_asked: int


class _Compile(_Line):
    kind: Literal["compile"]
    decision: CompileDecision
    reason: str
    facts: dict[str, JsonValue] = Field(default_factory=dict)


class _Failure(_Line):
    kind: Literal["failure"]
    exception: str
    message: str
    frame: Frame | None
    causes: tuple[Cause, ...]


class _End(_Line):
    kind: Literal["end"]
    iterations: int


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
    return Reading(
        samples=tuple(_sample(record, str(spec["phase"]), cold=cold) for record in iterations),
        evidence=_evidence(records, headers),
        labels=("synthetic_weights",),
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


def _sample(record: _Iteration, phase: str, *, cold: bool) -> Sample:
    values = {"latency_ms": record.latency_ms, "wall_ms": record.latency_ms}
    if phase == "kv_decode" and record.latency_ms > 0:
        values["tokps"] = 1000.0 * len(record.tokens) / record.latency_ms
    return Sample(
        iteration=record.iteration,
        values=values,
        cold=cold and record.iteration == 0,
        status=RowStatus.OK if record.finite else RowStatus.WRONG_OUTPUT,
        reason=None if record.finite else "not_finite: the logits hold inf or nan",
        evidence=Evidence(
            device=record.device,
            tokens=len(record.tokens),
            tokens_asked=record.tokens_asked,
            output_tokens=record.tokens,
        ),
    )


def _evidence(records: list[_Record], headers: list[_Header]) -> Evidence:
    proof = next((record for record in records if isinstance(record, _Compile)), None)
    extra: dict[str, JsonValue] = {}
    if headers:
        extra = {
            "versions": dict(headers[0].versions),
            "device": dict(headers[0].device),
            "model": dict(headers[0].model),
        }
    if proof is None:
        return Evidence(extra=extra)
    found = CompileEvidence(decision=proof.decision, reason=proof.reason, facts=proof.facts)
    return Evidence(compile=found, extra=extra)


def _failure(record: _Failure) -> Failure:
    """Return the failure; its fingerprint is the runner's to give, so that all have one rule."""
    return Failure(
        exception=record.exception,
        message=record.message,
        frame=record.frame,
        causes=record.causes,
        fingerprint="",
    )
