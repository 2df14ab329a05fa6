"""The lines of `stack`: requirements, versions, dates and builds, as uv will be given them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.claim.problems import Complaint, Problem

_PYTHON = re.compile(r"3\.\d{1,2}(\.\d{1,2})?")
_BACKEND = re.compile(r"auto|cpu|xpu|cu\d{2,3}|rocm\d+(\.\d+){0,2}")
_UTC = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")

_ONLY_NAMES = "Name distributions with versions, for example torch==2.7.1."


def is_distribution_name(text: str) -> bool:
    """Tell whether this could be the name of a distribution."""
    return _NAME.fullmatch(text) is not None


def requirement_complaint(text: str) -> Complaint | None:
    """Say why this is not a plain PEP 508 requirement, or nothing if it is."""
    stripped = text.strip()
    if stripped.startswith("-"):
        return Complaint(f"{text!r} is an option, not a requirement", _ONLY_NAMES)
    if "://" in stripped or re.match(r"[^;\[]*@", stripped):
        return Complaint(f"{text!r} names a URL, which a lock cannot be made from", _ONLY_NAMES)
    if stripped.startswith((".", "/", "~")) or "/" in stripped.split(";")[0]:
        return Complaint(f"{text!r} is a path, not a requirement", _ONLY_NAMES)
    if "\n" in text or "#" in text or "$" in text:
        return Complaint(f"{text!r} is more than one requirement", "One requirement in each line.")
    try:
        Requirement(stripped)
    except InvalidRequirement as error:
        first = str(error).splitlines()[0]
        single = re.search(r"[^=<>!~]=[^=]", stripped.split(";")[0])
        hint = "A version is pinned with '=='." if single else _ONLY_NAMES
        return Complaint(f"{text!r} is not a requirement: {first}", hint)
    return None


def required_names(lines: Iterable[str]) -> tuple[str, ...]:
    """Name the packages of PEP 508 lines; lines that are none are passed over."""
    stripped = (line.strip() for line in lines)
    return tuple(Requirement(line).name for line in stripped if not requirement_complaint(line))


def requirement_problems(lines: tuple[str, ...], *path: str) -> Iterator[Problem]:
    """Complain about every line of a list of requirements, and about packages named twice."""
    seen: dict[str, list[tuple[int, str]]] = {}
    for index, line in enumerate(lines):
        if complaint := requirement_complaint(line):
            yield complaint.at(*path, index)
            continue
        requirement = Requirement(line.strip())
        marker = str(requirement.marker or "")
        earlier = seen.setdefault(canonicalize_name(requirement.name), [])
        for other, other_marker in earlier:
            if not marker or not other_marker or marker == other_marker:
                yield Complaint(
                    f"{requirement.name!r} is required twice, first by {lines[other]!r}",
                    "Join them into one line, or tell them apart by markers.",
                ).at(*path, index)
                break
        earlier.append((index, marker))


def version_complaint(text: str) -> Complaint | None:
    """Say why this is not one version of a package (PEP 440), or nothing if it is."""
    try:
        Version(text)
    except InvalidVersion:
        hint = "Write one version, for example 3.6.0."
        bare = re.sub(r"^[=<>!~\s]+", "", text)
        if bare != text:
            hint = f"Write it without the operator: {bare}."
        return Complaint(f"{text!r} is not a version", hint)
    return None


def python_complaint(text: str) -> Complaint | None:
    """Say why this does not ask for a version of Python, or nothing if it does."""
    if _PYTHON.fullmatch(text):
        return None
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier:
        specifiers = SpecifierSet()
    if len(specifiers):
        return None
    return Complaint(
        f"{text!r} is not a version of Python",
        'Write "3.11", "3.11.9" or a range as ">=3.11,<3.13".',
    )


def exclude_newer_complaint(text: str) -> Complaint | None:
    """Say why this is not a date in UTC to the second, or nothing if it is."""
    why = "A date without a time zone would mean another moment on another machine."
    if not _UTC.fullmatch(text):
        day = re.match(r"\d{4}-\d{2}-\d{2}", text)
        example = f"{day.group()}T00:00:00Z" if day else "2025-08-15T00:00:00Z"
        return Complaint(f"{text!r} is not a moment in UTC", f"Write {example}. {why}")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        return Complaint(f"{text!r} is not a moment in UTC: {error}")
    return None


def torch_backend_complaint(text: str) -> Complaint | None:
    """Say why this is not a PyTorch build that uv knows, or nothing if it is."""
    if _BACKEND.fullmatch(text):
        return None
    return Complaint(
        f"{text!r} is not a PyTorch build", "One of auto, cpu, xpu, cu126 and the like, rocm6.3."
    )
