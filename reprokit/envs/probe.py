"""What an environment says about itself, and what of that is not as it should be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TypeVar

from packaging.version import Version
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from reprokit.envs.lock import Lock
from reprokit.errors import EnvironmentBuildError, ReprokitError
from reprokit.process.environment import child_environment
from reprokit.process.tool import run_tool
from reprokit.records import Record
from reprokit.stack import Distribution, Probe

SCRIPT = Path(__file__).with_name("probe_script.py")
Report = TypeVar("Report", bound=BaseModel)

_LIMIT_S = 600.0
_UV_OWN = frozenset({"_virtualenv.py", "_virtualenv.pth"})


class ProbeError(EnvironmentBuildError):
    """The environment's interpreter does not start or gives no usable answer."""


class Findings(Record):
    """A probe and what later probes are compared with.

    Attributes:
        missing: files that a RECORD names and that are gone, relative to the environment.
        loose: path to SHA-256 (or `link:` and its target) of every file for which no RECORD has a
            hash, the RECORDs themselves included. Equal at each reuse, or something was altered.
        files: number of files that were compared with the hash in their RECORD.
    """

    probe: Probe
    missing: tuple[str, ...] = ()
    loose: dict[str, str] = Field(default_factory=dict)
    files: int = 0

    def damage(self) -> tuple[str, ...]:
        """Name the files that differ from their RECORD, are gone, or that no RECORD names.

        uv adds to RECORD what a wheel's author forgot, so a file without an entry was put there by
        something else.
        """
        return (*self.probe.altered, *self.missing, *self.probe.unrecorded)

    def changes_since(self, built: Findings) -> tuple[str, ...]:
        """Name every file that is not as it was when the environment was finished."""
        names = {*self.probe.altered, *self.missing}
        names |= {
            name
            for name in {*self.loose, *built.loose}
            if self.loose.get(name) != built.loose.get(name)
        }
        return tuple(sorted(names))


class _Installed(BaseModel):
    model_config = ConfigDict(strict=True)
    name: str
    version: str
    record: str | None


class _Report(BaseModel):
    """What `probe_script.py` writes."""

    model_config = ConfigDict(strict=True)
    python: str
    executable: str
    site: list[str]
    distributions: list[_Installed]
    packages: dict[str, dict[str, JsonValue] | None]
    device: dict[str, JsonValue]
    platform: dict[str, JsonValue]
    altered: list[str]
    missing: list[str]
    loose: dict[str, str]
    unrecorded: list[str]
    files: int


def probe(python: Path, prefix: Path) -> Findings:
    """Probe an environment from inside; executes no file of it but its interpreter.

    Args:
        python: the environment's own interpreter.
        prefix: the environment's folder.

    Raises:
        ProbeError: the interpreter does not start, fails or gives no usable answer.
    """
    report = ask(
        [str(python), "-I", "-S", "-B", str(SCRIPT), str(prefix)],
        _Report,
        whom=f"the environment {prefix}",
        hint="Its interpreter may be gone or damaged; remove it with "
        f"`reprokit env prune {prefix.parent.name}` and prepare again.",
    )
    return _findings(report)


def ask(
    argv: Sequence[str],
    kind: type[Report],
    *,
    whom: str,
    hint: str,
    added: Mapping[str, str] | None = None,
) -> Report:
    """Run a probe script, which is told as its last argument where to leave its report.

    `added` are variables beside those that a benchmark inherits.

    Raises:
        ProbeError: the interpreter does not start, fails or gives no usable answer; it says so of
            `whom`, with the hint.
    """
    with TemporaryDirectory(prefix="reprokit-probe-") as folder:
        out = Path(folder) / "report.json"
        said = ""
        try:
            result = run_tool(
                [*argv, str(out)],
                env=child_environment(os.environ, added=added or {}).variables,
                timeout_s=_LIMIT_S,
            )
            said = (result.stderr.strip().splitlines() or [f"exit {result.returncode}"])[-1]
            return kind.model_validate_json(out.read_text(encoding="utf-8"))
        except (OSError, ReprokitError, ValidationError) as error:
            raise ProbeError(f"{whom} cannot be probed: {said or error}", hint=hint) from error


def _findings(report: _Report) -> Findings:
    distributions = tuple(
        Distribution(
            name=each.name,
            version=each.version,
            record_sha256=report.loose.get(each.record) if each.record else None,
        )
        for each in sorted(report.distributions, key=lambda each: each.name)
    )
    found = Probe(
        python=report.python,
        executable=report.executable,
        distributions=distributions,
        altered=tuple(report.altered),
        unrecorded=_in_site(report),
        missing=tuple(report.missing),
        unverified={},
        torch=report.packages.get("torch"),
        triton=report.packages.get("triton"),
        device=report.device,
        platform=report.platform,
    )
    return Findings(
        probe=found, missing=tuple(report.missing), loose=report.loose, files=report.files
    )


def _in_site(report: _Report) -> tuple[str, ...]:
    names = []
    for name in report.unrecorded:
        for site in report.site:
            path = PurePosixPath(name)
            if path.is_relative_to(site):
                names.append(str(path.relative_to(site)))
    return tuple(sorted(set(names) - _UV_OWN))


def differences(lock: Lock, found: Probe) -> tuple[str, ...]:
    """Say how the installed distributions differ from a lock, one phrase for each."""
    phrases = []
    wanted = {pin.name: pin.version for pin in lock.pins}
    installed: dict[str, list[str]] = {}
    for each in found.distributions:
        installed.setdefault(each.name, []).append(each.version)
    for name, version in wanted.items():
        versions = installed.get(name, [])
        if not versions:
            phrases.append(f"{name} is missing")
        elif len(versions) > 1:
            phrases.append(f"{name} is installed {len(versions)} times")
        elif Version(versions[0]) != Version(version):
            phrases.append(f"{name} is {versions[0]} and not {version}")
    phrases += [f"{name} is not in the lock" for name in sorted(set(installed) - set(wanted))]
    return tuple(phrases)
