"""Gate 4: cache, compile mode and Triton stand beside every figure, as an axis or as its identity.

TR147, SS10.3: a figure that lists its compile mode and omits its Triton fails. What is stated must
not be contradicted by what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reprokit.gates.findings import Finding, gate_of, place_of
from reprokit.plan import Plan
from reprokit.records import Scalar
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.records import Asked, PointVerdict, Verdict
from reprokit.verdict.wording import series

_POOLED = ("cache", "compile_mode")
_Cells = Mapping[str, Mapping[str, Scalar]]


def judge_surfaced(verdict: Verdict, plan: Plan) -> GateVerdict:
    """Judge the identity that a verdict states beside every figure."""
    cells = {cell.id: cell.axes for cell in plan.cells}
    findings = [
        Finding(finding.state, finding.says, place_of(point))
        for point in verdict.points
        if has_figures(point)
        for finding in _point(verdict, cells, point)
    ]
    if not findings:
        findings = [Finding("open", "there is no figure to state anything of")]
    return gate_of("surfaced_identity", findings)


def has_figures(point: PointVerdict) -> bool:
    """Tell whether anything was measured at a point: a time, or at least a failure."""
    return any(each.attempted for each in point.survival)


def _point(verdict: Verdict, cells: _Cells, point: PointVerdict) -> Iterator[Finding]:
    parts = {part.name: part for part in point.identity}
    yield _cache(point, parts.get("cache"))
    yield _mode(parts.get("compile mode"))
    yield _triton(point, parts.get("triton"))
    for axis in _POOLED:
        yield from _several(verdict, cells, point, axis)


def _cache(point: PointVerdict, part: Asked | None) -> Finding:
    if part is None:
        return Finding("fail", "no cache is stated beside the figure")
    if part.asked is None and part.measured is None:
        return Finding("open", "nothing says which cache was used, or that there is none")
    if part.status == "differs":
        says = f"the cache is stated as {part.asked}, and the benchmark used {part.measured}"
        return Finding("fail", says)
    how = "as an axis" if "cache" in point.axes else "in the identity"
    return Finding("pass", f"the cache is stated {how}{_as_asked(part)}")


def _mode(part: Asked | None) -> Finding:
    """A mode that fell back is stated all the same: that it did is the outcome."""
    if part is None or (part.asked is None and part.measured is None):
        return Finding("fail", "no compile mode is stated beside the figure")
    return Finding("pass", "the compile mode is stated, with what was proved of it")


def _triton(point: PointVerdict, part: Asked | None) -> Finding:
    if part is None or (part.asked is None and part.measured is None):
        return Finding("fail", "no Triton version is stated beside the figure")
    if part.measured is None:
        says = f"Triton is stated as it was asked for ({part.asked}), and was never measured"
        return Finding("open", says)
    if "triton" in point.axes and part.status != "match":
        says = f"the axis says Triton {point.axes['triton']}, and {part.measured} was measured"
        return Finding("fail", says)
    return Finding("pass", f"Triton is stated as measured: {part.measured}")


def _several(verdict: Verdict, cells: _Cells, point: PointVerdict, axis: str) -> Iterator[Finding]:
    """Judge a figure over several caches or modes: each needs its own figures beside it."""
    values = {cells[cell].get(axis) for cell in point.cells if cell in cells}
    if len(values) < 2:
        return
    names = series(sorted(map(str, values)))
    what = axis.replace("_", " ")
    if verdict.metric is None:
        yield Finding("pass", f"the crash rate counts {what} {names} together, as its cells say")
        return
    own = {each.axes.get(axis) for each in point.strata if each.estimates}
    if values <= own:
        says = f"a figure is the mean over {what} {names}, and the figures of each stand beside it"
        yield Finding("pass", says)
    else:
        yield Finding("fail", f"a figure is the mean over {what} {names} and of none of them")


def _as_asked(part: Asked) -> str:
    return "" if part.measured is not None else ", as asked: the benchmark does not tell"
