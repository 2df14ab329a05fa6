"""A plan in words, for `--dry-run`: what would be built, run and downloaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reprokit.claim.model import Claim, GitSource
from reprokit.plan import Plan
from reprokit.records import Arm, Scalar
from reprokit.stack import COMPILE_MODE_AXIS, StackPoint
from reprokit.verdict.units import arms_of
from reprokit.verdict.wording import count


def plan_lines(
    claim: Claim, plan: Plan, *, torch_backend: str | None, relock: bool
) -> Iterator[str]:
    """Yield the lines of a plan."""
    yield f"{claim.id}: {claim.title}"
    for change in plan.altered:
        yield f"  departs from the claim file: {change}"
    yield ""
    yield f"design {plan.design}, order from seed {plan.seed}, on {plan.setup.device}"
    for axis, values in plan.axes.items():
        yield f"  axis {axis}: {_values(plan, axis, values)}"
    yield ""
    yield from _points(plan)
    yield ""
    yield from _work(plan)
    yield ""
    yield from _downloads(claim, plan, torch_backend=torch_backend, relock=relock)
    for note in plan.notes:
        yield f"note: {note}"


def _values(plan: Plan, axis: str, values: tuple[Scalar, ...]) -> str:
    """List the values of an axis; the mark is only for one that the claim itself sets."""
    if axis in plan.base:
        own = plan.base[axis]
        shown = ", ".join(f"{value}*" if value == own else str(value) for value in values)
        return f"{shown}   (* the claim's own)"
    shown = ", ".join(map(str, values))
    if plan.design == "one-at-a-time":
        return f"{shown}   (the claim pins none of them; departures are from the first)"
    return f"{shown}   (the claim pins none of them)"


def _points(plan: Plan) -> Iterator[str]:
    yield f"{count(len(plan.points), 'stack point')}:"
    for point in plan.points:
        yield f"  {point.id}"
        own = "of reprokit" if plan.host is None else "as it is"
        yield f"      source {point.commit or 'built in'}; python {point.python or own}"
        yield f"      {' '.join(point.requirements)}"
    for excluded in plan.excluded:
        axes = ", ".join(f"{axis}={value}" for axis, value in excluded.axes.items())
        yield f"  left out: {axes}: {excluded.reason}"


def _work(plan: Plan) -> Iterator[str]:
    yield f"{count(len(plan.cells), 'cell')}: {', '.join(cell.id for cell in plan.cells)}"
    yield f"arms: {', '.join(f'{arm} = {name}' for arm, name in _arms(plan).items())}"
    per_arm = Counter((i.point, i.cell, i.arm) for i in plan.invocations)
    each = max(per_arm.values(), default=0)
    yield (
        f"{count(len(plan.invocations), 'invocation')} ({each} for every point, cell and arm), "
        f"{count(plan.setup.samples, 'sample')} each: {count(len(plan.row_ids()), 'row')}"
    )
    worst = len(plan.invocations) * plan.timeout_s / 3600
    yield f"at most {worst:.1f} h if every invocation ran into its limit of {plan.timeout_s:g} s"


def _arms(plan: Plan) -> dict[Arm, str]:
    """Name the arms; where cells say what the subject is, no one name is true of them all."""
    modes = {cell.axes.get(COMPILE_MODE_AXIS) for cell in plan.cells}
    if len(modes) < 2:
        return arms_of(plan, plan.cells)
    return {**plan.setup.arms, Arm.SUBJECT: f"{COMPILE_MODE_AXIS} of the cell"}


def _downloads(
    claim: Claim, plan: Plan, *, torch_backend: str | None, relock: bool
) -> Iterator[str]:
    if plan.host is not None:
        yield f"measured on the existing interpreter {plan.host}: no lock, no packages installed"
    yield "prepare would bring to this machine, where it is not there yet:"
    if isinstance(claim.source, GitSource):
        commits = sorted({point.commit for point in plan.points if point.commit})
        yield f"  {claim.source.repo} at {', '.join(commit[:10] for commit in commits)}"
    if plan.host is None:
        environments = {_environment(point) for point in plan.points}
        build = f", PyTorch build {torch_backend}" if torch_backend else ""
        locked = claim.stack.lock is not None and not relock
        how = f"from {claim.stack.lock}" if locked else "resolved by uv"
        yield f"  packages of {count(len(environments), 'environment')}, {how}{build}"
    if plan.setup.model is not None and plan.setup.model.weights == "hub":
        yield f"  weights of {plan.setup.model.id} from the hub"
    elif plan.setup.model is not None:
        yield f"  no weights: {plan.setup.model.id} is built here with random values"


def _environment(point: StackPoint) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    return point.python, tuple(sorted(point.requirements)), tuple(sorted(point.overrides))
