"""The axes of a sweep with their values: from the claim, or from the command line."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reprokit.adapter import Adapter
from reprokit.claim.axes import (
    AxisKind,
    axis_complaint,
    axis_kind,
    same_axis,
    same_value,
    value_complaint,
)
from reprokit.claim.load import LoadedClaim
from reprokit.claim.model import BuiltinSource, Claim, GitSource
from reprokit.claim.problems import Complaint, nearest
from reprokit.claim.requirement import required_names
from reprokit.claim.scalars import read_scalar
from reprokit.errors import PlanError
from reprokit.records import Scalar
from reprokit.stack import PYTHON_AXIS, SHA_AXIS
from reprokit.sweep.request import AxisRequest, read_sweeps

MOST_VALUES = 500
_SHORT_SHA = 10


@dataclass(frozen=True)
class SweptAxis:
    """One axis of a plan.

    Attributes:
        values: label to value, in the order of the sweep; never empty.
        own: the label of the claim's own value; None where the claim sets none, or none of these.
    """

    name: str
    kind: AxisKind
    values: dict[Scalar, Scalar]
    own: Scalar | None

    @property
    def base(self) -> Scalar:
        """Label that single departures are made from: the claim's own, or else the first."""
        return next(iter(self.values)) if self.own is None else self.own


def resolve_axes(texts: tuple[str, ...], loaded: LoadedClaim) -> tuple[SweptAxis, ...]:
    """Find the axes that `--sweep` texts name, each with its values and its base.

    Raises:
        PlanError: a text cannot be read, there is no such axis or value, or nothing gives values.
    """
    claim, adapter = loaded.claim, loaded.adapter
    known = known_axes(claim, adapter)
    requests = read_sweeps(texts, known)
    return tuple(_resolve(_canonical(request, known), claim, adapter) for request in requests)


def known_axes(claim: Claim, adapter: Adapter) -> tuple[str, ...]:
    """Name the axes that a claim gives values for, then all others that have a fixed name."""
    named = (*claim.sweep, *claim.cells, SHA_AXIS, PYTHON_AXIS, *adapter.cell_axes())
    return tuple(dict.fromkeys(named))


def claim_values(axis: str, claim: Claim, adapter: Adapter) -> dict[Scalar, Scalar]:
    """Map the labels of an axis to its values, as the claim gives them; empty if it does not.

    Values of cell axes are their own labels.
    """
    if axis not in claim.sweep:
        return {value: value for value in claim.cells.get(axis, ())}
    if axis_kind(axis, adapter) is AxisKind.CELL:
        return {value: value for value in claim.sweep[axis].values()}
    return dict(claim.sweep[axis].items())


def base_label(
    axis: str, kind: AxisKind, values: dict[Scalar, Scalar], claim: Claim
) -> Scalar | None:
    """Find the label of the claim's own value of an axis, None where it is not among them."""
    own = own_value(axis, kind, claim)
    if own is None:
        return None
    return next((label for label, value in values.items() if same_value(kind, value, own)), None)


def own_value(axis: str, kind: AxisKind, claim: Claim) -> Scalar | None:
    """Return what the claim itself sets an axis to when it is not swept, None if nothing."""
    if kind is AxisKind.SHA:
        return claim.source.commit if isinstance(claim.source, GitSource) else None
    if kind is AxisKind.PYTHON:
        return claim.stack.python
    if kind is AxisKind.CELL:
        return claim.cells[axis][0] if axis in claim.cells else None
    return _pinned(axis, claim.stack.requirements)


def _pinned(package: str, requirements: tuple[str, ...]) -> str | None:
    for line in requirements:
        requirement = Requirement(line.strip())
        if canonicalize_name(requirement.name) == canonicalize_name(package):
            exact = [part for part in requirement.specifier if part.operator == "=="]
            if exact and "*" not in exact[0].version:
                return exact[0].version
    return None


def _canonical(request: AxisRequest, known: tuple[str, ...]) -> AxisRequest:
    name = next((axis for axis in known if same_axis(axis, request.name)), request.name)
    return AxisRequest(name, request.values)


def _resolve(request: AxisRequest, claim: Claim, adapter: Adapter) -> SweptAxis:
    axis = request.name
    packages = (*required_names(claim.stack.requirements), *claim.sweep)
    if complaint := axis_complaint(axis, adapter, packages):
        raise _error(complaint)
    kind = axis_kind(axis, adapter)
    if kind is AxisKind.SHA and isinstance(claim.source, BuiltinSource):
        raise PlanError(
            "the benchmark of this claim is built in; there are no commits to sweep",
            hint="Sweep a package, for example --sweep torch=2.12.0,2.13.0.",
        )
    given = claim_values(axis, claim, adapter)
    if request.values is None:
        if not given:
            raise _no_values(axis, claim, adapter)
        values = given
    else:
        values = _read_values(axis, kind, request.values, given, adapter)
    return SweptAxis(axis, kind, values, own=base_label(axis, kind, values, claim))


def _read_values(
    axis: str,
    kind: AxisKind,
    texts: tuple[str, ...],
    given: dict[Scalar, Scalar],
    adapter: Adapter,
) -> dict[Scalar, Scalar]:
    if len(texts) > MOST_VALUES:
        raise PlanError(
            f"--sweep {axis}: {len(texts):,} values are more than {MOST_VALUES:,}",
            hint="Sweep in parts.",
        )
    values: dict[Scalar, Scalar] = {}
    for text in texts:
        label, value = _read_value(axis, kind, text, given, adapter)
        for other, known in values.items():
            if same_value(kind, value, known):
                raise PlanError(
                    f"--sweep {axis}: {text!r} is the same value as {other!r}",
                    hint="Name every value once.",
                )
        values[label if label not in values else value] = value
    return values


def _read_value(
    axis: str, kind: AxisKind, text: str, given: dict[Scalar, Scalar], adapter: Adapter
) -> tuple[Scalar, Scalar]:
    """Read one value as typed: a label of the claim, or a value of its own."""
    for label, value in given.items():
        if text == str(label):
            return label, value
    value = _scalar(axis, text) if kind is AxisKind.CELL else text
    if kind is AxisKind.SHA:
        value = text.lower()
    if complaint := value_complaint(axis, value, adapter):
        labels = ", ".join(str(label) for label in given)
        hint = f"{complaint.hint} Labels in the claim: {labels}." if labels else complaint.hint
        raise PlanError(f"--sweep {axis}: {complaint.message}", hint=hint.strip())
    for label, known in given.items():
        if same_value(kind, value, known):
            return label, value if kind is AxisKind.CELL else known
    return (str(value)[:_SHORT_SHA] if kind is AxisKind.SHA else value), value


def _scalar(axis: str, text: str) -> Scalar:
    try:
        value = read_scalar(text)
    except ValueError as error:
        raise PlanError(f"--sweep {axis}: {error}") from None
    return text if value is None else value


def _no_values(axis: str, claim: Claim, adapter: Adapter) -> PlanError:
    names = tuple(dict.fromkeys((*claim.sweep, *claim.cells)))
    labels = {name: map(str, claim_values(name, claim, adapter)) for name in names}
    axes = "; ".join(f"{name} ({', '.join(labels[name])})" for name in names)
    near = nearest(axis, names)
    hints = (
        f"Did you mean {near!r}? " if near else "",
        f"Axes of the claim: {axes}. " if axes else "The claim gives values for no axis. ",
        f"Give values on the command line: --sweep {axis}=VALUE,VALUE.",
    )
    what = f"claim {claim.id}: there are no values for the axis {axis!r}"
    return PlanError(what, hint="".join(hints))


def _error(complaint: Complaint) -> PlanError:
    return PlanError(f"--sweep: {complaint.message}", hint=complaint.hint)
