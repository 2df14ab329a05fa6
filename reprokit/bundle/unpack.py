"""Opens a bundle: verified by its hashes, then brought into the cache of this machine."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from reprokit import __version__
from reprokit.bundle.needs import this_python
from reprokit.bundle.records import (
    CLAIM,
    RECORD,
    UNFINISHED,
    WHEELS,
    BundledPoint,
    BundleError,
    BundleRecord,
)
from reprokit.cache import CacheLayout
from reprokit.envs.assets import adopt_asset
from reprokit.envs.checkout import mirror_of
from reprokit.envs.disk import locked
from reprokit.envs.target import misfit
from reprokit.errors import CheckoutError, DamagedRunError, UsageError
from reprokit.machine import Machine
from reprokit.plan import Plan
from reprokit.progress import Event, Observer
from reprokit.run.manifest import MANIFEST, verify_manifest
from reprokit.stack import ReadyPoint

_COPY_AGAIN = "Copy the bundle again from where it was made; nothing of it was used."


class Bundle:
    """A bundle whose files are those that were gathered.

    Args:
        folder: the bundle.
        record: what its bundle.json holds.
    """

    def __init__(self, folder: Path, record: BundleRecord) -> None:
        self.folder, self.record = folder, record

    @classmethod
    def open(cls, folder: Path, observer: Observer) -> Bundle:
        """Verify every file of a bundle by its hash, and that it is for a machine like this one.

        Raises:
            BundleError: it is damaged or incomplete, which names the file, or for another machine.
        """
        folder = folder.absolute()
        if (folder / UNFINISHED).exists():
            raise BundleError(
                f"{folder} was not finished: its maker was interrupted",
                hint="Repeat `reprokit prepare ... --bundle` there; what was fetched is kept.",
            )
        for name in (RECORD, MANIFEST):
            if not (folder / name).is_file():
                raise BundleError(f"{folder} is not a whole bundle: {name} is missing",
                                  hint=_COPY_AGAIN)  # fmt: skip
        observer(Event("prepare", folder.name, "verifying the bundle"))
        try:
            verify_manifest(folder)
            record = BundleRecord.model_validate_json((folder / RECORD).read_bytes())
        except DamagedRunError as error:
            raise BundleError(f"the bundle is damaged: {error.what}", hint=_COPY_AGAIN) from error
        except ValidationError as error:
            raise BundleError(
                f"{folder / RECORD} cannot be read: {error.errors()[0]['msg']}",
                hint=f"It was made by another version of reprokit; this is {__version__}.",
            ) from error
        except OSError as error:
            raise BundleError(f"{error.filename} cannot be read: {error.strerror}") from error
        if {point.point for point in record.points} != {point.id for point in record.plan.points}:
            raise BundleError(
                f"{folder / RECORD} names other stack points than its own plan", hint=_COPY_AGAIN
            )
        _check_machine(record)
        return cls(folder, record)

    @property
    def wheels(self) -> Path:
        """Folder of its wheels."""
        return self.folder / WHEELS

    def machine(self, machine: Machine) -> Machine:
        """Describe this machine with no network, and no wheels but the bundle's and those named."""
        own = (self.wheels,) if self.wheels.is_dir() else ()
        return replace(
            machine, find_links=(*own, *machine.find_links), only_find_links=True, offline=True,
            relock=False, torch_backend=None,
        )  # fmt: skip

    def plan_on(self, host: Path | None) -> Plan:
        """Return the plan as it is measured here.

        Args:
            host: the existing interpreter that was named for it.

        Raises:
            UsageError: one is needed and was not named, or the bundle is of locked stacks.
        """
        plan = self.record.plan
        if (plan.host is None) != (host is None):
            hint = (
                "Leave --stack out, or make the bundle with --stack host."
                if plan.host is None
                else "Name the interpreter to measure on: --stack host[:PYTHON]."
            )
            kind = "locked stacks" if plan.host is None else "an existing interpreter"
            raise UsageError(f"the bundle {self.folder} is for {kind}", hint=hint)
        return plan.model_copy(update={"host": str(host) if host is not None else None})

    def claim_text(self) -> bytes:
        """Return the claim file as it was."""
        return (self.folder / CLAIM / "claim.yaml").read_bytes()

    def claim_lock(self) -> bytes | None:
        """Return the lock that the claim names."""
        named = self.record.claim.stack.lock
        return (self.folder / CLAIM / named).read_bytes() if named is not None else None

    def locks(self) -> dict[str, str]:
        """Return the text of every point's lock."""
        return {
            point.point: (self.folder / point.lock).read_text(encoding="utf-8")
            for point in self.record.points
            if point.lock is not None
        }

    def unpack(self, cache: CacheLayout, observer: Observer) -> None:
        """Bring repositories and models into the cache; touches no network.

        Raises:
            BundleError: Git refuses what lies in the bundle.
            OSError: the cache cannot be written.
        """
        for repository in self.record.repositories:
            mirror = mirror_of(repository.url, cache)
            observer(Event("prepare", mirror.name, "unpacking the repository"))
            with locked(mirror.lock_path, observer, mirror.name):
                try:
                    mirror.read_bundle(self.folder / repository.file, repository.moved_to)
                except CheckoutError as error:
                    raise BundleError(
                        f"{repository.file} cannot be unpacked: {error.what}", hint=error.hint
                    ) from error
        for model in self.record.models:
            observer(Event("prepare", model.name, f"unpacking {model.title}"))
            adopt_asset(cache, model.name, model.key, self.folder / model.folder, observer)

    def failed_points(self) -> dict[str, ReadyPoint]:
        """Return the points for which nothing could be gathered, with the reason."""
        found = {}
        for each in self.record.points:
            if each.failed is not None:
                planned = self.record.plan.point(each.point)
                code, detail = each.failed
                found[each.point] = ReadyPoint(
                    point=each.point,
                    identity=planned.identity(),
                    failed=code,
                    failed_detail=f"when the bundle was made: {detail}",
                    commit=planned.commit,
                    locked=self.record.plan.host is None,
                    notes=(self._origin(),),
                )
        return found

    def completed(self, ready: ReadyPoint) -> ReadyPoint:
        """Add to a prepared point what only the machine that resolved it could know."""
        each = self.record.point(ready.point)
        return ready.model_copy(
            update={
                "declared": ready.declared and each.declared,
                "resolver_says": each.says or ready.resolver_says,
                "relocked": each.relocked,
                "notes": (*ready.notes, *each.notes, self._origin()),
            }
        )

    def _origin(self) -> str:
        record = self.record
        other = f", and this is {__version__}" if record.reprokit != __version__ else ""
        return (
            f"prepared from a bundle for {record.platform}, made on {record.created} by reprokit "
            f"{record.reprokit}{other}"
        )


def _check_machine(record: BundleRecord) -> None:
    """Refuse wheels that nothing here could load, before uv says so in other words."""
    why = misfit(record.platform)
    if why is not None:
        raise BundleError(
            f"the bundle is for another machine: {why}",
            hint="Make it again with --platform for this one.",
        )
    for point in _on_own_python(record):
        if point.python != this_python():
            raise BundleError(
                f"the bundle is for Python {point.python}, and reprokit runs on "
                f"{platform.python_version()} here",
                hint=f"Run reprokit with Python {point.python}, or make the bundle again with "
                f"--python-version {this_python()}.",
            )


def _on_own_python(record: BundleRecord) -> Iterator[BundledPoint]:
    """Name the points whose environment is made of the Python that runs reprokit."""
    if record.plan.host is not None:
        return
    for point in record.points:
        asked = record.plan.point(point.point).python
        if point.python is not None and asked is None:
            yield point
