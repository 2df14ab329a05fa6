"""Fetches wheels as files: through pip, with the user's own settings; each held to its hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from reprokit.cache import CacheLayout
from reprokit.envs.pylock import WheelFile
from reprokit.envs.redact import HUB_TOKENS, redact
from reprokit.envs.uv_command import Uv
from reprokit.errors import EnvironmentBuildError
from reprokit.process.tool import run_tool
from reprokit.progress import Event, Observer

_LIMIT_S = 3600.0
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")


class WheelDownloader:
    """Brings wheels into a folder; what is there already and has the right hash is kept.

    uv installs wheels and keeps none, so pip fetches them, at the addresses that uv chose.

    Args:
        cache: where a pip is kept, on a machine that has none.
        uv: the uv of this machine.
        observer: told what happens.
    """

    def __init__(self, cache: CacheLayout, uv: Uv, observer: Observer) -> None:
        self._cache, self._uv, self._observer = cache, uv, observer

    def fetch(self, wheels: Iterable[tuple[WheelFile, str]], folder: Path) -> None:
        """Fetch wheels, each with the Python that it is for ("3.11").

        Raises:
            EnvironmentBuildError: one cannot be fetched, or is not what the index promised.
        """
        folder.mkdir(parents=True, exist_ok=True)
        todo = list(wheels)
        for done, (wheel, python) in enumerate(todo, start=1):
            target = folder / wheel.file
            if not (target.is_file() and file_sha256(target) == wheel.sha256):
                self._observer(Event("prepare", wheel.file, "fetching", done - 1, len(todo)))
                self._fetch(wheel, python, target)
            self._observer(Event("prepare", wheel.file, "fetched", done, len(todo), "ok"))

    def _fetch(self, wheel: WheelFile, python: str, target: Path) -> None:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            place = urlsplit(wheel.url)
            if place.scheme == "file":
                came = Path(scratch) / wheel.file
                shutil.copyfile(unquote(place.path), came)
            else:
                came = self._by_pip(wheel, python, Path(scratch))
            found = file_sha256(came)
            if found != wheel.sha256:
                raise EnvironmentBuildError(
                    f"{wheel.file} is not what the index promises: it has the SHA-256 {found}",
                    hint="It was replaced or damaged on the way; try again.",
                )
            came.replace(target)

    def _by_pip(self, wheel: WheelFile, python: str, folder: Path) -> Path:
        asked = folder / "requirements.txt"
        asked.write_text(f"{wheel.name} @ {wheel.url} --hash=sha256:{wheel.sha256}\n")
        result = run_tool(
            [
                *self._pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:",
                "--require-hashes", "--no-cache-dir", "--disable-pip-version-check",
                f"--dest={folder / 'came'}", f"--requirement={asked}",
                *_tag_options(wheel.file, python),
            ],
            env=self._variables(),
            timeout_s=_LIMIT_S,
        )  # fmt: skip
        came = folder / "came" / wheel.file
        if not result.ok or not came.is_file():
            said = [line for line in result.stderr.splitlines() if "ERROR" in line]
            words = "stopped after an hour" if result.timed_out else " ".join(said)
            raise EnvironmentBuildError(
                f"{wheel.file} cannot be fetched: {redact(words) or f'pip {result.returncode}'}",
                hint="Check the network and pip's settings; what was fetched before is kept.",
            )
        return came

    def _variables(self) -> Mapping[str, str]:
        """Give pip the user's environment, and uv's indexes for the credentials that they name."""
        withheld = {"PYTHONPATH", "PIP_TARGET", *HUB_TOKENS}
        own = {k: v for k, v in os.environ.items() if k not in withheld}
        if find_spec("pip") is None:
            own["PYTHONPATH"] = str(self._cache.root / "pip")
        known = [own[name] for name in _INDEX_VARIABLES if own.get(name)]
        more = " ".join([own.get("PIP_EXTRA_INDEX_URL", ""), *known]).strip()
        return {**own, "PIP_EXTRA_INDEX_URL": more} if known else own

    def _pip(self) -> list[str]:
        """Return the command of pip, which is brought here where reprokit's Python has none."""
        folder = self._cache.root / "pip"
        if find_spec("pip") is None and not (folder / "pip").is_dir():
            result = self._uv.pip(
                "install", "pip", "--target", str(folder), "--python", sys.executable
            )
            if not result.ok:
                raise EnvironmentBuildError(
                    "wheels are fetched by pip, and there is none",
                    hint=f"Install it beside reprokit: {sys.executable} -m ensurepip",
                )
        return [sys.executable, "-m", "pip"]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tag_options(file: str, python: str) -> list[str]:
    """Tell pip that this wheel is meant, whatever machine pip runs on."""
    try:
        tags = parse_wheel_filename(file)[3]
    except InvalidWheelFilename as error:
        raise EnvironmentBuildError(f"{file} is not the name of a wheel: {error}") from error
    compiled = any(tag.interpreter.startswith("cp") for tag in tags)
    return [
        f"--python-version={python}",
        f"--implementation={'cp' if compiled else 'py'}",
        *(f"--abi={abi}" for abi in sorted({tag.abi for tag in tags})),
        *(f"--platform={name}" for name in sorted({tag.platform for tag in tags})),
    ]
