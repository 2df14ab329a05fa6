"""Stack points and cells from assignments of axes."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from reprokit.claim.axes import AxisKind
from reprokit.claim.model import Claim, GitSource
from reprokit.plan import Cell
from reprokit.records import Scalar
from reprokit.stack import StackPoint, slug
from reprokit.sweep.axes import SweptAxis

Assignment = Mapping[str, Scalar]
"""Axis to label."""


def stack_point(assignment: Assignment, axes: tuple[SweptAxis, ...], claim: Claim) -> StackPoint:
    """Say what a point asks for: the claim's own stack, with the swept values put in.

    A package axis replaces the version in every requirement of that package (extras and markers
    stay), or adds one; it also becomes an override, so that it wins over what others declare.
    """
    source = claim.source
    commit = source.commit if isinstance(source, GitSource) else None
    python = claim.stack.python
    requirements = tuple(line.strip() for line in claim.stack.requirements)
    overrides: list[str] = []
    swept = [axis for axis in axes if axis.name in assignment and axis.kind is not AxisKind.CELL]
    for axis in swept:
        value = str(axis.values[assignment[axis.name]])
        if axis.kind is AxisKind.SHA:
            commit = value
        elif axis.kind is AxisKind.PYTHON:
            python = value
        else:
            requirements = with_version(requirements, axis.name, value)
            overrides.append(f"{canonicalize_name(axis.name)}=={Version(value)}")
    named = {axis.name: assignment[axis.name] for axis in swept}
    return StackPoint(
        id=slug(named, empty="base"),
        axes=named,
        commit=commit,
        python=python,
        requirements=requirements,
        overrides=tuple(overrides),
    )


def cell(assignment: dict[str, Scalar]) -> Cell:
    """Make a cell; its labels are its values."""
    return Cell(id=slug(assignment, empty="all"), axes=assignment)


def with_version(requirements: tuple[str, ...], package: str, version: str) -> tuple[str, ...]:
    """Pin a package in PEP 508 lines, or add it; all other lines stay as they are."""
    wanted = canonicalize_name(package)
    pinned: list[str] = []
    found = False
    for line in requirements:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) != wanted:
            pinned.append(line)
            continue
        found = True
        requirement.specifier = SpecifierSet(f"=={Version(version)}")
        pinned.append(str(requirement))
    if not found:
        pinned.append(f"{wanted}=={Version(version)}")
    return tuple(pinned)


def names_package(requirements: tuple[str, ...], package: str) -> bool:
    """Tell whether any requirement is about this package."""
    wanted = canonicalize_name(package)
    return any(canonicalize_name(Requirement(line).name) == wanted for line in requirements)
