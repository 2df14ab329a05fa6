"""Stack points on an existing interpreter: what it lacks, what differs, what does not fit."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.claim.model import Claim
from reprokit.envs.checkout_content import few
from reprokit.envs.host_probe import HostFindings, host_key, probe_host
from reprokit.envs.probe import ProbeError
from reprokit.envs.steps import StepFailure
from reprokit.plan import Plan
from reprokit.progress import Event, Observer
from reprokit.stack import PYTHON_AXIS, Probe, StackPoint

_PLAIN_VERSION = re.compile(r"\d+(\.\d+){0,2}")
_ELSEWHERE = "Name an interpreter that has it (--stack host:PYTHON), or use locked stacks."


@dataclass(frozen=True)
class HostEnvironment:
    """An existing interpreter that was just probed, as one stack point finds it.

    Attributes:
        key: see `host_key`.
        undeclared: what the packages themselves say against the combination; None if nothing.
        unmet: what the claim asks for in another version, one sentence each.
        notes: sentences that the report must not hide; `unmet` is among them.
    """

    key: str
    python: Path
    probe: Probe
    undeclared: str | None
    unmet: tuple[str, ...]
    notes: tuple[str, ...]


class HostStacks:
    """Finds every point of a plan on one existing interpreter, which is probed once.

    Package axes other than the interpreter's own versions need an overlay; none is made yet, and
    such a point fails instead of being measured as something that it is not.
    """

    def __init__(self, plan: Plan, claim: Claim, python: Path, observer: Observer) -> None:
        self._plan = plan
        self._claim = claim
        self._python = python
        self._observer = observer

    def make(
        self,
        without_source: Collection[str],  # noqa: ARG002 - both kinds of stacks are made alike
    ) -> dict[str, HostEnvironment | StepFailure]:
        """Judge every point, also those that have nothing to run there: it costs nothing more."""
        self._observer(Event("prepare", str(self._python), "probing the existing interpreter"))
        names = {name for point in self._plan.points for name in _names(point)}
        try:
            found = probe_host(self._python, names)
        except ProbeError as error:
            failure = StepFailure.of("probe_failed", error)
            return {point.id: failure for point in self._plan.points}
        return {point.id: self._judge(point, found) for point in self._plan.points}

    def _judge(self, point: StackPoint, found: HostFindings) -> HostEnvironment | StepFailure:
        failure = _failure(point, found)
        if failure is not None:
            return failure
        unmet = tuple(_unmet(point, found))
        lock = self._claim.stack.lock
        aside = (f"the claim's lock {lock} is not used on an existing interpreter",) if lock else ()
        return HostEnvironment(
            key=host_key(found.probe),
            python=Path(found.probe.executable),
            probe=found.probe,
            undeclared="; ".join(_conflicts(_names(point), found)) or None,
            unmet=unmet,
            notes=(*unmet, *aside, *_doubts(found)),
        )


def _failure(point: StackPoint, found: HostFindings) -> StepFailure | None:
    """Say why a point cannot be measured on this interpreter at all."""
    version = found.probe.python
    if PYTHON_AXIS in point.axes and not _is_python(point.python, version):
        return StepFailure(
            "other_python",
            f"the axis asks for Python {point.python}, and the interpreter is {version}. "
            f"{_ELSEWHERE}",
        )
    missing = [line for line in _wanted(point, found) if _version(line.name, found) is None]
    swept = [Requirement(text) for text in point.overrides]
    if missing:
        missing += [line for line in swept if _version(line.name, found) is None]
        return StepFailure("requirements_missing", _missing(missing, found))
    for line in swept:
        if not _fits(line, _version(line.name, found)):
            return StepFailure(
                "overlay_needed",
                f"the axis asks for {line}, and the interpreter has "
                f"{_version(line.name, found) or 'none'}; on an existing interpreter only its own "
                f"versions are measured. {_ELSEWHERE}",
            )
    return _inconsistent(found)


def _missing(missing: list[Requirement], found: HostFindings) -> str:
    names = ", ".join(str(line) for line in missing)
    told = f"the interpreter {found.probe.executable} lacks what the claim asks for: {names}"
    own = [line.name for line in missing if canonicalize_name(line.name) in found.user_site]
    if own:
        told += f". {few(own)}: only in the user's own folder, which no benchmark is given"
    if os.environ.get("PYTHONPATH"):
        told += ". PYTHONPATH is set, and is not handed on to benchmarks"
    return f"{told}. Install it there, or name another interpreter with --stack host:PYTHON"


def _inconsistent(found: HostFindings) -> StepFailure | None:
    """Refuse an interpreter whose metadata names another version than the module it imports."""
    for name, facts in (("torch", found.probe.torch), ("triton", found.probe.triton)):
        said, module = (facts or {}).get("distribution"), (facts or {}).get("version")
        if isinstance(said, str) and isinstance(module, str) and not _same(said, module):
            return StepFailure(
                "inconsistent",
                f"{name} is {said} by its metadata, and {module} by the module that an import "
                f"loads ({(facts or {}).get('file')}). Repair that installation",
            )
    return None


def _same(first: str, second: str) -> bool:
    """Compare versions; torch's own metadata often lacks the local part ("+cu128")."""
    try:
        return Version(first).public == Version(second).public
    except InvalidVersion:
        return first == second


def _unmet(point: StackPoint, found: HostFindings) -> Iterator[str]:
    """Say what is asked for in another version than the interpreter has."""
    if point.python is not None and not _is_python(point.python, found.probe.python):
        yield f"Python {point.python} is asked for and the interpreter is {found.probe.python}"
    for line in _wanted(point, found):
        version = _version(line.name, found)
        if not _fits(line, version):
            yield f"{line} is asked for and the interpreter has {version}"


def _conflicts(names: tuple[str, ...], found: HostFindings) -> Iterator[str]:
    """Say what the packages that a point needs declare, and this interpreter does not have."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen or name not in found.installed:
            continue
        seen.add(name)
        each = found.installed[name]
        for line in filter(None, map(_requirement, each.requires)):
            if not _applies(line, found):
                continue
            waiting.append(line.name)
            version = _version(line.name, found)
            if not _fits(line, version):
                has = f"has {version}" if version else "has none"
                yield f"{name} {each.version} requires {line}, and the interpreter {has}"


def _doubts(found: HostFindings) -> Iterator[str]:
    """Say what could not be verified; an interpreter of somebody else's is never just "ok"."""
    facts = {
        "without a RECORD that says what their files should be": found.unverified("no_record"),
        "editable installs, whose files anybody may change": found.unverified("editable"),
        "files that a RECORD names and that are gone": found.missing(),
        "files that no RECORD names, in packages that are needed": found.probe.unrecorded,
    }
    for what, names in facts.items():
        if names:
            yield f"not verified, {len(names)} {what}: {few(names)}"


def _names(point: StackPoint) -> tuple[str, ...]:
    lines = map(_requirement, (*point.requirements, *point.overrides))
    return tuple(dict.fromkeys(line.name for line in lines if line is not None))


def _wanted(point: StackPoint, found: HostFindings) -> list[Requirement]:
    """Read the point's requirements, without those whose marker is about another machine.

    What a swept axis sets is judged by the axis.
    """
    swept = {canonicalize_name(Requirement(line).name) for line in point.overrides}
    lines = filter(None, map(_requirement, point.requirements))
    return [
        line
        for line in lines
        if _applies(line, found) and canonicalize_name(line.name) not in swept
    ]


def _requirement(text: str) -> Requirement | None:
    """Read a PEP 508 line; old metadata holds lines that are none."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _applies(line: Requirement, found: HostFindings) -> bool:
    return line.marker is None or line.marker.evaluate({**found.markers, "extra": ""})


def _version(name: str, found: HostFindings) -> str | None:
    each = found.installed.get(canonicalize_name(name))
    return each.version if each is not None else found.probe.version(name)


def _fits(line: Requirement, version: str | None) -> bool:
    """Tell whether a version is what is asked for; one that cannot be read is not."""
    try:
        return version is not None and line.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _is_python(request: str | None, version: str) -> bool:
    """Tell whether a Python is the one asked for: "3.11" means any 3.11."""
    if request is None:
        return True
    if _PLAIN_VERSION.fullmatch(request):
        return f"{version}.".startswith(f"{request}.")
    return SpecifierSet(request).contains(version, prereleases=True)
