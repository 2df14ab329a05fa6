"""What an existing interpreter says about itself, its digest, and how two such answers differ."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from reprokit.envs.probe import ask
from reprokit.stack import Distribution, Probe, digest

SCRIPT = Path(__file__).with_name("host_probe_script.py")
_KEY_LENGTH = 32
PLATFORM_FITS = ("machine", "system", "libc", "implementation", "abi", "tag")
"""Facts of the platform that decide which packages an interpreter can load."""


class Installed(BaseModel):
    """A distribution as the script describes it.

    Attributes:
        requires: its `Requires-Dist` lines.
        content_sha256: digest of all its files; None where they were not looked at.
        unverified: "editable" or "no_record" where nothing tells what its files should be.
        altered, missing, unrecorded: absolute paths that contradict its RECORD.
    """

    model_config = ConfigDict(strict=True)
    name: str
    version: str
    requires: list[str]
    record_sha256: str | None
    content_sha256: str | None
    editable: bool
    unverified: str | None
    altered: list[str]
    missing: list[str]
    unrecorded: list[str]


class _Report(BaseModel):
    """What `host_probe_script.py` writes."""

    model_config = ConfigDict(strict=True)
    python: str
    executable: str
    path: list[str]
    overlaid: list[str]
    distributions: list[Installed]
    packages: dict[str, dict[str, JsonValue] | None]
    device: dict[str, JsonValue]
    platform: dict[str, JsonValue]
    markers: dict[str, str]
    user_site: dict[str, str]


@dataclass(frozen=True)
class HostFindings:
    """A probe and what is needed to judge stack points by it.

    Attributes:
        installed: every distribution, by name.
        markers: variables of environment markers (PEP 508).
        user_site: version of what was asked for and lies only in the user's own folder.
        overlaid: names of the distributions that an overlay provides.
    """

    probe: Probe
    installed: dict[str, Installed]
    markers: dict[str, str]
    user_site: dict[str, str]
    overlaid: tuple[str, ...] = ()

    def unverified(self, reason: str) -> tuple[str, ...]:
        """Name the distributions that were looked at and could not be verified for a reason."""
        return tuple(each.name for each in self.installed.values() if each.unverified == reason)

    def missing(self) -> tuple[str, ...]:
        """Name the files that a RECORD names and that are gone."""
        return tuple(path for each in self.installed.values() for path in each.missing)


def probe_host(python: Path, names: Iterable[str]) -> HostFindings:
    """Probe an existing interpreter from inside, as a benchmark would be started by it.

    Args:
        python: the interpreter.
        names: distributions whose files, and those of all that they require, are looked at.

    Raises:
        ProbeError: the interpreter does not start, fails or gives no usable answer.
    """
    report = ask(
        [str(python), "-I", "-B", str(SCRIPT), *sorted(set(names))],
        _Report,
        whom=f"the interpreter {python}",
        hint=f"Try `{python} -I -c 'import sys'`, or name another one with --stack "
        "host:/path/to/python.",
    )
    return _findings(report)


def probe_overlaid(python: Path, overlay: Path, base: HostFindings) -> HostFindings:
    """Probe an existing interpreter with an overlay put first; hashes only what the overlay holds.

    Args:
        python: the interpreter.
        overlay: folder of packages.
        base: what the interpreter is without it; the digests of its own files are taken over.

    Raises:
        ProbeError: the interpreter does not start, fails or gives no usable answer.
    """
    report = ask(
        [str(python), "-I", "-B", str(SCRIPT), f"--overlay={overlay}"],
        _Report,
        whom=f"the interpreter {python} with the overlay {overlay}",
        hint=f"Remove {overlay.parent} and prepare again.",
    )
    known = [_known(each, base) for each in report.distributions]
    return _findings(report.model_copy(update={"distributions": known}))


def _known(each: Installed, base: HostFindings) -> Installed:
    """Give a distribution of the interpreter itself what is known of its files already."""
    own = base.installed.get(each.name)
    same = own is not None and own.record_sha256 == each.record_sha256
    if own is None or not same or own.version != each.version or each.content_sha256 is not None:
        return each
    return own


def host_key(found: Probe) -> str:
    """Name what an interpreter holds; equal for equal versions and binaries, wherever they lie."""
    facts = [
        {name: value for name, value in (package or {}).items() if name != "file"}
        for package in (found.torch, found.triton)
    ]
    platform = [found.platform.get(name) for name in PLATFORM_FITS]
    contents = [each.model_dump(mode="json") for each in found.distributions]
    told = [found.python, platform, contents, facts, len(found.altered), len(found.unrecorded)]
    return f"host-{digest(told)[:_KEY_LENGTH]}"


def looked_at(found: Probe) -> tuple[str, ...]:
    """Name the distributions whose files were looked at."""
    return tuple(each.name for each in found.distributions if each.content_sha256 is not None)


def host_changes(before: Probe, now: Probe) -> tuple[str, ...]:
    """Say how an interpreter differs from what it was, one phrase for each."""
    phrases = []
    if before.python != now.python:
        phrases.append(f"python is {now.python} and was {before.python}")
    old = {each.name: each for each in before.distributions}
    new = {each.name: each for each in now.distributions}
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    phrases += [_change(name, old.get(name), new.get(name)) for name in changed]
    files = {*now.altered, *now.unrecorded} ^ {*before.altered, *before.unrecorded}
    phrases += [f"{name} is another file than it was" for name in sorted(files)]
    if not phrases and host_key(before) != host_key(now):
        phrases.append("the interpreter's platform or the module that it imports is another one")
    return tuple(phrases)


def _change(name: str, old: Distribution | None, new: Distribution | None) -> str:
    if old is None:
        return f"{name} was not there"
    if new is None:
        return f"{name} is gone"
    if old.version != new.version:
        return f"{name} is {new.version} and was {old.version}"
    return f"files of {name} are others than they were"


def _findings(report: _Report) -> HostFindings:
    installed = {each.name: each for each in sorted(report.distributions, key=lambda it: it.name)}
    every = list(installed.values())
    found = Probe(
        python=report.python,
        executable=report.executable,
        distributions=tuple(
            Distribution(
                name=each.name,
                version=each.version,
                record_sha256=each.record_sha256,
                content_sha256=each.content_sha256,
            )
            for each in every
        ),
        altered=tuple(_short(path, report.path) for each in every for path in each.altered),
        unrecorded=tuple(_short(path, report.path) for each in every for path in each.unrecorded),
        missing=tuple(_short(path, report.path) for each in every for path in each.missing),
        unverified={each.name: each.unverified for each in every if each.unverified},
        torch=report.packages.get("torch"),
        triton=report.packages.get("triton"),
        device=report.device,
        platform=report.platform,
    )
    overlaid = tuple(sorted(report.overlaid))
    return HostFindings(found, installed, report.markers, report.user_site, overlaid)


def _short(path: str, folders: list[str]) -> str:
    """Write a path as seen from the folder of the import path that holds it."""
    inside = [folder for folder in folders if path.startswith(f"{folder}{os.sep}")]
    return os.path.relpath(path, max(inside, key=len)) if inside else path
