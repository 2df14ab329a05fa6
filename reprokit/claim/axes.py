"""The axes that a claim may sweep: what each kind of axis takes as a value.

Used for the values in a claim file and for those on the command line alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from enum import StrEnum

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.adapter import Adapter, ChecksCells
from reprokit.claim.model import Claim, Protocol
from reprokit.claim.problems import Complaint, suggestion
from reprokit.claim.requirement import is_distribution_name, python_complaint, version_complaint
from reprokit.claim.sha import sha_complaint
from reprokit.records import Scalar
from reprokit.stack import CELL_AXES, PYTHON_AXIS, SHA_AXIS

_NOT_AXES = {
    "arm": "Both arms are always measured; set them with adapter.baseline and adapter.subject.",
    "device": "A run has one device: set regime.device or --device.",
    "gpu": "A run has one machine: run there, and merge the bundles.",
    **{name: f"Set protocol.{name} (--set protocol.{name}=N)." for name in Protocol.model_fields},
}
_CLAIM_KEYS = frozenset(field.alias or name for name, field in Claim.model_fields.items())
_MISSPELLED = 0.85
"""Similarity from which on one name is taken for another one, mistyped."""


class AxisKind(StrEnum):
    """What varying an axis means."""

    SHA = "sha"
    PYTHON = "python"
    PACKAGE = "package"
    CELL = "cell"


def axis_kind(name: str, adapter: Adapter) -> AxisKind:
    """Tell what an axis varies: the commit, Python, a package, or something in the benchmark."""
    if name == SHA_AXIS:
        return AxisKind.SHA
    if name == PYTHON_AXIS:
        return AxisKind.PYTHON
    if name in CELL_AXES or name in adapter.cell_axes():
        return AxisKind.CELL
    return AxisKind.PACKAGE


def same_axis(first: str, second: str) -> bool:
    """Tell whether two names mean one axis (flash_attn and flash-attn are one package)."""
    return canonicalize_name(first) == canonicalize_name(second)


def axis_complaint(name: str, adapter: Adapter, packages: Collection[str]) -> Complaint | None:
    """Say why there is no such axis, or nothing if there may be.

    Args:
        name: of the axis.
        adapter: of the claim.
        packages: those that the claim requires or is known to sweep. Any other package may be
            swept too, unless its name looks like a mistake.
    """
    if name in _NOT_AXES and name not in adapter.cell_axes():
        return Complaint(f"{name!r} is not an axis", _NOT_AXES[name])
    kind = axis_kind(name, adapter)
    if kind is AxisKind.CELL and name not in adapter.cell_axes():
        known = tuple(adapter.cell_axes())
        return Complaint(
            f"the adapter {adapter.name!r} has no axis {name!r}",
            suggestion(name, known, label="It has") or "It has no cell axes.",
        )
    if kind is AxisKind.PACKAGE and not is_distribution_name(name):
        return Complaint(f"{name!r} is neither an axis nor the name of a package")
    if kind is AxisKind.PACKAGE and not any(same_axis(name, package) for package in packages):
        return _stranger_complaint(name, (SHA_AXIS, PYTHON_AXIS, *adapter.cell_axes()), packages)
    return None


def _stranger_complaint(
    name: str, axes: Iterable[str], packages: Iterable[str]
) -> Complaint | None:
    """Say why the name of a package that the claim does not require is probably none."""
    top, _, below = name.partition(".")
    if top in _CLAIM_KEYS:
        hint = f"Set it in the claim, or with --set {name}=VALUE."
        return Complaint(f"{name!r} is a field of the claim, not an axis", hint if below else "")
    # A number makes another package (cu11, cu12; flash-attn-3), but no other axis (python3).
    others = (package for package in packages if _letters(name) != _letters(package))
    meant = next((known for known in (*axes, *others) if _is_misspelled(name, known)), None)
    if meant is None:
        return None
    return Complaint(
        f"{name!r} is neither an axis nor a package that the claim requires",
        f"Did you mean {meant!r}? A package that is really called {name!r} has to be named in "
        "stack.requirements.",
    )


def _is_misspelled(name: str, meant: str) -> bool:
    one, other = canonicalize_name(name), canonicalize_name(meant)
    swapped = sorted(one) == sorted(other)
    return swapped or SequenceMatcher(None, one, other).ratio() >= _MISSPELLED


def _letters(name: str) -> str:
    return "".join(mark for mark in name.lower() if mark.isalpha())


def value_complaint(axis: str, value: Scalar, adapter: Adapter) -> Complaint | None:
    """Say why an axis cannot take this value, or nothing if it can; the axis itself is sound."""
    kind = axis_kind(axis, adapter)
    if kind is AxisKind.CELL:
        return _cell_value_complaint(axis, value, adapter)
    if not isinstance(value, str):
        return Complaint(f"{axis}: expected text, found {_kind_of(value)}", quote=True)
    check = {
        AxisKind.SHA: sha_complaint,
        AxisKind.PYTHON: python_complaint,
        AxisKind.PACKAGE: version_complaint,
    }[kind]
    return check(value)


def same_value(kind: AxisKind, first: Scalar, second: Scalar) -> bool:
    """Tell whether two values of an axis mean the same (versions 3.6 and 3.6.0 do)."""
    if kind is AxisKind.PACKAGE:
        try:
            return Version(str(first)) == Version(str(second))
        except InvalidVersion:
            pass
    return first == second


def _kind_of(value: Scalar) -> str:
    return "a truth value" if isinstance(value, bool) else "a number"


def _cell_value_complaint(axis: str, value: Scalar, adapter: Adapter) -> Complaint | None:
    legal = adapter.cell_axes().get(axis)
    if legal is None:
        fault = adapter.cell_fault(axis, value) if isinstance(adapter, ChecksCells) else None
        return None if fault is None else Complaint(fault)
    if any(type(value) is type(known) and value == known for known in legal):
        return None
    for known in legal:
        if str(known) == str(value):
            kind = "a number" if isinstance(known, int | float) else "text"
            return Complaint(f"{axis}: {value!r} must be {kind} here", f"Write {known!r}.")
    return Complaint(
        f"{axis}: the adapter {adapter.name!r} does not know {value!r}",
        suggestion(str(value), [str(known) for known in legal]),
    )
