"""Which wheels a bundle holds: those of a lock, or those that overlays may be made of."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reprokit.claim.model import StackSpec
from reprokit.envs.interpreter import find_interpreter
from reprokit.envs.lock import Lock
from reprokit.envs.overlay_wheels import KEPT
from reprokit.envs.pylock import WheelFile, list_wheels
from reprokit.envs.resolve import UNSATISFIED, Request, resolve
from reprokit.envs.steps import StepError
from reprokit.envs.target import Target
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.errors import EnvironmentBuildError

Supplies = tuple[tuple[WheelFile, ...], tuple[str, ...]]
"""Wheels, and a sentence for each thing that is lacking."""


def wheels_of_lock(
    uv: Uv, torch: TorchIndex, lock: Lock, python: str, target: Target | None
) -> tuple[WheelFile, ...]:
    """Find the wheels that a lock names.

    Args:
        uv: the uv of this machine.
        torch: the PyTorch build that is asked for.
        lock: what is wanted.
        python: path of an interpreter of this machine.
        target: the machine that they are for; None for this one.

    Raises:
        StepError: no index has some of them.
        EnvironmentBuildError: uv cannot find out.
    """
    accepted = {pin.name: pin.hashes for pin in lock.pins}
    request = Request(
        requirements=tuple(f"{pin.name}=={pin.version}" for pin in lock.pins),
        overrides=(), python=python, target=target,
    )  # fmt: skip
    found = list_wheels(uv, torch, request)
    fitting = tuple(wheel for wheel in found if wheel.sha256 in accepted.get(wheel.name, ()))
    lacking = sorted(accepted.keys() - {wheel.name for wheel in fitting})
    if lacking:
        raise StepError(
            "wheels_missing",
            f"no index has the builds that the lock names: {', '.join(lacking)}",
            hint="Use an index or a wheel folder that has them, or resolve anew with --relock.",
        )
    return fitting


class OverlaySupplies:
    """Finds what overlays may be made of, for an interpreter that is on another machine.

    What that interpreter has already is not known here: all that swept packages require is taken
    along, but never torch for another package's sake. A value without a wheel is no failure yet:
    it may be the interpreter's own.

    Args:
        uv, torch: as for locks.
        stack: of the claim.
    """

    def __init__(self, uv: Uv, torch: TorchIndex, stack: StackSpec) -> None:
        self._uv, self._torch, self._stack = uv, torch, stack
        self._known: dict[tuple[tuple[str, ...], Target], Supplies] = {}

    def find(self, swept: tuple[str, ...], target: Target) -> Supplies:
        """Return the wheels for the swept packages of one point, and a sentence for each lack.

        Args:
            swept: `name==version` lines.
            target: the machine that they are for.

        Raises:
            EnvironmentBuildError: an index cannot be reached.
        """
        key = (swept, target)
        if swept and key not in self._known:
            self._known[key] = self._find(swept, target)
        return self._known[key] if swept else ((), ())

    def _find(self, swept: tuple[str, ...], target: Target) -> Supplies:
        python = find_interpreter(self._uv, None).path
        try:
            return self._with_requirements(swept, python, target), ()
        except EnvironmentBuildError as error:
            lacking = f"what {', '.join(swept)} requires is not in the bundle: {_reason(error)}"
        wheels: list[WheelFile] = []
        notes: list[str] = []
        for line in swept:
            try:
                wheels += list_wheels(self._uv, self._torch, self._request((line,), python, target))
            except EnvironmentBuildError as error:
                notes.append(
                    f"the bundle has no wheel of {line}, which can be measured only where the "
                    f"interpreter has it, or with one from elsewhere (--find-links): "
                    f"{_reason(error)}"
                )
        return tuple(wheels), (*notes, *([lacking] if wheels else []))

    def _with_requirements(
        self, swept: tuple[str, ...], python: str, target: Target
    ) -> tuple[WheelFile, ...]:
        request = self._request(swept, python, target)
        lock = resolve(self._uv, self._torch, request, prefer=None).lock
        return wheels_of_lock(self._uv, self._torch, lock, python, target)

    def _request(self, swept: tuple[str, ...], python: str, target: Target) -> Request:
        names = {canonicalize_name(Requirement(line).name) for line in swept}
        return Request(
            requirements=(), overrides=swept, python=python, target=target,
            exclude_newer=self._stack.exclude_newer, without=tuple(sorted(KEPT - names)),
        )  # fmt: skip


def _reason(error: EnvironmentBuildError) -> str:
    """Return the resolver's sentence.

    Raises:
        EnvironmentBuildError: it found nothing out, so nothing can be said to be lacking.
    """
    if isinstance(error, StepError) or error.what.startswith(UNSATISFIED):
        return error.what.removeprefix(UNSATISFIED)
    raise error
