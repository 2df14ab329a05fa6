"""Makes a bundle: repositories, locks, wheels and models of a plan, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reprokit import __version__
from reprokit.atomic_files import write_atomic, write_record
from reprokit.bundle.models import ModelFetcher
from reprokit.bundle.needs import NeedsFinder, PointNeeds, Sizes, sizes_of
from reprokit.bundle.records import (
    CLAIM,
    ELSEWHERE,
    GIT,
    LOCKS,
    MODELS,
    RECORD,
    UNFINISHED,
    WHEELS,
    BundledPoint,
    BundledRepository,
    BundledWheel,
    BundleError,
    BundleRecord,
)
from reprokit.bundle.space import require_space
from reprokit.cache import CacheLayout
from reprokit.claim.load import LoadedClaim
from reprokit.envs.checkout import mirror_of
from reprokit.envs.disk import locked, remove_tree
from reprokit.envs.prepare import PrepareOptions
from reprokit.envs.pylock import WheelFile
from reprokit.envs.target import least_platform, read_platform, read_python_version, this_platform
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.envs.wheel_download import WheelDownloader
from reprokit.errors import ReprokitError, UsageError
from reprokit.plan import Plan
from reprokit.progress import Event, Observer
from reprokit.run.manifest import MANIFEST, write_manifest


@dataclass(frozen=True)
class Wanted:
    """The bundle that is asked for.

    Attributes:
        folder: where it goes; new, empty, or an unfinished bundle.
        platform: of the machine that it is for, as the user writes it; None for this one's.
        python: version of Python there; None for the claim's (which an existing interpreter is
            not), else this one's.
    """

    folder: Path
    platform: str | None = None
    python: str | None = None


Announce = Callable[[Sizes, int], None]
"""Told what will be fetched, and how many bytes are free, before anything large is."""


def gather(
    wanted: Wanted,
    loaded: LoadedClaim,
    plan: Plan,
    claim_lock: bytes | None,
    *,
    cache: CacheLayout,
    options: PrepareOptions,
    announce: Announce,
    observer: Observer,
) -> BundleRecord:
    """Gather all that the points of a plan need; points that fail are in the record, with why.

    An interrupted bundle is continued by asking for the same one again.

    Args:
        wanted: folder, platform and Python.
        loaded: the claim.
        plan: its sweep.
        claim_lock: content of the lock that the claim names.
        cache: of this machine.
        options: how points are prepared.
        announce: told the sizes before anything large is fetched.
        observer: told what happens.

    Raises:
        BundleError: no point can be bundled, the disk is too small, or the folder holds something
            else.
        ReprokitError: something cannot be fetched.
    """
    platform = read_platform(wanted.platform) if wanted.platform else None
    python = read_python_version(wanted.python) if wanted.python else None
    here = platform or this_platform()
    if python is not None or plan.host is not None:
        platform = here
    if plan.host is not None:
        plan = plan.model_copy(update={"host": ELSEWHERE})
    _take_folder(wanted.folder)
    work = _Gathering(wanted.folder, loaded, plan, cache, options, observer)
    return work.run(platform, python, claim_lock, announce)


class _Gathering:
    def __init__(
        self,
        folder: Path,
        loaded: LoadedClaim,
        plan: Plan,
        cache: CacheLayout,
        options: PrepareOptions,
        observer: Observer,
    ) -> None:
        self._folder, self._loaded, self._plan = folder, loaded, plan
        self._cache, self._options, self._observer = cache, options, observer
        self._uv = Uv.here(cache, offline=options.offline, wheels=options.wheels)
        self._models = ModelFetcher(
            folder, loaded.adapter, plan.setup, cache=cache, uv=self._uv, observer=observer
        )

    def run(
        self,
        platform: str | None,
        python: str | None,
        claim_lock: bytes | None,
        announce: Announce,
    ) -> BundleRecord:
        self._write_claim(claim_lock)
        needs = self._needs(platform, python)
        _refuse_nothing(needs)
        announce(sizes_of(needs.values()), shutil.disk_usage(self._folder).free)
        require_space(needs.values(), self._folder, self._cache)
        wheels = self._fetch_wheels(needs)
        record = BundleRecord(
            reprokit=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            platform=platform or least_platform(wheel.file for wheel in wheels),
            claim_file=self._loaded.path.name,
            claim=self._loaded.claim,
            plan=self._plan,
            wheels=wheels,
            repositories=tuple(self._bundle_repositories(needs)),
            models=tuple(self._models.fetch(needs.values())),
            points=tuple(
                self._write_point(point.id, needs[point.id]) for point in self._plan.points
            ),
        )
        _remove_strays(self._folder, record)
        write_record(self._folder / RECORD, record)
        (self._folder / UNFINISHED).unlink()
        write_manifest(self._folder)
        return record

    def _needs(self, platform: str | None, python: str | None) -> dict[str, PointNeeds]:
        backend = self._options.torch_backend or self._loaded.claim.stack.torch_backend
        if backend == "auto":
            raise UsageError(
                "the PyTorch build 'auto' is chosen by the GPU of the machine that measures, and "
                "a bundle is made on another one",
                hint="Name it: --torch-backend cu128, or cpu.",
            )
        return NeedsFinder(
            self._plan, self._loaded.claim, self._folder / CLAIM, self._loaded.adapter,
            cache=self._cache, uv=self._uv, torch=TorchIndex(backend), platform=platform,
            python=python, options=self._options, observer=self._observer,
        ).find()  # fmt: skip

    def _write_claim(self, claim_lock: bytes | None) -> None:
        folder = self._folder / CLAIM
        remove_tree(folder)
        folder.mkdir()
        write_atomic(folder / "claim.yaml", [self._loaded.text.encode()])
        named = self._loaded.claim.stack.lock
        if claim_lock is not None and named is not None:
            (folder / named).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / named, [claim_lock])

    def _fetch_wheels(self, needs: Mapping[str, PointNeeds]) -> tuple[BundledWheel, ...]:
        chosen: dict[str, tuple[WheelFile, str]] = {}
        for each in needs.values():
            for wheel in each.wheels:
                known = chosen.setdefault(wheel.file, (wheel, each.python or ""))[0]
                if known.sha256 != wheel.sha256:
                    raise BundleError(
                        f"two points need different files of one name, {wheel.file}",
                        hint="Bundle them apart, with one --sweep each.",
                    )
        folder = self._folder / WHEELS
        WheelDownloader(self._cache, self._uv, self._observer).fetch(chosen.values(), folder)
        return tuple(
            BundledWheel(file=name, sha256=wheel.sha256, size=(folder / name).stat().st_size)
            for name, (wheel, _) in sorted(chosen.items())
        )

    def _bundle_repositories(self, needs: Mapping[str, PointNeeds]) -> Iterator[BundledRepository]:
        commits: dict[str, set[str]] = {}
        for each in needs.values():
            for url, commit in each.parts:
                commits.setdefault(url, set()).add(commit)
        (self._folder / GIT).mkdir(exist_ok=True)
        for url, wanted in sorted(commits.items()):
            mirror = mirror_of(url, self._cache)
            self._observer(Event("prepare", mirror.name, "bundling the repository"))
            file = f"{GIT}/{mirror.name}.bundle"
            with locked(mirror.lock_path, self._observer, mirror.name):
                mirror.write_bundle(wanted, self._folder / file)
                moved = mirror.moved_to()
            yield BundledRepository(
                url=url, file=file, commits=tuple(sorted(wanted)), moved_to=moved
            )

    def _write_point(self, name: str, needs: PointNeeds) -> BundledPoint:
        if needs.failure is not None:
            return BundledPoint(point=name, failed=(needs.failure.code, needs.failure.detail))
        if needs.locked is None:
            return BundledPoint(point=name, python=needs.python, notes=needs.notes)
        lock = f"{LOCKS}/{name}.txt"
        (self._folder / LOCKS).mkdir(exist_ok=True)
        write_atomic(self._folder / lock, [needs.locked.lock.text().encode()])
        return BundledPoint(
            point=name, python=needs.python, lock=lock, declared=needs.locked.declared,
            says=needs.locked.says, relocked=needs.locked.relocked, notes=needs.notes,
        )  # fmt: skip


def _remove_strays(folder: Path, record: BundleRecord) -> None:
    """Remove what an interrupted attempt left: halves of files, and what was for something else."""
    named = {
        *(f"{WHEELS}/{wheel.file}" for wheel in record.wheels),
        *(repository.file for repository in record.repositories),
        *(point.lock for point in record.points),
        *(model.folder for model in record.models),
    }
    for kind in (WHEELS, GIT, LOCKS, MODELS):
        if (folder / kind).is_dir():
            for path in (folder / kind).iterdir():
                if f"{kind}/{path.name}" not in named:
                    remove_tree(path)


def _refuse_nothing(needs: Mapping[str, PointNeeds]) -> None:
    failures = [each.failure for each in needs.values() if each.failure is not None]
    if len(failures) == len(needs):
        raise BundleError(
            f"no stack point can be bundled: {failures[0].code}: {failures[0].detail}",
            hint="Every point failed; the first one's reason is above.",
        )


def _take_folder(folder: Path) -> None:
    """Make the folder, or go on with one that was left unfinished.

    Raises:
        BundleError: it holds something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / UNFINISHED).exists():
            what = "a finished bundle" if (folder / MANIFEST).exists() else "other files"
            raise BundleError(
                f"{folder} holds {what}", hint="Name a new folder for the bundle, or remove it."
            )
        (folder / UNFINISHED).touch()
    except OSError as error:
        raise ReprokitError(f"{folder} cannot be used for the bundle: {error.strerror}") from error
