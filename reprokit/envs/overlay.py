"""Overlays: the changed packages of a stack point, put before those of an existing interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version
from pydantic import Field, ValidationError

from reprokit.atomic_files import write_atomic, write_record
from reprokit.cache import CacheLayout
from reprokit.envs.checkout_content import few
from reprokit.envs.disk import forbid_writing, locked, remove_tree
from reprokit.envs.host_probe import PLATFORM_FITS, HostFindings, probe_overlaid
from reprokit.envs.host_requirements import version_of
from reprokit.envs.lock import Lock, LockError, parse_lock
from reprokit.envs.overlay_proof import prove_imported
from reprokit.envs.overlay_wheels import UNRESOLVED, OverlayWheels, swept_names
from reprokit.envs.steps import StepError
from reprokit.progress import Event, Observer
from reprokit.records import Record
from reprokit.stack import Overlay, digest

ALTERED = "overlay_altered"
_KEY_LENGTH = 32


class OverlayMarker(Record):
    """Written last: the overlay is whole, and this is the digest of each distribution's files."""

    lock_sha256: str
    contents: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class BuiltOverlay:
    """An overlay that was just verified, and the interpreter as it is with it.

    Attributes:
        notes: sentences that the report must not hide.
    """

    key: str
    lock: Lock
    record: Overlay
    findings: HostFindings
    notes: tuple[str, ...] = ()


class Overlays:
    """Makes or reuses overlays; equal ones are shared by points.

    Args:
        cache: where they are kept.
        wheels: resolves and installs them.
        observer: told what happens.
    """

    def __init__(
        self,
        cache: CacheLayout,
        wheels: OverlayWheels,
        observer: Observer,
    ) -> None:
        self._cache, self._wheels, self._observer = cache, wheels, observer

    def ensure(
        self, swept: tuple[str, ...], base: HostFindings, subject: str, *, saved: str | None = None
    ) -> BuiltOverlay:
        """Return the overlay of some swept packages, verified and proved to be what is imported.

        Args:
            swept: `name==version` of each package that the interpreter has in another version.
            base: the interpreter without overlays.
            subject: the point that it is for.
            saved: text of a lock that is used to the letter.

        Raises:
            StepError: it cannot be resolved or installed, was altered, or is not imported.
            ProbeError: the interpreter does not answer.
        """
        self._tell(subject, f"resolving an overlay of {', '.join(swept)}")
        lock = self._wheels.lock(swept, base) if saved is None else _parse(saved, subject)
        key = _key(lock, base)
        place = _Place(self._cache.overlays / key)
        python = Path(base.probe.executable)
        with locked(self._cache.overlays / f"{key}.lock", self._observer, subject):
            found, notes = self._reused(place, lock, base, subject)
            if found is None:
                found = self._build(place, lock, base, subject)
        self._tell(subject, "importing the overlay from inside")
        imported = prove_imported(python, place.site, swept_names(swept))
        record = Overlay(
            folder=str(place.site),
            lock_sha256=lock.sha256(),
            distributions={pin.name: pin.version for pin in lock.pins},
            imported=imported,
        )
        return BuiltOverlay(key, lock, record, found, (*_told(record, base), *notes))

    def _tell(self, subject: str, text: str) -> None:
        self._observer(Event("prepare", subject, text))

    def _reused(
        self, place: _Place, lock: Lock, base: HostFindings, subject: str
    ) -> tuple[HostFindings | None, tuple[str, ...]]:
        """Verify a finished overlay; None where there is none, or where its files were altered."""
        marker = place.marker()
        if marker is None:
            return None, ()
        self._tell(subject, f"verifying overlay {place.folder.name[:12]}")
        found = probe_overlaid(Path(base.probe.executable), place.site, base)
        wrong = (*_damage(found), *_different(lock, found))
        if not wrong and _contents(found) == marker.contents:
            return found, ()
        told = f": {few(wrong)}" if wrong else ""
        return None, (f"the overlay was altered and was made anew{told}",)

    def _build(self, place: _Place, lock: Lock, base: HostFindings, subject: str) -> HostFindings:
        self._tell(subject, f"installing an overlay of {len(lock.pins)}")
        place.marker_path.unlink(missing_ok=True)
        remove_tree(place.folder)
        place.folder.mkdir(parents=True)
        write_atomic(place.lock_path, [lock.text().encode()])
        self._wheels.install(place.lock_path, place.site, base, log=place.log_path)
        found = probe_overlaid(Path(base.probe.executable), place.site, base)
        wrong = (*_damage(found), *_different(lock, found))
        if wrong:
            clean = " ".join(pin.name for pin in lock.pins)
            raise StepError(
                ALTERED,
                f"the overlay is not what its lock names: {few(wrong)}",
                hint=f"uv's cache may hold altered files: `uv cache clean {clean}`, then prepare "
                "again.",
            )
        forbid_writing(place.site)
        write_record(
            place.marker_path, OverlayMarker(lock_sha256=lock.sha256(), contents=_contents(found))
        )
        return found


@dataclass(frozen=True)
class _Place:
    """Where an overlay lies in the cache."""

    folder: Path

    @property
    def site(self) -> Path:
        return self.folder / "site"

    @property
    def lock_path(self) -> Path:
        return self.folder / "lock.txt"

    @property
    def log_path(self) -> Path:
        return self.folder / "install.log"

    @property
    def marker_path(self) -> Path:
        return self.folder / "marker.json"

    def marker(self) -> OverlayMarker | None:
        try:
            return OverlayMarker.model_validate_json(self.marker_path.read_bytes())
        except (OSError, ValidationError):
            return None  # unreadable is the same as unfinished: it is made again


def _key(lock: Lock, base: HostFindings) -> str:
    """Name an overlay; equal for equal packages on interpreters that can load the same ones."""
    facts = [base.probe.platform.get(name) for name in PLATFORM_FITS]
    return digest([lock.text(), base.probe.python, facts])[:_KEY_LENGTH]


def _damage(found: HostFindings) -> tuple[str, ...]:
    held = [found.installed[name] for name in found.overlaid]
    return tuple(path for each in held for path in (*each.altered, *each.missing, *each.unrecorded))


def _contents(found: HostFindings) -> dict[str, str]:
    return {name: found.installed[name].content_sha256 or "" for name in found.overlaid}


def _different(lock: Lock, found: HostFindings) -> tuple[str, ...]:
    """Say how what lies in the overlay differs from its lock."""
    wanted = {pin.name: pin.version for pin in lock.pins}
    held = {name: found.installed[name].version for name in found.overlaid}
    phrases = [f"{name} is missing" for name in sorted(wanted.keys() - held.keys())]
    phrases += [f"{name} is not in the lock" for name in sorted(held.keys() - wanted.keys())]
    phrases += [
        f"{name} is {held[name]} and not {wanted[name]}"
        for name in sorted(wanted.keys() & held.keys())
        if Version(held[name]) != Version(wanted[name])
    ]
    return tuple(phrases)


def _told(record: Overlay, base: HostFindings) -> Iterator[str]:
    """Say what the overlay changes, and how that was proved."""
    changes = ", ".join(
        f"{name} {version} (the interpreter has {version_of(name, base) or 'none'})"
        for name, version in sorted(record.distributions.items())
    )
    proof = ", ".join(f"import {name} loads {file}" for name, file in record.imported.items())
    yield f"an overlay is put before the interpreter's packages: {changes}; seen from inside: " + (
        f"{proof} of the overlay" if proof else "it holds nothing that can be imported"
    )


def _parse(text: str, subject: str) -> Lock:
    try:
        return parse_lock(text)
    except LockError as error:
        raise StepError(
            UNRESOLVED,
            f"the saved lock of the overlay of {subject} is damaged: {error}",
            hint="Take the run directory from its source again.",
        ) from error
