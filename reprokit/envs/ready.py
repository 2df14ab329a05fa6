"""The record of a point after `prepare`, put together from what each step found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reprokit.envs.assets import BuiltAssets
from reprokit.envs.build import Built
from reprokit.envs.checkout import Checkout
from reprokit.envs.locking import LockedPoint
from reprokit.envs.recheck import source_digest
from reprokit.errors import ReprokitError
from reprokit.stack import ReadyPoint, StackPoint


@dataclass(frozen=True)
class StepFailure:
    """Why a step of a point failed; `code` is what `ReadyPoint.failed` says."""

    code: str
    detail: str

    @classmethod
    def of(cls, code: str, error: ReprokitError) -> StepFailure:
        """Make the sentences of an error into those of a record."""
        what = error.what.rstrip(".")
        return cls(code, f"{what}. {error.hint}" if error.hint else what)

    @classmethod
    def of_system(cls, code: str, error: OSError) -> StepFailure:
        """Make a refusal of the operating system (a full disk, no permission) into a record's."""
        return cls(code, f"the system refused it: {error}. Check free space and permissions")


@dataclass(frozen=True)
class Steps:
    """What each step of a point ended with; `assets` is None where an earlier step failed."""

    source: Checkout | Path | StepFailure
    locked: LockedPoint | StepFailure
    built: Built | StepFailure
    assets: BuiltAssets | StepFailure | None

    def failure(self) -> StepFailure | None:
        """Return the first failure, in the order of the steps."""
        for step in (self.source, self.locked, self.built, self.assets):
            if isinstance(step, StepFailure):
                return step
        return None


def ready_point(point: StackPoint, steps: Steps, *, torch_note: str | None) -> ReadyPoint:
    """Put a point's record together; a failed point keeps what the steps before had found."""
    failure = steps.failure()
    source = steps.source if isinstance(steps.source, Checkout) else None
    locked = steps.locked if isinstance(steps.locked, LockedPoint) else None
    built = steps.built if isinstance(steps.built, Built) else None
    assets = steps.assets if isinstance(steps.assets, BuiltAssets) else BuiltAssets()
    says = (locked.says if locked else None) or (built.undeclared if built else None)
    return ReadyPoint(
        point=point.id,
        identity=point.identity(),
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
        relocked=locked.relocked if locked else False,
        probe=built.probe if built else None,
        assets=assets.folders,
        notes=_notes(source, locked, torch_note),
    )


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
