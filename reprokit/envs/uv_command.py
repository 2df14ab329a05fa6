"""uv as reprokit runs it, and what its complaints mean."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from reprokit.cache import CacheLayout
from reprokit.envs.redact import redact
from reprokit.envs.uv_settings import Bridge, settings_for_uv
from reprokit.errors import ReprokitError
from reprokit.process.tool import ToolResult, run_tool

UV_LIMIT_S = 3600.0
_FRAME = re.compile(r"[│├╰╭─▶\u00d7]")  # older releases draw a frame around their errors
_END_OF_REASON = re.compile(r"\n\s*\n|\n\s*(?:hint|help|warning):")


class Trouble(StrEnum):
    """What kind of failure a uv command ended with."""

    UNSATISFIABLE = "unsatisfiable"
    NETWORK = "network"
    HASH = "hash"
    TIMEOUT = "timeout"
    OTHER = "other"


_NETWORK = re.compile(
    r"Failed to fetch|error sending request|Request failed after|dns error|client error|"
    r"connection (refused|reset|closed)|operation timed out|network timeout|"
    r"HTTP status|network was disabled|Network connectivity is disabled|certificate",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Complaint:
    """Why uv failed: its kind, and uv's own words in one line, without credentials."""

    trouble: Trouble
    sentence: str

    @property
    def root_cause(self) -> str:
        """The innermost cause: no address, no durations, the same each time."""
        return self.sentence.rpartition("cause: ")[2]


def read_complaint(result: ToolResult) -> Complaint:
    """Sort a failed uv command by what went wrong; never called for one that succeeded."""
    text = _FRAME.sub(" ", result.stderr)
    if result.timed_out:
        return Complaint(Trouble.TIMEOUT, f"uv was stopped after {UV_LIMIT_S:.0f} s")
    if "Hash mismatch" in text or "hash mismatch" in text:
        return Complaint(Trouble.HASH, _from(text, "error:"))
    if "No solution found" in text and "network was disabled" not in text:
        return Complaint(Trouble.UNSATISFIABLE, _from(text, "Because"))
    if _NETWORK.search(text):
        return Complaint(Trouble.NETWORK, _from(text, "error:"))
    return Complaint(Trouble.OTHER, _from(text, "error:"))


def _from(text: str, start: str) -> str:
    """Cut uv's reason out of its output: from a word to the end of the paragraph, in one line."""
    begin = max(text.find(start), 0)
    if start == "Because":
        text = _END_OF_REASON.split(text[begin:], maxsplit=1)[0]
    else:
        text = text[begin:].removeprefix(start)
    return redact(" ".join(text.split())) or "uv gave no reason"


@dataclass(frozen=True)
class WheelFolders:
    """Folders of wheels beside what pip and uv are configured with, or instead of it.

    Attributes:
        only: nothing else counts: no index, no configuration, no network.
    """

    folders: tuple[Path, ...] = ()
    only: bool = False

    def arguments(self) -> tuple[str, ...]:
        """Return the options that name them to uv."""
        places = (part for folder in self.folders for part in ("--find-links", _address(folder)))
        return (*(("--no-index",) if self.only else ()), *places)

    def variables(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Return uv's variables, without those that name other sources where there are none."""
        if not self.only:
            several = {"UV_INDEX_STRATEGY": "unsafe-best-match"} if self.folders else {}
            return {**several, **kept}
        own = {name: value for name, value in kept.items() if not _names_source(name)}
        return {**own, "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}


def _address(folder: Path) -> str:
    """Write a folder so that no character of it is taken for a separator."""
    return folder.absolute().as_uri()


def _names_source(variable: str) -> bool:
    others = ("UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_TORCH_BACKEND")
    return variable in others or variable.startswith("UV_INDEX") or variable == "UV_CONFIG_FILE"


class Uv:
    """The uv program with this machine's settings.

    It runs in a folder of reprokit's cache with an empty uv.toml, so that no project which happens
    to lie above the working directory adds its own settings; the user's uv.toml is read.

    Args:
        binary: path of the program.
        variables: the whole environment it is started with.
        bridge: pip's settings, already in `variables`; its arguments are added to `uv pip`.
        work: folder for temporary files.
    """

    def __init__(
        self, binary: Path, variables: Mapping[str, str], bridge: Bridge, work: Path
    ) -> None:
        self.binary = binary
        self.bridge = bridge
        self._variables = dict(variables)
        self._work = work

    @classmethod
    def here(
        cls,
        cache: CacheLayout,
        environ: Mapping[str, str] | None = None,
        *,
        offline: bool = False,
        wheels: WheelFolders | None = None,
    ) -> Uv:
        """Find uv and read this machine's settings for it.

        `wheels` are folders that pip's configuration does not name, or takes the place of.

        Raises:
            ReprokitError: uv is not installed.
            UsageError: pip's configuration is damaged.
        """
        environ = os.environ if environ is None else environ
        variables, bridge = settings_for_uv(environ)
        if offline:
            variables["UV_OFFLINE"] = "1"
        if wheels is not None:
            variables = wheels.variables(variables)
            own = () if wheels.only else bridge.arguments
            bridge = replace(bridge, arguments=(*own, *wheels.arguments()))
        work = cache.root / "uv"
        work.mkdir(parents=True, exist_ok=True)
        (work / "uv.toml").touch()
        return cls(_find_uv(environ), variables, bridge, work)

    def pip(
        self,
        command: str,
        *args: str,
        indexes: bool = True,
        log: Path | None = None,
        timeout_s: float = UV_LIMIT_S,
    ) -> ToolResult:
        """Run `uv pip COMMAND`; only a failure to start raises."""
        extra = self.bridge.arguments if indexes else ()
        return self.run("pip", command, *args, *extra, log=log, timeout_s=timeout_s)

    def run(self, *args: str, log: Path | None = None, timeout_s: float = UV_LIMIT_S) -> ToolResult:
        """Run a uv command; only a failure to start raises."""
        return run_tool(
            [str(self.binary), *args],
            env=self._variables,
            cwd=self._work,
            timeout_s=timeout_s,
            log=log,
        )

    @cached_property
    def version(self) -> str:
        """What uv calls itself, for records."""
        return self.run("--version").stdout.strip()

    @property
    def torch_backend(self) -> str | None:
        """The PyTorch build that the user asks uv for in its own variable."""
        return self._variables.get("UV_TORCH_BACKEND") or None

    def without_torch_backend(self) -> Uv:
        """Return the same uv without the user's own UV_TORCH_BACKEND."""
        kept = {k: v for k, v in self._variables.items() if k != "UV_TORCH_BACKEND"}
        return Uv(self.binary, kept, self.bridge, self._work)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a temporary folder under the one that uv runs in."""
        with TemporaryDirectory(dir=self._work, prefix="tmp-") as folder:
            yield Path(folder)


def _find_uv(environ: Mapping[str, str]) -> Path:
    # The uv that reprokit's own environment declares comes first: its version is a known one.
    import uv  # noqa: PLC0415 - looked for only when it is needed

    try:
        return Path(uv.find_uv_bin())
    except FileNotFoundError:
        found = shutil.which("uv", path=environ.get("PATH", os.defpath))
    if found is None:
        raise ReprokitError(
            "uv, which builds the environments, is not installed",
            hint="It comes with reprokit: install reprokit again, or put uv on the PATH.",
        )
    return Path(found)
