"""Reads the harness's result file; believes nothing in it that is not whole and of its form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue, ValidationError

from adapters.hf_harness.asked import (
    compile_evidence,
    contradiction,
    dependent_tokens,
    tokens_asked,
)
from adapters.hf_harness.clocks import clocks_disagree
from adapters.hf_harness.output import complaint_about_calls, complaint_about_output
from adapters.hf_harness.records import (
    CompileRecord,
    EndRecord,
    FailureRecord,
    HarnessRecord,
    HeaderRecord,
    IterationRecord,
    read_record,
)
from reprokit.adapter import Reading, Sample
from reprokit.evidence import open_evidence
from reprokit.records import Evidence, Failure, RowStatus

LONGEST_LINE = 16 * 1024 * 1024


def read_result(path: Path, *, spec: Mapping[str, JsonValue]) -> Reading:
    """Read what one process of the harness left; never raises for what is in the file.

    Args:
        path: the result file; it may be missing or cut short.
        spec: what the process was asked for, to be compared with what it says it measured.
    """
    records, problem = _read(path)
    headers = [record for record in records if isinstance(record, HeaderRecord)]
    failures = [record for record in records if isinstance(record, FailureRecord)]
    iterations = [record for record in records if isinstance(record, IterationRecord)]
    if problem is None and not failures:
        problem = _incomplete(records)
    if not headers or _differs(headers[0].spec, spec):
        problem = problem if not headers else "the harness says that it measured another spec"
        iterations = []
    elif contradicted := contradiction(headers[0], iterations, spec):
        problem, iterations = contradicted, []
    cold = spec["warmup"] == 0
    clocks = clocks_disagree([(each.latency_ms, each.check_ms) for each in iterations])
    ends = [record for record in records if isinstance(record, EndRecord)]
    looked_at = complaint_about_calls(ends[0], spec) if ends else None
    samples = (_sample(record, spec, cold=cold, looked_at=looked_at) for record in iterations)
    return Reading(
        samples=tuple(_contaminated(each, clocks) if clocks else each for each in samples),
        evidence=_evidence(records, headers, spec),
        labels=(_whose_weights(headers, spec),),
        failure=_failure(failures[0]) if failures else None,
        problem=problem,
    )


def _read(path: Path) -> tuple[list[HarnessRecord], str | None]:
    """Return the records up to the first damaged line, and what is wrong with that one."""
    records: list[HarnessRecord] = []
    try:
        with open_evidence(path) as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE):
                number += 1
                if not line.endswith(b"\n"):
                    return records, f"{path.name}:{number} is cut short"
                records.append(read_record(line))
    except FileNotFoundError:
        return records, f"the harness left no {path.name}"
    except OSError as error:
        return records, f"{path.name} cannot be read: {error.strerror}"
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "line"
        return records, f"{path.name}:{number}: {where}: {first['msg']}"
    return records, None


def _incomplete(records: list[HarnessRecord]) -> str | None:
    if not records or not isinstance(records[-1], EndRecord):
        return "the result file has no end: the harness died"
    if not isinstance(records[0], HeaderRecord):
        return "the result file does not begin with its header"
    made = sum(isinstance(record, IterationRecord) for record in records)
    if made != records[-1].iterations:
        return f"the result file holds {made} iterations and says {records[-1].iterations}"
    return None


def _differs(measured: Mapping[str, JsonValue], asked: Mapping[str, JsonValue]) -> bool:
    return json.dumps(measured, sort_keys=True) != json.dumps(asked, sort_keys=True)


def _whose_weights(headers: list[HeaderRecord], spec: Mapping[str, JsonValue]) -> str:
    """Label the rows: what the process says it measured, else what it was asked for."""
    said = headers[0].model.get("weights") if headers else None
    return f"{said or spec.get('weights', 'unknown')}_weights"


def _sample(
    record: IterationRecord, spec: Mapping[str, JsonValue], *, cold: bool, looked_at: str | None
) -> Sample:
    phase = str(spec["phase"])
    complaint = complaint_about_output(record, spec) or looked_at
    return Sample(
        iteration=record.iteration,
        values=_values(record, phase),
        cold=cold and record.iteration == 0,
        status=RowStatus.OK if complaint is None else RowStatus.WRONG_OUTPUT,
        reason=complaint,
        evidence=Evidence(
            device=record.device,
            window_s=record.window_s,
            tokens=record.tokens_made,
            tokens_asked=tokens_asked(spec),
            output_tokens=record.output,
            output_ties=record.ties,
            output_steps=dependent_tokens(spec),
            input_digest=record.input,
            output_digest=_output_digest(record),
            output_logits=record.sampled_logits,
        ),
    )


def _contaminated(sample: Sample, reason: str) -> Sample:
    if sample.status is not RowStatus.OK:
        return sample
    return sample.model_copy(update={"status": RowStatus.CONTAMINATED, "reason": reason})


def _values(record: IterationRecord, phase: str) -> dict[str, float]:
    values = {"latency_ms": record.latency_ms, "wall_ms": record.latency_ms}
    if record.device_ms is not None:
        values["device_ms"] = record.device_ms
    if record.ttft_ms is not None:
        values["ttft_ms"] = record.ttft_ms
    if phase != "prefill" and record.tokens_made > 0 and record.latency_ms > 0:
        values["tokps"] = 1000.0 * record.tokens_made / record.latency_ms
    return values


def _output_digest(record: IterationRecord) -> str | None:
    """Digest the tokens with the last logits; no logits, no digest."""
    if record.logits is None:
        return None
    return hashlib.sha256(f"{record.output} {record.logits}".encode()).hexdigest()[:32]


def _evidence(
    records: list[HarnessRecord], headers: list[HeaderRecord], spec: Mapping[str, JsonValue]
) -> Evidence:
    extra: dict[str, JsonValue] = {}
    if headers:
        extra = headers[0].model_dump(include={"versions", "device", "model", "floor", "tolerance"})
    for record in records:
        if isinstance(record, EndRecord):
            extra |= record.model_dump(include={"peak_bytes", "overhead_ms", "spent_s"})
        if isinstance(record, CompileRecord) and record.artifact is not None:
            extra["compile_artifact"] = record.artifact
    proof = next((record for record in records if isinstance(record, CompileRecord)), None)
    return Evidence(
        floor_ms=headers[0].floor_ms if headers else None,
        logit_tolerance=headers[0].logit_tolerance if headers else None,
        compile=None if proof is None else compile_evidence(proof, spec),
        extra=extra,
    )


def _failure(record: FailureRecord) -> Failure:
    """Return the failure; its fingerprint is the runner's to give, so that all have one rule."""
    return Failure(
        exception=record.exception,
        message=record.message,
        frame=record.frame,
        causes=record.causes,
        fingerprint="",
    )
