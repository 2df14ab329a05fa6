"""Where the wheels of an environment lie, and how large they are: uv's answer as a pylock.toml.

The file itself (PEP 751) names indexes, so it is never kept; locks are made of names, versions and
hashes alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from reprokit.envs.lock import Lock, Pin
from reprokit.envs.resolve import Request, compile_arguments, resolution_failure
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv, read_complaint
from reprokit.errors import EnvironmentBuildError
from reprokit.process.tool import ToolResult
from reprokit.records import Record

_OUTPUT = "pylock.wheels.toml"


class WheelFile(Record):
    """One wheel on an index or in a folder.

    Attributes:
        url: its address; `file:` for one on this machine. May hold credentials.
        file: its name.
        sha256: in hex.
        size: in bytes, None where the index does not say.
    """

    name: str
    version: str
    url: str
    file: str
    sha256: str
    size: int | None = None


def list_wheels(uv: Uv, torch: TorchIndex, request: Request) -> tuple[WheelFile, ...]:
    """Name the wheels of exactly the distributions that a request names, and of nothing else.

    Args:
        uv: the uv of this machine.
        torch: the PyTorch build that is asked for.
        request: what is wanted, for which interpreter or target.

    Raises:
        EnvironmentBuildError: there is no such wheel, or uv cannot find out.
    """
    with uv.scratch() as folder:
        arguments = compile_arguments(folder, replace(request, no_deps=True))
        output = folder / _OUTPUT

        def command(chosen: Uv, backend: tuple[str, ...]) -> ToolResult:
            output.unlink(missing_ok=True)
            return chosen.pip(
                "compile", *arguments, *backend, "--format", "pylock.toml", "--preview-features",
                "pylock", "--output-file", str(output),
            )  # fmt: skip

        result = torch.run(uv, command)
        if not result.ok:
            raise resolution_failure(read_complaint(result), request)
        return tuple(_wheels(tomllib.loads(output.read_text(encoding="utf-8")), output))


def lock_of(wheels: Iterable[WheelFile]) -> Lock:
    """Make a lock that accepts exactly these wheels."""
    pins: dict[str, Pin] = {}
    for wheel in wheels:
        known = pins.get(wheel.name)
        hashes = {*(known.hashes if known else ()), wheel.sha256}
        pins[wheel.name] = Pin(name=wheel.name, version=wheel.version, hashes=tuple(sorted(hashes)))
    return Lock(pins=tuple(pins[name] for name in sorted(pins)))


def _wheels(document: dict[str, Any], path: Path) -> Iterator[WheelFile]:
    for package in document.get("packages", ()):
        name, version = package.get("name"), package.get("version")
        found = package.get("wheels") or ()
        if not found:
            raise EnvironmentBuildError(
                f"no index has a wheel of {name} {version}",
                hint="A source distribution cannot be held to what was measured: name a version "
                "that has wheels.",
            )
        for wheel in found:
            yield _wheel(name, version, wheel, path)


def _wheel(name: str, version: str, wheel: dict[str, Any], path: Path) -> WheelFile:
    digest = wheel.get("hashes", {}).get("sha256")
    place = wheel.get("url")
    if place is None and "path" in wheel:
        place = (path.parent / wheel["path"]).resolve().as_uri()
    if digest is None or place is None:
        raise EnvironmentBuildError(
            f"the index gives no SHA-256 for the wheel of {name} {version}",
            hint="Put the wheel into a folder and name it with --find-links.",
        )
    parts = urlsplit(place)
    file = Path(wheel.get("name") or unquote(parts.path)).name
    size = wheel.get("size")
    if size is None and parts.scheme == "file":
        size = Path(unquote(parts.path)).stat().st_size
    return WheelFile(
        name=canonicalize_name(name), version=version, url=place, file=file,
        sha256=digest, size=size,
    )  # fmt: skip
