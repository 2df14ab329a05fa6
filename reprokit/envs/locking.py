"""Which lock a stack point gets: a saved one, the committed one, or one resolved now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from reprokit.claim.model import Claim
from reprokit.envs.interpreter import Interpreter, find_interpreter
from reprokit.envs.lock import Lock, LockError, parse_lock
from reprokit.envs.resolve import Request, Resolution, resolve
from reprokit.envs.target import Target
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.errors import ClaimError, EnvironmentBuildError
from reprokit.plan import Plan
from reprokit.stack import StackPoint


@dataclass(frozen=True)
class LockedPoint:
    """The lock of a point and where it comes from.

    Attributes:
        declared, says: see `Resolution`; of a lock that was not resolved now nothing is known yet.
        resolved: True when it was resolved now, False for a saved or a committed lock.
        relocked: True when a committed lock was put aside.
    """

    lock: Lock
    interpreter: Interpreter
    declared: bool = True
    says: str | None = None
    resolved: bool = False
    relocked: bool = False


class PointLocks:
    """Finds the lock of each point; equal requests are resolved once.

    Args:
        uv: the uv of this machine.
        torch: the PyTorch build that is asked for.
        plan: names the points and the base of the sweep.
        claim: names the stack.
        claim_dir: folder of the claim file, from which its lock's path counts.
        relock: put the committed lock aside.
        saved: point id to the text of a lock that is used to the letter.
        targets: point id to the other machine that its environment is for.

    Raises:
        ClaimError: the committed lock is needed, and cannot be read or is no lock.
    """

    def __init__(
        self,
        uv: Uv,
        torch: TorchIndex,
        plan: Plan,
        claim: Claim,
        claim_dir: Path,
        *,
        relock: bool,
        saved: Mapping[str, str],
        targets: Mapping[str, Target] | None = None,
    ) -> None:
        self._uv = uv
        self._torch = torch
        self._plan = plan
        self._claim = claim
        self._saved = saved
        self._targets = targets or {}
        needed = any(point.id not in saved for point in plan.points)
        self._committed = read_committed_lock(claim, claim_dir) if needed and not relock else None
        self._relocked = relock and claim.stack.lock is not None
        self._reference = self._committed
        self._interpreters: dict[str | None, Interpreter] = {}
        self._resolutions: dict[Request, Resolution | EnvironmentBuildError] = {}

    def in_order(self) -> tuple[StackPoint, ...]:
        """Return the points, the sweep's base first: the others keep its versions."""
        return tuple(sorted(self._plan.points, key=lambda point: not self._is_base(point)))

    def lock(self, point: StackPoint) -> LockedPoint:
        """Find the lock of a point.

        A committed lock is used as it is where no axis departs from it. For every other point its
        versions, or those of the base point, are kept wherever they fit, so that only what the
        axis changes is different.

        Raises:
            EnvironmentBuildError: no Python, no solution, or no network to find one.
        """
        interpreter = self._interpreter_of(point)
        saved = self._saved.get(point.id)
        if saved is not None:
            return LockedPoint(_parse_saved(saved, point.id), interpreter)
        if self._committed is not None and not self._departs(point, self._committed):
            _check_satisfied(point, self._committed, interpreter)
            return LockedPoint(self._committed, interpreter)
        found = self._resolve(point, interpreter)
        return LockedPoint(
            found.lock,
            interpreter,
            declared=found.declared,
            says=found.says,
            resolved=True,
            relocked=self._relocked,
        )

    def _is_base(self, point: StackPoint) -> bool:
        base = self._plan.base
        return all(base.get(axis, value) == value for axis, value in point.axes.items())

    def _interpreter_of(self, point: StackPoint) -> Interpreter:
        target = self._targets.get(point.id)
        if target is None:
            return self._interpreter(point.python)
        return target.interpreter(self._interpreter(None))

    def _interpreter(self, request: str | None) -> Interpreter:
        if request not in self._interpreters:
            self._interpreters[request] = find_interpreter(self._uv, request)
        return self._interpreters[request]

    def _departs(self, point: StackPoint, lock: Lock) -> bool:
        if point.python != self._claim.stack.python:
            return True
        return any(not _holds(Requirement(line), lock) for line in point.overrides)

    def _resolve(self, point: StackPoint, interpreter: Interpreter) -> Resolution:
        stack = self._claim.stack
        request = Request(
            requirements=point.requirements,
            overrides=point.overrides,
            python=interpreter.path,
            exclude_newer=stack.exclude_newer,
            build_from_source=stack.build_from_source,
            target=self._targets.get(point.id),
        )
        if request not in self._resolutions:
            try:
                found = resolve(self._uv, self._torch, request, prefer=self._reference)
            except EnvironmentBuildError as error:
                self._resolutions[request] = error
                raise
            self._resolutions[request] = found
            self._reference = self._reference or found.lock
        known = self._resolutions[request]
        if isinstance(known, EnvironmentBuildError):
            raise known
        return known


def read_committed_lock(claim: Claim, claim_dir: Path) -> Lock | None:
    """Read the lock that a claim names; None where it names none.

    Raises:
        ClaimError: it cannot be read, or holds anything but versions and hashes.
    """
    if claim.stack.lock is None:
        return None
    path = claim_dir / claim.stack.lock
    try:
        return parse_lock(path.read_text(encoding="utf-8"))
    except LockError as error:
        raise ClaimError(
            f"{path}:{error.line}: {error.problem}",
            hint="A lock holds lines of `name==version --hash=sha256:...` and names no index.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimError(
            f"claim {claim.id}: the lock {path} cannot be read: {error}",
            hint="Correct `stack.lock`, or leave it out to have the stack resolved.",
        ) from error


def _parse_saved(text: str, point_id: str) -> Lock:
    try:
        return parse_lock(text)
    except LockError as error:
        raise EnvironmentBuildError(
            f"the saved lock of point {point_id} is damaged: {error}",
            hint="Take the run directory from its source again.",
        ) from error


def _holds(requirement: Requirement, lock: Lock) -> bool:
    version = lock.version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _check_satisfied(point: StackPoint, lock: Lock, interpreter: Interpreter) -> None:
    major_minor = ".".join(interpreter.version.split(".")[:2])
    markers = {"python_version": major_minor, "python_full_version": interpreter.version}
    forced = {Requirement(line).name.lower() for line in point.overrides}
    for line in point.requirements:
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise EnvironmentBuildError(f"{line!r} is no requirement: {error}") from error
        wanted = requirement.marker is None or requirement.marker.evaluate(markers)
        if wanted and requirement.name.lower() not in forced and not _holds(requirement, lock):
            raise EnvironmentBuildError(
                f"the committed lock does not satisfy the requirement {line!r} "
                f"(it has {lock.version(requirement.name) or 'no such distribution'})",
                hint="Make the lock anew, or put it aside with --relock.",
            )
