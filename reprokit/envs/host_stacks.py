"""Stack points on an existing interpreter: what it lacks, what differs, what does not fit."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.claim.model import Claim
from reprokit.envs.checkout_content import few
from reprokit.envs.host_probe import HostFindings, host_key, probe_host
from reprokit.envs.host_requirements import applies, fits, read_requirement, version_of
from reprokit.envs.overlay import BuiltOverlay, Overlays
from reprokit.envs.probe import ProbeError
from reprokit.envs.steps import StepError, StepFailure
from reprokit.errors import ReprokitError
from reprokit.plan import Plan
from reprokit.progress import Event, Observer
from reprokit.stack import PYTHON_AXIS, Probe, StackPoint, digest

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
        overlay: what is put before the interpreter's own packages; None for nothing.
    """

    key: str
    python: Path
    probe: Probe
    undeclared: str | None
    unmet: tuple[str, ...]
    notes: tuple[str, ...]
    overlay: BuiltOverlay | None = None


class HostStacks:
    """Finds every point of a plan on one existing interpreter, which is probed once.

    Package axes with other values than the interpreter's own versions get an overlay. A point whose
    overlay cannot be had fails, instead of being measured as something that it is not.

    Args:
        plan, claim: name the points and what they need.
        python: the interpreter.
        overlays: makes overlays.
        observer: told what happens.
        saved: point id to the text of an overlay's lock that is used to the letter.
        dispensable: distributions that may be missing, and why.
    """

    def __init__(
        self,
        plan: Plan,
        claim: Claim,
        python: Path,
        overlays: Overlays,
        observer: Observer,
        *,
        saved: Mapping[str, str] | None = None,
        dispensable: Mapping[str, str] | None = None,
    ) -> None:
        self._dispensable = dispensable or {}
        self._plan = plan
        self._claim = claim
        self._python = python
        self._overlays = overlays
        self._observer = observer
        self._saved = saved or {}

    def make(
        self, without_source: Collection[str]
    ) -> dict[str, HostEnvironment | StepFailure | None]:
        """Judge every point; where there is nothing to run, no overlay is made for it."""
        self._observer(Event("prepare", str(self._python), "probing the existing interpreter"))
        names = {name for point in self._plan.points for name in _names(point)}
        try:
            found = probe_host(self._python, names)
        except ProbeError as error:
            failure = StepFailure.of("probe_failed", error)
            return {point.id: failure for point in self._plan.points}
        return {
            point.id: self._place(point, found, nothing_to_run=point.id in without_source)
            for point in self._plan.points
        }

    def _place(
        self, point: StackPoint, base: HostFindings, *, nothing_to_run: bool
    ) -> HostEnvironment | StepFailure | None:
        failure = _failure(point, base, self._dispensable)
        swept = _other_versions(point, base)
        if failure is not None or not swept:
            return failure or self._judge(point, base, None)
        if nothing_to_run:
            return None
        overlay = self._overlay(point, swept, base)
        return overlay if isinstance(overlay, StepFailure) else self._judge(point, base, overlay)

    def _overlay(
        self, point: StackPoint, swept: tuple[str, ...], base: HostFindings
    ) -> BuiltOverlay | StepFailure:
        try:
            saved = self._saved.get(point.id)
            return self._overlays.ensure(swept, base, point.id, saved=saved)
        except StepError as error:
            return StepFailure.of(error.code, error)
        except ReprokitError as error:  # no uv, a damaged configuration: others need neither
            code = "probe_failed" if isinstance(error, ProbeError) else "overlay_failed"
            return StepFailure.of(code, error)
        except OSError as error:
            return StepFailure.of_system("overlay_failed", error)

    def _judge(
        self, point: StackPoint, base: HostFindings, overlay: BuiltOverlay | None
    ) -> HostEnvironment | StepFailure:
        found = overlay.findings if overlay is not None else base
        failure = _inconsistent(found)
        if failure is not None:
            return failure
        unmet = tuple(_unmet(point, found, self._dispensable))
        lock = self._claim.stack.lock
        aside = (f"the claim's lock {lock} is not used on an existing interpreter",) if lock else ()
        return HostEnvironment(
            key=_key(base, overlay),
            python=Path(found.probe.executable),
            probe=found.probe,
            undeclared="; ".join(_conflicts(_names(point), found)) or None,
            unmet=unmet,
            notes=(*(overlay.notes if overlay else ()), *unmet, *aside, *_doubts(found)),
            overlay=overlay,
        )


def _key(base: HostFindings, overlay: BuiltOverlay | None) -> str:
    """Name what a point is measured on: the interpreter, and the lock of what is put before it.

    An overlay that is installed anew has other files of its installer's, and is the same one.
    """
    own = host_key(base.probe)
    if overlay is None:
        return own
    return f"overlaid-{digest([own, overlay.key])[: len(overlay.key)]}"


def _other_versions(point: StackPoint, base: HostFindings) -> tuple[str, ...]:
    """Name the swept packages that the interpreter has not, or not in that version."""
    lines = [Requirement(text) for text in point.overrides]
    return tuple(str(line) for line in lines if not fits(line, version_of(line.name, base)))


def _failure(
    point: StackPoint, found: HostFindings, dispensable: Mapping[str, str]
) -> StepFailure | None:
    """Say why a point cannot be measured on this interpreter at all."""
    version = found.probe.python
    if PYTHON_AXIS in point.axes and not _is_python(point.python, version):
        return StepFailure(
            "other_python",
            f"the axis asks for Python {point.python}, and the interpreter is {version}. "
            f"{_ELSEWHERE}",
        )
    missing = [
        line
        for line in _wanted(point, found)
        if version_of(line.name, found) is None and canonicalize_name(line.name) not in dispensable
    ]
    return StepFailure("requirements_missing", _missing(missing, found)) if missing else None


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


def _unmet(point: StackPoint, found: HostFindings, dispensable: Mapping[str, str]) -> Iterator[str]:
    """Say what is asked for in another version than the interpreter has."""
    if point.python is not None and not _is_python(point.python, found.probe.python):
        yield f"Python {point.python} is asked for and the interpreter is {found.probe.python}"
    for line in _wanted(point, found):
        version = version_of(line.name, found)
        if version is None:
            yield f"{line} is not there: {dispensable.get(canonicalize_name(line.name), 'missing')}"
        elif not fits(line, version):
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
        for line in filter(None, map(read_requirement, each.requires)):
            if not applies(line, found):
                continue
            waiting.append(line.name)
            version = version_of(line.name, found)
            if not fits(line, version):
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
    lines = map(read_requirement, (*point.requirements, *point.overrides))
    return tuple(dict.fromkeys(line.name for line in lines if line is not None))


def _wanted(point: StackPoint, found: HostFindings) -> list[Requirement]:
    """Read the point's requirements, without those whose marker is about another machine.

    What a swept axis sets is judged by the axis.
    """
    swept = {canonicalize_name(Requirement(line).name) for line in point.overrides}
    lines = filter(None, map(read_requirement, point.requirements))
    return [
        line for line in lines if applies(line, found) and canonicalize_name(line.name) not in swept
    ]


def _is_python(request: str | None, version: str) -> bool:
    """Tell whether a Python is the one asked for: "3.11" means any 3.11."""
    if request is None:
        return True
    if _PLAIN_VERSION.fullmatch(request):
        return f"{version}.".startswith(f"{request}.")
    return SpecifierSet(request).contains(version, prereleases=True)
