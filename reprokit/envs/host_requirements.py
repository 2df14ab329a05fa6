"""Requirements, held against what an existing interpreter has."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.envs.host_probe import HostFindings


def read_requirement(text: str) -> Requirement | None:
    """Read a PEP 508 line; old metadata holds lines that are none."""
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def applies(line: Requirement, found: HostFindings) -> bool:
    """Tell whether a requirement is meant for this interpreter; extras are not followed."""
    return line.marker is None or line.marker.evaluate({**found.markers, "extra": ""})


def version_of(name: str, found: HostFindings) -> str | None:
    """Return the version of a distribution, None where it is not there."""
    each = found.installed.get(canonicalize_name(name))
    return each.version if each is not None else found.probe.version(name)


def fits(line: Requirement, version: str | None) -> bool:
    """Tell whether a version is what is asked for; one that cannot be read is not."""
    try:
        return version is not None and line.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
