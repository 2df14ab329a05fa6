"""A machine that environments are prepared for elsewhere: its platform and its Python."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable

from reprokit.envs.interpreter import Interpreter
from reprokit.errors import UsageError
from reprokit.records import Record

_OTHER_ORDER = re.compile(
    r"(?P<system>manylinux_\d+_\d+|manylinux2014)_(?P<machine>x86_64|aarch64)"
)
_KNOWN = re.compile(
    r"linux|macos|(x86_64|aarch64)-(manylinux2014|manylinux_2_\d+|unknown-linux-gnu|apple-darwin)"
)
_PYTHON = re.compile(r"3\.\d+(\.\d+)?")


class Target(Record):
    """A platform in uv's words ("x86_64-manylinux_2_28") and a Python ("3.11")."""

    platform: str
    python: str

    def options(self) -> list[str]:
        """Return the options that make uv resolve for it."""
        return ["--python-platform", self.platform, "--python-version", self.python]

    def interpreter(self, here: Interpreter) -> Interpreter:
        """Describe its interpreter as far as that is known; `here` is what uv itself runs on."""
        version = self.python if self.python.count(".") == 2 else f"{self.python}.0"
        facts = {"version": version, "abi": "", "platform": self.platform, "libc": ""}
        return here.model_copy(update=facts)


_GLIBC = (17, 28, *range(31, 41))
"""Minor versions of glibc 2 that uv resolves for."""


def this_platform() -> str:
    """Name this machine's platform in uv's words; the newest of them that it is compatible with.

    Raises:
        UsageError: uv has no word for it.
    """
    machine = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if platform.system() == "Darwin":
        return f"{machine}-apple-darwin"
    name, version = platform.libc_ver()
    fitting = [minor for minor in _GLIBC if name == "glibc" and minor <= _minor(version)]
    if not fitting:
        raise UsageError(
            "this machine's platform is not one that wheels can be named for",
            hint="Name the other machine's with --platform, as x86_64-manylinux_2_28.",
        )
    return f"{machine}-manylinux_2_{fitting[-1]}"


def least_platform(wheels: Iterable[str]) -> str:
    """Name the oldest platform like this machine that files of wheels can be used on.

    Raises:
        UsageError: uv has no word for this machine.
    """
    here = this_platform()
    if "manylinux" not in here:
        return here
    needed = [_glibc_of(name) for name in wheels]
    least = max(needed, default=0)
    fitting = next((minor for minor in _GLIBC if minor >= least), _GLIBC[-1])
    return f"{here.partition('-')[0]}-manylinux_2_{fitting}"


def _glibc_of(wheel: str) -> int:
    """Return the oldest minor version of glibc 2 that a wheel's name allows; 0 for any."""
    named = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", wheel)]
    return min([*named, *([17] if "manylinux2014" in wheel else [])], default=0)


def misfit(wanted: str) -> str | None:
    """Say why wheels of a platform cannot be used on this machine; None where they can."""
    machine, _, system = wanted.partition("-")
    here = {"arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if machine in {"x86_64", "aarch64"} and machine != here:
        return f"it is for {machine} processors, and this is {here}"
    mac = "apple" in system or wanted == "macos"
    if mac != (platform.system() == "Darwin"):
        return f"it is for {wanted}, and this is {platform.system()}"
    least = re.fullmatch(r"manylinux_2_(\d+)", system)
    name, version = platform.libc_ver()
    if least and (name != "glibc" or _minor(version) < int(least[1])):
        return f"it needs glibc 2.{least[1]} or newer, and this is {name or 'no glibc'} {version}"
    return None


def _minor(version: str) -> int:
    found = re.match(r"2\.(\d+)", version)
    return int(found[1]) if found else 0


def read_platform(text: str) -> str:
    """Read a platform as uv writes it, or as wheels do ("manylinux_2_28_x86_64").

    Raises:
        UsageError: it is neither.
    """
    swapped = _OTHER_ORDER.fullmatch(text)
    if swapped:
        return f"{swapped['machine']}-{swapped['system']}"
    if not _KNOWN.fullmatch(text):
        raise UsageError(
            f"--platform {text!r} is not a platform",
            hint="Name machine and C library of the other machine, as x86_64-manylinux_2_28 (glibc "
            "2.28 or newer) or aarch64-manylinux_2_28. `ldd --version` there says its glibc.",
        )
    return text


def read_python_version(text: str) -> str:
    """Read a version of Python that wheels can be chosen for.

    Raises:
        UsageError: it is none.
    """
    if not _PYTHON.fullmatch(text):
        raise UsageError(
            f"--python-version {text!r} is not a version of Python", hint="Write it as 3.11."
        )
    return text
