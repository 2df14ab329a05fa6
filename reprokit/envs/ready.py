"""The record of a point after `prepare`, put together from what each step found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reprokit.envs.assets import BuiltAssets
from reprokit.envs.build import Built
from reprokit.envs.checkout import Checkout
from reprokit.envs.host_stacks import HostEnvironment
from reprokit.envs.locking import LockedPoint
from reprokit.envs.recheck import source_digest
from reprokit.envs.steps import StepFailure
from reprokit.stack import Overlay, ReadyPoint, StackPoint, digest


@dataclass(frozen=True)
class Steps:
    """What each step of a point ended with; None where an earlier step failed.

    A point on an existing interpreter has no lock, failed or not.
    """

    source: Checkout | Path | StepFailure
    locked: LockedPoint | StepFailure | None
    built: Built | HostEnvironment | StepFailure | None
    assets: BuiltAssets | StepFailure | None

    def failure(self) -> StepFailure | None:
        """Return the first failure, in the order of the steps."""
        for step in (self.source, self.locked, self.built, self.assets):
            if isinstance(step, StepFailure):
                return step
        return None


def ready_point(
    point: StackPoint, steps: Steps, *, host: bool, torch_note: str | None
) -> ReadyPoint:
    """Put a point's record together; a failed point keeps what the steps before had found.

    Args:
        point: the point as planned.
        steps: what became of it.
        host: whether it is measured on an existing interpreter.
        torch_note: what the report must say about the PyTorch build that was resolved.
    """
    failure = steps.failure()
    source = steps.source if isinstance(steps.source, Checkout) else None
    locked = steps.locked if isinstance(steps.locked, LockedPoint) else None
    built = steps.built if isinstance(steps.built, Built | HostEnvironment) else None
    assets = steps.assets if isinstance(steps.assets, BuiltAssets) else BuiltAssets()
    says = (locked.says if locked else None) or (built.undeclared if built else None)
    return ReadyPoint(
        point=point.id,
        identity=_identity(point, built),
        failed=failure.code if failure else None,
        failed_detail=failure.detail if failure else None,
        environment=built.key if built else None,
        lock_sha256=locked.lock.sha256() if locked else None,
        python=str(built.python) if built else None,
        source=_place(steps.source),
        commit=point.commit,
        tree=_tree(steps.source),
        declared=(locked is None or locked.declared) and says is None,
        resolver_says=says,
        locked=not host,
        relocked=locked.relocked if locked else False,
        probe=built.probe if built else None,
        assets=assets.folders,
        unmet=built.unmet if isinstance(built, HostEnvironment) else (),
        overlay=_overlay(built),
        notes=(*_notes(source, locked, torch_note), *_doubts(built)),
    )


def _identity(point: StackPoint, built: Built | HostEnvironment | None) -> str:
    """Digest what was asked for, and on an existing interpreter also what was found there.

    A lock's digest says what an environment is; an interpreter without one has only this.
    """
    if isinstance(built, HostEnvironment):
        return digest([point.identity(), built.key])
    return point.identity()


def _overlay(built: Built | HostEnvironment | None) -> Overlay | None:
    return built.overlay.record if isinstance(built, HostEnvironment) and built.overlay else None


def _doubts(built: Built | HostEnvironment | None) -> tuple[str, ...]:
    return built.notes if isinstance(built, HostEnvironment) else ()


def _place(source: Checkout | Path | StepFailure) -> str | None:
    if isinstance(source, StepFailure):
        return None
    return str(source.path if isinstance(source, Checkout) else source)


def _tree(source: Checkout | Path | StepFailure) -> str | None:
    """Return Git's tree hash, or for a built-in benchmark the digest of its files."""
    if isinstance(source, StepFailure):
        return None
    return source.tree if isinstance(source, Checkout) else source_digest(source)


def _notes(
    source: Checkout | None, locked: LockedPoint | None, torch_note: str | None
) -> tuple[str, ...]:
    notes = source.notes if source else ()
    # A lock that was not resolved now fixes the build by its hashes, wherever that came from.
    concerned = locked is not None and locked.resolved and locked.lock.version("torch")
    return (*notes, torch_note) if torch_note and concerned else notes
