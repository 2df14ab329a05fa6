"""Gate 1: no number mixes prefill and decode (TR147, SS10.3).

A number that holds both by the benchmark's own definition is no mixture as long as it is named so:
the phase `e2e_kv`, or the label `includes_prefill`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reprokit.gates.findings import Finding, gate_of, place_of
from reprokit.plan import Cell, Plan
from reprokit.records import Arm, Row, RowStatus
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import PointVerdict, Verdict
from reprokit.verdict.wording import series

INCLUDES_PREFILL: Final = "includes_prefill"
PREFILL: Final = "prefill"
WHOLE: Final = "e2e_kv"
"""Phase that is prefill and decode together (TR147, "Metric Definitions")."""

_Key = tuple[str, str, Arm]


@dataclass(frozen=True)
class _Timed:
    """Usable rows of one arm in one cell: whether any includes the prompt, and any does not."""

    included: bool = False
    left_out: bool = False


def judge_phases(verdict: Verdict, plan: Plan, rows: Iterable[Row]) -> GateVerdict:
    """Judge every figure of a verdict by the cells and rows that it is drawn from."""
    phases = {cell.id: _phase(plan, cell) for cell in plan.cells}
    timed = _timed(rows)
    findings = [
        finding
        for point in verdict.points
        for finding in _point(verdict, plan, point, phases, timed)
    ]
    return gate_of("phase_separation", findings)


def _point(
    verdict: Verdict,
    plan: Plan,
    point: PointVerdict,
    phases: Mapping[str, str | None],
    timed: Mapping[_Key, _Timed],
) -> Iterator[Finding]:
    where = place_of(point)
    drawn_from = {*point.cells, *(stratum.cell for stratum in point.strata)}
    unknown = sorted(drawn_from - phases.keys())
    if unknown:
        yield Finding(
            "fail", f"a figure is drawn from {series(unknown)}, no cell of the plan", where
        )
        return
    mixed = list(_mixed(plan, point, sorted(drawn_from), phases))
    if mixed:
        yield from (Finding("fail", says, where) for says in mixed)
        return
    phase = phases[point.cells[0]] if point.cells else None
    seen = [
        timed.get((point.point, cell, arm), _Timed())
        for cell in sorted(drawn_from)
        for arm, cell in ((Arm.SUBJECT, cell), (Arm.BASELINE, plan.baseline_cell(cell)))
    ]
    yield _covered(verdict.metric, phase, seen, where)


def _mixed(
    plan: Plan, point: PointVerdict, cells: Sequence[str], phases: Mapping[str, str | None]
) -> Iterator[str]:
    """Say how the cells of a figure contradict each other."""
    found = {phases[cell] for cell in cells}
    if len(found) > 1:
        names = sorted(name or "one that is not named" for name in found)
        yield f"a figure is drawn from cells of the phases {series(names)}"
    for cell in cells:
        baseline = phases.get(plan.baseline_cell(cell))
        if baseline != phases[cell]:
            yield f"what is named {phases[cell]} is compared with a baseline of {baseline}"
    for stratum in point.strata:
        said = stratum.axes.get("phase", phases[stratum.cell])
        if said != phases[stratum.cell]:
            yield f"a figure is named {said}, and its cell measures {phases[stratum.cell]}"


def _covered(metric: str | None, phase: str | None, seen: Sequence[_Timed], where: str) -> Finding:
    """Say what the timed interval of a figure covers, and whether it is named so."""
    included = any(each.included for each in seen)
    left_out = any(each.left_out for each in seen)
    if included and left_out:
        says = "a figure is drawn from iterations with and without the processing of the prompt"
        return Finding("fail", says, where)
    if phase is None:
        return _without_phase(metric, included, measured=included or left_out, where=where)
    if included and phase not in {PREFILL, WHOLE}:
        says = f"what is named {phase} includes the processing of the prompt"
        return Finding("fail", says, where)
    both = ", that is prefill and decode together, and is named so" if phase == WHOLE else ""
    return Finding("pass", f"every number is of the phase {phase} alone{both}", where)


def _without_phase(metric: str | None, included: bool, *, measured: bool, where: str) -> Finding:
    """Say what is known of a figure whose phase nobody named."""
    if metric is None:
        return Finding("pass", "the figure is a crash rate of whole iterations, and no time", where)
    if not measured:
        return Finding("pass", "no time was measured, so none is printed", where)
    if included:
        says = f"the figure in {metric} includes the processing of the prompt, and is labelled so"
        return Finding("pass", says, where)
    if metric == "ttft_ms":
        return Finding("pass", "the figure in ttft_ms is prefill by definition", where)
    says = f"nothing says whether {metric} is of prefill, of decode or of both"
    return Finding("open", says, where)


def _phase(plan: Plan, cell: Cell) -> str | None:
    """Name the phase that a cell measures: its own axis, or the adapter's option."""
    said = cell.axes.get("phase", plan.setup.options.get("phase"))
    return str(said) if isinstance(said, str | int | float) else None


def _timed(rows: Iterable[Row]) -> dict[_Key, _Timed]:
    found: dict[_Key, set[bool]] = {}
    for row in rows:
        if row.status is RowStatus.OK and not row.cold:
            kinds = found.setdefault((row.point, row.cell, row.arm), set())
            kinds.add(INCLUDES_PREFILL in row.labels)
    return {key: _Timed(True in kinds, False in kinds) for key, kinds in found.items()}
