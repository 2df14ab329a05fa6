"""The stage that does everything that needs a network: sources, locks, environments, assets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from reprokit.adapter import Adapter, BringsStandIns, PointContext
from reprokit.cache import CacheLayout
from reprokit.claim.model import Claim, GitSource
from reprokit.envs.assets import AssetBuilder, BuiltAssets
from reprokit.envs.build import Built, EnvironmentBuilder
from reprokit.envs.checkout import Checkout, checkout
from reprokit.envs.host_stacks import HostEnvironment, HostStacks
from reprokit.envs.locked_stacks import LockedStack, LockedStacks
from reprokit.envs.locking import LockedPoint, PointLocks
from reprokit.envs.overlay import Overlays
from reprokit.envs.overlay_wheels import OverlayWheels
from reprokit.envs.ready import Steps, ready_point
from reprokit.envs.steps import StepFailure
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv, WheelFolders
from reprokit.errors import CheckoutError, ReprokitError, UsageError
from reprokit.plan import Plan
from reprokit.progress import Event, Observer, nobody
from reprokit.stack import ReadyPoint, StackPoint


@dataclass(frozen=True)
class PrepareOptions:
    """How the points of a plan are prepared.

    Attributes:
        relock: put a committed lock aside and resolve anew.
        torch_backend: PyTorch build to prefer; wins over the claim's own.
        allow_local: accept a repository that is a path on this machine.
        offline: use no network; what is not here fails.
        jobs: environments built at the same time.
        saved_locks: point id to lock text, from a run that is resumed or from a bundle; used to the
            letter.
        wheels: folders of wheels beside what pip and uv are configured with, or instead of it.
    """

    relock: bool = False
    torch_backend: str | None = None
    allow_local: bool = False
    offline: bool = False
    jobs: int = 2
    saved_locks: Mapping[str, str] = field(default_factory=dict)
    wheels: WheelFolders | None = None


@dataclass(frozen=True)
class PreparedPoint:
    """A point after `prepare`.

    Attributes:
        lock_text: the lock in its normal form; None where the point failed before it had one.
        asset_logs: name of each asset step to its log in the cache.
    """

    ready: ReadyPoint
    lock_text: str | None
    asset_logs: Mapping[str, Path] = field(default_factory=dict)


def prepare_points(
    plan: Plan,
    claim: Claim,
    *,
    claim_dir: Path,
    cache: CacheLayout,
    adapter: Adapter,
    options: PrepareOptions | None = None,
    observer: Observer = nobody,
) -> tuple[PreparedPoint, ...]:
    """Bring every stack point of a plan to this machine, in the plan's order.

    A point that fails does not stop the others: its record says which step failed and why.

    Args:
        plan: names the points.
        claim: names source and stack.
        claim_dir: folder of the claim file, from which its lock's path counts.
        cache: where everything is kept.
        adapter: names the assets, and the source of a built-in benchmark.
        options: how to prepare.
        observer: told what happens.

    Raises:
        ReprokitError: nothing can be prepared at all: no uv, a damaged pip configuration. An
            existing interpreter needs neither.
        ClaimError: the committed lock is needed, and cannot be read or is no lock.
    """
    stage = _Stage(plan, claim, claim_dir, cache, adapter, options or PrepareOptions(), observer)
    return stage.run()


class _Stage:
    def __init__(
        self,
        plan: Plan,
        claim: Claim,
        claim_dir: Path,
        cache: CacheLayout,
        adapter: Adapter,
        options: PrepareOptions,
        observer: Observer,
    ) -> None:
        self._plan = plan
        self._claim = claim
        self._claim_dir = claim_dir
        self._cache = cache
        self._adapter = adapter
        self._options = options
        self._observer = observer
        # Without a network there is no index to choose a build from.
        backend = self._options.torch_backend or claim.stack.torch_backend
        self._torch = TorchIndex(None if self._options.offline else backend)
        self._stacks = self._locked() if plan.host is None else self._host(Path(plan.host))
        self._assets = AssetBuilder(
            cache, adapter, plan.setup, observer, offline=self._options.offline
        )

    def _uv(self) -> Uv:
        return Uv.here(self._cache, offline=self._options.offline, wheels=self._options.wheels)

    def _host(self, python: Path) -> HostStacks:
        stack = self._claim.stack
        wheels = OverlayWheels(
            self._uv, self._torch,
            exclude_newer=stack.exclude_newer, build_from_source=stack.build_from_source,
        )  # fmt: skip
        overlays = Overlays(self._cache, wheels, self._observer)
        return HostStacks(
            self._plan, self._claim, python, overlays, self._observer,
            saved=self._options.saved_locks, dispensable=self._dispensable(),
        )  # fmt: skip

    def _dispensable(self) -> Mapping[str, str]:
        adapter = self._adapter
        return adapter.dispensable(self._plan.setup) if isinstance(adapter, BringsStandIns) else {}

    def _locked(self) -> LockedStacks:
        claim, options = self._claim, self._options
        uv = self._uv()
        locks = PointLocks(
            uv, self._torch, self._plan, claim, self._claim_dir,
            relock=options.relock, saved=options.saved_locks,
        )  # fmt: skip
        builder = EnvironmentBuilder(
            self._cache, uv, self._torch,
            build_from_source=claim.stack.build_from_source, observer=self._observer,
        )  # fmt: skip
        return LockedStacks(self._plan, locks, builder, jobs=options.jobs, tell=self._tell)

    def run(self) -> tuple[PreparedPoint, ...]:
        sources = {point.id: self._source(point) for point in self._plan.points}
        failed = {name for name, found in sources.items() if isinstance(found, StepFailure)}
        stacks = self._stacks.make(failed)
        prepared = []
        for done, point in enumerate(self._plan.points, start=1):
            result = self._finish(point, sources[point.id], stacks[point.id])
            prepared.append(result)
            outcome = result.ready.failed or "ok"
            total = len(self._plan.points)
            self._observer(
                Event("prepare", point.id, "prepared", done=done, total=total, outcome=outcome)
            )
        return tuple(prepared)

    def _tell(self, point: StackPoint, text: str) -> None:
        self._observer(Event("prepare", point.id, text))

    def _source(self, point: StackPoint) -> Checkout | Path | StepFailure:
        source = self._claim.source
        if not isinstance(source, GitSource):
            builtin = self._adapter.builtin_source()
            if builtin is None:
                raise UsageError(
                    f"claim {self._claim.id}: the adapter {self._adapter.name!r} has no built-in "
                    "benchmark",
                    hint="Name a repository under `source` instead.",
                )
            return builtin
        self._tell(point, "checking out the source")
        try:
            return checkout(
                source.repo,
                point.commit or source.commit,
                self._cache,
                offline=self._options.offline,
                allow_local=self._options.allow_local,
                observer=self._observer,
                subject=point.id,
            )
        except CheckoutError as error:
            return StepFailure.of("checkout_failed", error)
        except OSError as error:
            return StepFailure.of_system("checkout_failed", error)

    def _finish(
        self,
        point: StackPoint,
        source: Checkout | Path | StepFailure,
        stack: LockedStack | HostEnvironment | StepFailure | None,
    ) -> PreparedPoint:
        locked = stack.locked if isinstance(stack, LockedStack) else None
        built = stack.built if isinstance(stack, LockedStack) else stack
        assets: BuiltAssets | StepFailure | None = None
        if isinstance(built, Built | HostEnvironment) and not isinstance(source, StepFailure):
            assets = self._build_assets(point, source, built)
        steps = Steps(source, locked, built, assets)
        host = self._plan.host is not None
        ready = ready_point(point, steps, host=host, torch_note=self._torch.note())
        logs = assets.logs if isinstance(assets, BuiltAssets) else {}
        return PreparedPoint(ready, _lock_text(stack), logs)

    def _build_assets(
        self, point: StackPoint, source: Checkout | Path, built: Built | HostEnvironment
    ) -> BuiltAssets | StepFailure:
        context = PointContext(
            point=point.id,
            python=str(built.python),
            source=str(source.path if isinstance(source, Checkout) else source),
            commit=point.commit,
            environment=built.key,
        )
        try:
            overlay = built.overlay if isinstance(built, HostEnvironment) else None
            return self._assets.build(
                context,
                bytecode=self._cache.bytecode / built.key,
                overlay=Path(overlay.record.folder) if overlay is not None else None,
            )
        except ReprokitError as error:
            return StepFailure.of("asset_failed", error)
        except OSError as error:
            return StepFailure.of_system("asset_failed", error)


def _lock_text(stack: LockedStack | HostEnvironment | StepFailure | None) -> str | None:
    """Return the lock of an environment, or of what is put before an existing interpreter."""
    if isinstance(stack, LockedStack) and isinstance(stack.locked, LockedPoint):
        return stack.locked.lock.text()
    if isinstance(stack, HostEnvironment) and stack.overlay is not None:
        return stack.overlay.lock.text()
    return None
