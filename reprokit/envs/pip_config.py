"""pip's configuration, read as pip reads it.

uv does not read it, and many machines have their mirrors nowhere else. What is read here is handed
on by `reprokit.envs.uv_settings`.
"""

from __future__ import annotations

import configparser
import locale
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reprokit.errors import UsageError

CONFIG_NAME = "pip.conf"
_SECTIONS = ("global", "download", "install")
"""Later ones win. pip reads `[global]` and the section of the command that is run."""

_ALIASES = {"default-timeout": "timeout", "pypi-url": "index-url"}
_TRUE = frozenset({"y", "yes", "t", "true", "on", "1"})
_FALSE = frozenset({"n", "no", "f", "false", "off", "0"})


@dataclass(frozen=True)
class PipOption:
    """One of pip's options and where it was set: a file, or the name of a variable."""

    value: str
    origin: str

    def words(self) -> tuple[str, ...]:
        """Split a value that may hold several, as pip does."""
        return tuple(self.value.split())

    def is_true(self) -> bool:
        """Read a flag as pip does.

        Raises:
            UsageError: it is neither a yes nor a no; pip itself refuses to start then.
        """
        word = self.value.strip().lower()
        if word not in _TRUE | _FALSE:
            raise UsageError(
                f"{self.origin}: {self.value!r} is neither true nor false",
                hint="pip refuses that value too; correct it.",
            )
        return word in _TRUE


def config_paths(
    environ: Mapping[str, str], *, prefix: str, platform: str = sys.platform
) -> tuple[Path, ...]:
    """List the files that pip would read, in its order: global, user, site, PIP_CONFIG_FILE.

    A PIP_CONFIG_FILE that exists takes the place of the user's files, and the null device of all.

    Args:
        environ: the environment that reprokit was started with.
        prefix: `sys.prefix` of the interpreter whose pip is meant.
        platform: `sys.platform`.
    """
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return ()
    paths = [*_global_paths(environ, platform)]
    if not (named and Path(named).exists()):
        paths += _user_paths(environ, platform)
    paths.append(Path(prefix) / CONFIG_NAME)
    if named:
        paths.append(Path(named))
    return tuple(paths)


def _global_paths(environ: Mapping[str, str], platform: str) -> list[Path]:
    if platform == "darwin":
        return [Path("/Library/Application Support/pip") / CONFIG_NAME]
    folders = [part for part in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if part]
    configured = [Path(folder) / "pip" / CONFIG_NAME for folder in folders or ["/etc/xdg"]]
    return [*configured, Path("/etc") / CONFIG_NAME]


def _user_paths(environ: Mapping[str, str], platform: str) -> list[Path]:
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    legacy = home / ".pip" / CONFIG_NAME
    if platform == "darwin":
        support = home / "Library" / "Application Support" / "pip"
        folder = support if support.is_dir() else home / ".config" / "pip"
        return [legacy, folder / CONFIG_NAME]
    configured = environ.get("XDG_CONFIG_HOME", "").strip()
    folder = Path(configured) if configured else home / ".config"
    return [legacy, folder / "pip" / CONFIG_NAME]


def read_config_files(paths: Sequence[Path]) -> tuple[tuple[str, str], ...]:
    """Read those of the files that exist, as pairs of path and text.

    Raises:
        UsageError: a file is there and cannot be read.
    """
    texts = []
    for path in paths:
        try:
            texts.append((str(path), path.read_text(encoding=locale.getpreferredencoding(False))))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"pip's configuration file {path} cannot be read: {error}",
                hint="Correct its permissions or its encoding; pip cannot read it either.",
            ) from error
    return tuple(texts)


def pip_options(
    environ: Mapping[str, str], files: Sequence[tuple[str, str]]
) -> dict[str, PipOption]:
    """Merge configuration files and PIP_* variables into pip's effective options. Pure.

    Later files win over earlier ones, `[install]` over `[global]`, and variables over all. As in
    pip, an empty value counts as not set, and a list is replaced as a whole.

    Args:
        environ: where the variables are taken from.
        files: pairs of path and text, in pip's order.

    Raises:
        UsageError: a text is no configuration file.
    """
    merged: dict[str, PipOption] = {}
    parsed = [(path, _parse(path, text)) for path, text in files]
    for section in _SECTIONS:
        for path, parser in parsed:
            if parser.has_section(section):
                for name, value in parser.items(section):
                    _put(merged, name, value, f"{path} [{section}]")
    for name, value in sorted(environ.items()):
        if name.startswith("PIP_"):
            _put(merged, name.removeprefix("PIP_"), value, name)
    return merged


def _parse(path: str, text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, source=path)
    except configparser.Error as error:
        raise UsageError(
            f"pip's configuration file {path} is not valid: {error}".replace("\n", " "),
            hint="pip refuses it too; correct the file.",
        ) from error
    return parser


def _put(merged: dict[str, PipOption], name: str, value: str | None, origin: str) -> None:
    key = name.lower().replace("_", "-").removeprefix("--")
    if value:
        merged[_ALIASES.get(key, key)] = PipOption(value, origin)
