"""The files of models in a bundle: what asset steps fetch that need a network."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from reprokit.adapter import Adapter, PointContext, Setup
from reprokit.bundle.needs import PointNeeds
from reprokit.bundle.records import MODELS, BundledModel, BundleError
from reprokit.cache import CacheLayout
from reprokit.envs.assets import AssetBuilder
from reprokit.envs.build import EnvironmentBuilder
from reprokit.envs.interpreter import describe
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.progress import Observer
from reprokit.stack import digest

_HUB_CLIENT = "huggingface_hub"


class ModelFetcher:
    """Fetches models on the machine that gathers, whatever platform they are for.

    Args:
        folder: the bundle.
        adapter: names the steps.
        setup: of the plan.
        cache: where models are kept here.
        uv: the uv of this machine.
        observer: told what happens.
    """

    def __init__(
        self,
        folder: Path,
        adapter: Adapter,
        setup: Setup,
        *,
        cache: CacheLayout,
        uv: Uv,
        observer: Observer,
    ) -> None:
        self._folder, self._adapter, self._setup = folder, adapter, setup
        self._cache, self._uv, self._observer = cache, uv, observer

    def fetch(self, needs: Iterable[PointNeeds]) -> Iterator[BundledModel]:
        """Fetch every model once, and copy its files into the bundle.

        Raises:
            AssetError: it cannot be fetched.
            BundleError: it cannot be fetched without the point's own environment.
        """
        contexts = {digest(step.key): context for each in needs for step, context in each.models}
        if not contexts:
            return
        python = self._python()
        builder = AssetBuilder(
            self._cache, self._adapter, self._setup, self._observer
        )  # fmt: skip
        for key, context in sorted(contexts.items()):
            yield self._model(builder, key, context.model_copy(update={"python": python}))

    def _model(self, builder: AssetBuilder, key: str, context: PointContext) -> BundledModel:
        steps = self._adapter.assets(self._setup, context)
        step = next(step for step in steps if digest(step.key) == key)
        if step.key_files:
            raise BundleError(
                f"{step.title} needs what is made of earlier steps in the point's environment",
                hint="It cannot be bundled; prepare the run where it is measured.",
            )
        made = builder.build_step(step, context, self._cache.bytecode / "bundle")
        folder = self._folder / MODELS / key[:32]
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        return BundledModel(
            name=step.name, key=key, folder=f"{MODELS}/{folder.name}", title=step.title, bytes=size
        )

    def _python(self) -> str:
        """Return a Python with the hub's client: our own, or one made for it on this machine.

        The point's own environment may be for another platform.
        """
        if find_spec(_HUB_CLIENT) is not None:
            return sys.executable
        torch = TorchIndex(None)
        lock = resolve(
            self._uv, torch, Request((_HUB_CLIENT,), (), sys.executable), prefer=None
        ).lock
        builder = EnvironmentBuilder(
            self._cache, self._uv, torch, build_from_source=(), observer=self._observer
        )
        return str(builder.ensure(lock, describe(sys.executable), "models").python)
