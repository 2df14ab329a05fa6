"""The six-part identity of a measurement, asked beside measured, and facts of its environment.

TR147: a benchmark number is a statement about a GPU, a Triton, a PyTorch, a cache, a compile mode
and a code SHA. The versions come from inside the environment, never from the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion
from pydantic import JsonValue

from reprokit.plan import Plan
from reprokit.records import Arm, CompileDecision, Row, RowStatus
from reprokit.stack import Probe, ReadyPoint, StackPoint
from reprokit.verdict.records import Asked, Match, PointEnvironment
from reprokit.verdict.regime import measured_device
from reprokit.verdict.units import Unit

_PROOF_WORDS = {
    CompileDecision.NOT_ASKED: "not compiled, as asked",
    CompileDecision.COMPILED: "compiled",
    CompileDecision.PARTLY: "partly compiled",
    CompileDecision.FELL_BACK: "fell back to eager",
    CompileDecision.UNKNOWN: "not shown",
}
_SHOWN = ("torch", "triton", "transformers")


def identity_of(
    plan: Plan, unit: Unit, ready: ReadyPoint | None, regime: Sequence[Asked]
) -> tuple[Asked, ...]:
    """Put the six parts together: GPU, Triton, PyTorch, cache, compile mode, code."""
    probe = ready.probe if ready else None
    return (
        _gpu(
            regime, probe, measured_device(unit, probe.device if probe else {}, plan.setup.device)
        ),
        _package("triton", unit.point, probe),
        _package("torch", unit.point, probe),
        _setting("cache", plan, unit),
        _compile_mode(plan, unit),
        _code(unit.point, ready),
    )


def environment_of(point: StackPoint, ready: ReadyPoint | None) -> PointEnvironment:
    """Copy what `prepare` measured; nothing where the point never got that far."""
    if ready is None:
        return PointEnvironment(
            point=point.id, failed="not_prepared", failed_detail="the point was never prepared"
        )
    probe = ready.probe
    return PointEnvironment(
        point=point.id,
        failed=ready.failed,
        failed_detail=ready.failed_detail,
        identity=ready.identity,
        commit=ready.commit,
        tree=ready.tree,
        declared=ready.declared,
        resolver_says=ready.resolver_says,
        locked=ready.locked,
        relocked=ready.relocked,
        lock_sha256=ready.lock_sha256,
        python=probe.python if probe else ready.python,
        versions={name: probe.version(name) for name in _shown(point)} if probe else {},
        altered=probe.altered if probe else (),
        device=_device_name(probe),
        notes=ready.notes,
    )


def _shown(point: StackPoint) -> tuple[str, ...]:
    """Packages worth showing: the three of TR147, and whatever the point overrides."""
    named = [line.split("==")[0].strip() for line in point.overrides]
    return tuple(dict.fromkeys((*_SHOWN, *named)))


def _gpu(regime: Sequence[Asked], probe: Probe | None, on: str | None) -> Asked:
    """Name the device that was computed on: the environment's, unless the rows say a CPU."""
    device = probe.device if probe else {}
    measured = _device_name(probe) if on else None
    if on == "cpu" and device.get("type") != "cpu":
        measured = "CPU"
    parts = {part.name: part for part in regime if part.name in {"device", "gpu"}}
    if not parts:
        return _part("gpu", None, measured)
    asked = parts["gpu"].asked if "gpu" in parts else parts["device"].asked
    statuses = {part.status for part in parts.values()}
    worst: Match = "match"
    if statuses != {"match"}:
        worst = "differs" if "differs" in statuses else "unknown"
    return _part("gpu", asked, measured, status=worst)


def _package(name: str, point: StackPoint, probe: Probe | None) -> Asked:
    line = _requirement(name, point)
    if probe is None:
        return _part(name, line, None)
    version = probe.version(name)
    if version is None:
        return _part(name, line, "not installed", status="differs" if line else "not_stated")
    if line is None:
        return _part(name, None, version)
    try:
        fits = Requirement(line).specifier.contains(version, prereleases=True)
    except (InvalidRequirement, InvalidVersion):
        return _part(name, line, version, status="unknown")
    return _part(name, line, version, status="match" if fits else "differs")


def _requirement(name: str, point: StackPoint) -> str | None:
    """Find the line that asks for a package; an override wins."""
    for line in (*point.overrides, *point.requirements):
        if re.match(rf"{re.escape(name)}\s*($|[\[<>=!~;@ ])", line, re.IGNORECASE):
            return line
    return None


def _setting(name: str, plan: Plan, unit: Unit) -> Asked:
    """A cell axis or adapter option, beside what the benchmark said it used."""
    asked = _values(stratum.cell.axes.get(name) for stratum in unit.strata)
    asked = asked or _values([_scalar(plan.setup.options, name)])
    used = _values(row.evidence.extra.get(name) for row in unit.rows(Arm.SUBJECT) if _is_ok(row))
    return _part(name, asked, used, status=_equal(asked, used))


def _compile_mode(plan: Plan, unit: Unit) -> Asked:
    asked = _values(stratum.cell.axes.get("compile_mode") for stratum in unit.strata)
    asked = asked or plan.setup.arms.get(Arm.SUBJECT)
    proofs = {
        row.evidence.compile.decision
        for row in unit.rows(Arm.SUBJECT)
        if row.evidence.compile is not None
    }
    if not proofs:
        return _part("compile mode", asked, None)
    words = ", ".join(sorted(_PROOF_WORDS[proof] for proof in proofs))
    status: Match = "unknown"
    if proofs <= {CompileDecision.COMPILED, CompileDecision.NOT_ASKED}:
        status = "match"
    elif CompileDecision.FELL_BACK in proofs or CompileDecision.PARTLY in proofs:
        status = "differs"
    return _part("compile mode", asked, words, status=status)


def _code(point: StackPoint, ready: ReadyPoint | None) -> Asked:
    if point.commit is None:
        return _part("code", "built in", "built in", status="match")
    measured = ready.commit if ready else None
    return _part("code", point.commit, measured, status=_equal(point.commit, measured))


def _part(
    name: str, asked: str | None, measured: str | None, *, status: Match | None = None
) -> Asked:
    if status is None:
        status = "unknown" if measured is None else "not_stated"
    return Asked(name=name, asked=asked, measured=measured, status=status)


def _equal(asked: str | None, measured: str | None) -> Match:
    if measured is None:
        return "not_stated" if asked is None else "unknown"
    if asked is None:
        return "not_stated"
    return "match" if asked == measured else "differs"


def _values(values: Iterable[object]) -> str | None:
    found = sorted({str(value) for value in values if value is not None})
    return ", ".join(found) or None


def _scalar(options: Mapping[str, JsonValue], name: str) -> JsonValue:
    value = options.get(name)
    return value if isinstance(value, str | int | float) else None


def _is_ok(row: Row) -> bool:
    return row.status is RowStatus.OK


def _device_name(probe: Probe | None) -> str | None:
    if probe is None:
        return None
    for key in ("name", "type"):
        value = probe.device.get(key)
        if isinstance(value, str) and value:
            return value
    return None
