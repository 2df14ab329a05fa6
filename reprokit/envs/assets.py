"""Assets: what an adapter has built once in a point's environment before anything is measured."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from reprokit.adapter import Adapter, AssetStep, PointContext, Setup
from reprokit.atomic_files import write_record
from reprokit.cache import CacheLayout
from reprokit.envs.disk import locked, remove_tree
from reprokit.errors import ReprokitError
from reprokit.process.environment import child_environment, point_variables
from reprokit.process.tool import ToolResult, run_tool
from reprokit.progress import Event, Observer
from reprokit.records import Record
from reprokit.stack import digest

ASSET_DIR_VARIABLE = "REPROKIT_ASSET_DIR"
ASSETS_VARIABLE = "REPROKIT_ASSETS"
LIMIT_S, FETCH_LIMIT_S = 3600.0, 24 * 3600.0
"""In s. Tens of GB may take hours on a slow line; the client tells when the line is dead."""


class AssetError(ReprokitError):
    """An asset step failed, or left nothing."""


class AssetFile(Record):
    """A file of an asset; time in ns since the epoch, so that a cut or changed file is noticed."""

    size: int
    modified_ns: int


class AssetMarker(Record):
    """Written last, beside the folder: the asset is whole, and these are its files."""

    name: str
    key: str
    files: dict[str, AssetFile]


@dataclass(frozen=True)
class BuiltAssets:
    """The folders of a point's assets, and the log of each step, by the step's name."""

    folders: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class AssetBuilder:
    """Builds the assets of stack points; equal keys are built once and shared.

    Args:
        cache: where assets are kept.
        adapter: names the steps.
        setup: the plan's setup.
        observer: told what happens.
        offline: refuse the steps that need a network, unless they were done before.
    """

    cache: CacheLayout
    adapter: Adapter
    setup: Setup
    observer: Observer
    offline: bool = False

    def build(
        self, point: PointContext, *, bytecode: Path, overlay: Path | None = None
    ) -> BuiltAssets:
        """Build what the adapter asks for, in order; each step sees the folders before it.

        Args:
            point: the point, with no assets yet.
            bytecode: folder for the bytecode of the point's environment.
            overlay: packages that come before those of an existing interpreter.

        Raises:
            AssetError: a step failed; the message ends with the last line of its log.
        """
        folders: dict[str, str] = {}
        logs: dict[str, Path] = {}
        for step in self.adapter.assets(self.setup, point):
            context = point.model_copy(update={"assets": dict(folders)})
            folder = self.build_step(step, context, bytecode, overlay)
            folders[step.name] = str(folder)
            logs[step.name] = _log_path(folder)
        return BuiltAssets(folders, logs)

    def build_step(
        self, step: AssetStep, point: PointContext, bytecode: Path, overlay: Path | None = None
    ) -> Path:
        """Build the asset of one step, or find it; return its folder.

        Raises:
            AssetError: the step failed.
        """
        key = asset_key(step, point)
        folder = asset_folder(self.cache, key)
        with locked(folder.with_suffix(".lock"), self.observer, point.point):
            if not _is_whole(folder, key):
                if self.offline and needs_network(step):
                    raise AssetError(
                        f"{step.title} would have to be fetched, and no network may be used",
                        hint="Prepare the run, or make the bundle, where there is a network, with "
                        "this version of reprokit.",
                    )
                self.observer(Event("prepare", point.point, f"building {step.title}"))
                _marker_path(folder).unlink(missing_ok=True)
                remove_tree(folder)
                self._run(step, key, folder, _variables(step, folder, point, bytecode, overlay))
        return folder

    def _run(self, step: AssetStep, key: str, folder: Path, variables: Mapping[str, str]) -> None:
        partial, fetches = _partial_path(folder), needs_network(step)
        if not fetches:
            remove_tree(partial)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            _launch(step, folder, variables, FETCH_LIMIT_S if fetches else LIMIT_S)
            files = _files(partial)
            if not files:
                raise AssetError(f"{step.title} left no file", hint=f"Log: {_log_path(folder)}")
            _finish(folder, step.name, key, files)
        finally:
            if not fetches:
                remove_tree(partial)  # of a failure: the disk may be full of what nobody can use


def _launch(step: AssetStep, folder: Path, variables: Mapping[str, str], limit_s: float) -> None:
    log = _log_path(folder)
    log.unlink(missing_ok=True)
    result = run_tool(
        step.command.argv,
        env=variables,
        cwd=Path(step.command.cwd),
        timeout_s=limit_s,
        log=log,
    )
    remove_tree(folder.with_suffix(".compile"))
    if not result.ok:
        words = _last_words(result, limit_s)
        raise AssetError(f"{step.title} failed: {words}", hint=f"Log: {log}")


def needs_network(step: AssetStep) -> bool:
    """Tell whether a step is there to reach a network: it gets the caller's tokens and proxies."""
    return bool(step.inherits)


def asset_folder(cache: CacheLayout, key: str) -> Path:
    """Return where the asset of a key lies, or will."""
    return cache.assets / key[:32]


def adopt_asset(cache: CacheLayout, name: str, key: str, source: Path, observer: Observer) -> Path:
    """Copy an asset that another machine made into the cache, unless it is there.

    Raises:
        OSError: it cannot be copied.
    """
    folder = asset_folder(cache, key)
    with locked(folder.with_suffix(".lock"), observer, name):
        if not _is_whole(folder, key):
            _marker_path(folder).unlink(missing_ok=True)
            remove_tree(folder)
            partial = _partial_path(folder)
            remove_tree(partial)
            shutil.copytree(source, partial)
            _finish(folder, name, key, _files(partial))
    return folder


def _finish(folder: Path, name: str, key: str, files: dict[str, AssetFile]) -> None:
    """Give a complete asset its name, and write its marker last."""
    _partial_path(folder).rename(folder)
    write_record(_marker_path(folder), AssetMarker(name=name, key=key, files=files))


def asset_key(step: AssetStep, point: PointContext) -> str:
    """Digest of what the content depends on, with the files of earlier steps that it names."""
    if not step.key_files:
        return digest(step.key)
    files = {name: _file_digest(point, name, file) for name, file in step.key_files.items()}
    return digest([step.key, files])


def _file_digest(point: PointContext, step: str, file: str) -> str:
    path = Path(point.assets[step]) / file
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise AssetError(f"the asset {step!r} has no file {file}") from None


def _variables(
    step: AssetStep, folder: Path, point: PointContext, bytecode: Path, overlay: Path | None
) -> Mapping[str, str]:
    own = point_variables(
        os.environ, python=Path(point.python), bytecode=bytecode,
        compile_cache=folder.with_suffix(".compile"), overlay=overlay,
    )  # fmt: skip
    handed = {name: os.environ[name] for name in step.inherits if name in os.environ}
    places = {
        ASSET_DIR_VARIABLE: str(_partial_path(folder)),
        ASSETS_VARIABLE: json.dumps(point.assets),
    }
    added = {**own, **handed, **step.command.env, **places}
    return child_environment(os.environ, added=added).variables


def _last_words(result: ToolResult, limit_s: float) -> str:
    if result.timed_out:
        return f"stopped after {limit_s:.0f} s"
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    end = f"exit {result.returncode}" if result.returncode >= 0 else f"signal {-result.returncode}"
    return f"{lines[-1]} ({end})" if lines else end


def _files(folder: Path) -> dict[str, AssetFile]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            facts = path.stat()
            name = path.relative_to(folder).as_posix()
            found[name] = AssetFile(size=facts.st_size, modified_ns=facts.st_mtime_ns)
    return found


def _is_whole(folder: Path, key: str) -> bool:
    try:
        text = _marker_path(folder).read_text(encoding="utf-8")
        marker = AssetMarker.model_validate_json(text)
    except (OSError, ValidationError):
        return False
    return marker.key == key and marker.files == _files(folder)


def _marker_path(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _partial_path(folder: Path) -> Path:
    return folder.with_suffix(".partial")


def _log_path(folder: Path) -> Path:
    return folder.with_suffix(".log")
