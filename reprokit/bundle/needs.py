"""What a bundle has to hold: found out before anything large is fetched."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from reprokit.adapter import Adapter, AssetStep, PointContext
from reprokit.bundle.wheels import OverlaySupplies, wheels_of_lock
from reprokit.cache import CacheLayout
from reprokit.claim.model import Claim, GitSource
from reprokit.envs.assets import needs_network
from reprokit.envs.checkout import Checkout, checkout, checkout_parts
from reprokit.envs.interpreter import find_interpreter
from reprokit.envs.locking import LockedPoint, PointLocks
from reprokit.envs.prepare import PrepareOptions
from reprokit.envs.pylock import WheelFile
from reprokit.envs.steps import StepError, StepFailure
from reprokit.envs.target import Target
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.errors import ReprokitError
from reprokit.plan import Plan
from reprokit.progress import Event, Observer
from reprokit.stack import StackPoint, digest


@dataclass(frozen=True)
class PointNeeds:
    """What one stack point needs, or the step that failed.

    Attributes:
        python: version that its wheels are for.
        locked: None where it failed, and for an existing interpreter.
    """

    python: str | None = None
    locked: LockedPoint | None = None
    wheels: tuple[WheelFile, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    models: tuple[tuple[AssetStep, PointContext], ...] = ()
    failure: StepFailure | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sizes:
    """How much a bundle has to fetch, in bytes.

    Attributes:
        wheels: number of wheels; `unsized` of them without a known size.
        models: title of each model to about how large it is; None for unknown.
    """

    wheels: int
    wheel_bytes: int
    unsized: int
    models: dict[str, int | None] = field(default_factory=dict)


class NeedsFinder:
    """Finds out what each point of a plan needs; clones and resolves, and fetches nothing large.

    Args:
        plan, claim, claim_dir, adapter: as for `prepare_points`.
        cache: where sources are checked out.
        uv, torch: as for locks.
        platform: that wheels are wanted for, in uv's words; None for this machine.
        python: version that wheels are wanted for where the claim names none.
        options: how points are prepared.
        observer: told what happens.
    """

    def __init__(
        self,
        plan: Plan,
        claim: Claim,
        claim_dir: Path,
        adapter: Adapter,
        *,
        cache: CacheLayout,
        uv: Uv,
        torch: TorchIndex,
        platform: str | None,
        python: str | None,
        options: PrepareOptions,
        observer: Observer,
    ) -> None:
        self._plan, self._claim, self._adapter = plan, claim, adapter
        self._cache, self._uv, self._torch = cache, uv, torch
        self._platform, self._python = platform, python
        self._options, self._observer = options, observer
        self._targets: dict[str, Target] = {} if platform is None else {
            point.id: Target(platform=platform, python=self._version(point) or this_python())
            for point in plan.points
        }  # fmt: skip
        self._locks = PointLocks(
            uv, torch, plan, claim, claim_dir,
            relock=options.relock, saved={}, targets=self._targets,
        )  # fmt: skip
        self._supplies = OverlaySupplies(uv, torch, claim.stack)
        self._listed: dict[tuple[str, str], tuple[WheelFile, ...]] = {}

    def find(self) -> dict[str, PointNeeds]:
        """Return what every point needs, by its id; a point that fails does not stop the others."""
        return {point.id: self._point(point) for point in self._locks.in_order()}

    def _point(self, point: StackPoint) -> PointNeeds:
        code = "checkout_failed"
        try:
            source = self._source(point)
            code = "resolve_failed"
            python = self._checked_python(point)
            self._observer(Event("prepare", point.id, "resolving the stack"))
            locked, wheels, notes = self._stack(point)
            code = "asset_failed"
            context = self._context(point, source)
            steps = self._adapter.assets(self._plan.setup, context)
        except StepError as error:
            return PointNeeds(failure=StepFailure.of(error.code, error))
        except ReprokitError as error:
            return PointNeeds(failure=StepFailure.of(code, error))
        except OSError as error:
            return PointNeeds(failure=StepFailure.of_system(code, error))
        models = tuple((step, context) for step in steps if needs_network(step))
        parts = checkout_parts(source.path) if source is not None else ()
        return PointNeeds(python, locked, wheels, parts, models, notes=notes)

    def _stack(
        self, point: StackPoint
    ) -> tuple[LockedPoint | None, tuple[WheelFile, ...], tuple[str, ...]]:
        """Find lock and wheels of a point; on an existing interpreter what overlays need."""
        if self._plan.host is not None:
            wheels, lacks = self._supplies.find(point.overrides, self._targets[point.id])
            return None, wheels, (*lacks, *self._torch_notes())
        locked = self._locks.lock(point)
        wheels = self._wheels(point, locked)
        return locked, wheels, self._torch_notes() if locked.resolved else ()

    def _torch_notes(self) -> tuple[str, ...]:
        note = self._torch.note()
        return (note,) if note else ()

    def _source(self, point: StackPoint) -> Checkout | None:
        source = self._claim.source
        if not isinstance(source, GitSource):
            return None
        self._observer(Event("prepare", point.id, "checking out the source"))
        return checkout(
            source.repo, point.commit or source.commit, self._cache,
            allow_local=self._options.allow_local, observer=self._observer, subject=point.id,
        )  # fmt: skip

    def _context(self, point: StackPoint, source: Checkout | None) -> PointContext:
        """Say where a point lies while it is gathered; it has no environment of its own here."""
        place = source.path if source is not None else self._adapter.builtin_source()
        return PointContext(
            point=point.id, python=sys.executable, source=str(place), commit=point.commit
        )

    def _version(self, point: StackPoint) -> str | None:
        """Return the Python of a point: the claim's where it names one, else the stated one.

        An existing interpreter is what it is, whatever the claim names.
        """
        if self._plan.host is not None:
            return self._python
        return point.python if is_version(point.python) else self._python

    def _checked_python(self, point: StackPoint) -> str:
        stated, asked = self._python, None if self._plan.host else point.python
        if stated is not None and asked is not None and not _accepts(asked, stated):
            raise StepError(
                "other_python",
                f"Python {asked} is asked for, and --python-version states {stated}",
                hint="Leave --python-version out, or sweep only what it satisfies.",
            )
        target = self._targets.get(point.id)
        return _minor(target.python if target else find_interpreter(self._uv, asked).version)

    def _wheels(self, point: StackPoint, locked: LockedPoint) -> tuple[WheelFile, ...]:
        target = self._targets.get(point.id)
        key = (locked.lock.sha256(), target.python if target else locked.interpreter.path)
        if key not in self._listed:
            self._observer(Event("prepare", point.id, "looking for its wheels"))
            self._listed[key] = wheels_of_lock(
                self._uv, self._torch, locked.lock, locked.interpreter.path, target
            )
        return self._listed[key]


def sizes_of(needs: Iterable[PointNeeds]) -> Sizes:
    """Add up what has to be fetched; what several points need counts once."""
    wheels = {wheel.file: wheel for each in needs for wheel in each.wheels}
    steps = {digest(step.key): step for each in needs for step, _ in each.models}
    return Sizes(
        wheels=len(wheels),
        wheel_bytes=sum(wheel.size or 0 for wheel in wheels.values()),
        unsized=sum(wheel.size is None for wheel in wheels.values()),
        models={step.title: step.about_bytes for step in steps.values()},
    )


def size_lines(sizes: Sizes, free: int) -> Iterator[str]:
    """Say how much will be fetched, before it is."""
    unsized = f", {sizes.unsized} of unknown size" if sizes.unsized else ""
    yield f"wheels: {sizes.wheels} files, {_shown(sizes.wheel_bytes)}{unsized}"
    for title, size in sizes.models.items():
        yield f"model: {title}, {'size unknown' if size is None else f'about {_shown(size)}'}"
    yield f"free on the disk of the bundle: {_shown(free)}"


def this_python() -> str:
    """Return the Python that runs reprokit, as a version of Python is named for wheels."""
    return _minor(platform.python_version())


def is_version(request: str | None) -> bool:
    """Tell a version ("3.11") from a range of versions (">=3.10")."""
    return request is not None and all(part.isdigit() for part in request.split("."))


def _accepts(asked: str, stated: str) -> bool:
    """Tell whether a stated Python is one that a point asks for."""
    if is_version(asked):
        return f"{stated}.".startswith(f"{asked}.") or f"{asked}.".startswith(f"{stated}.")
    try:
        return SpecifierSet(asked).contains(stated, prereleases=True)
    except InvalidSpecifier:
        return False


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _shown(size: int) -> str:
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.1f} {units[0]}" if units[0] != "B" else f"{size} B"
