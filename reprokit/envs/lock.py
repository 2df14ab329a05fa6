"""Locks: exact versions with hashes, as pip-style requirement text that names no index."""

from __future__ import annotations

import hashlib
import re

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from reprokit.records import Record

_NAME = r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"
_PIN = re.compile(
    rf"^{_NAME}(?:\[[A-Za-z0-9._, -]*\])?==(?P<version>[^\s;=*]+)(?P<rest>(?:\s.*)?)$"
)
_HASH = re.compile(r"^--hash=sha256:(?P<digest>[0-9a-f]{64})$")
_COMMENT = re.compile(r"(^|\s)#.*$")


class LockError(ValueError):
    """A text is no lock; `line` counts from 1."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


class Pin(Record):
    """One distribution: normalised name, exact version, accepted SHA-256 digests, sorted."""

    name: str
    version: str
    hashes: tuple[str, ...]


class Lock(Record):
    """A whole environment, sorted by name; its text and digest are the same for equal content."""

    pins: tuple[Pin, ...]

    def text(self) -> str:
        """Return the lock in the requirement format, in its one normal form."""
        return "".join(
            f"{pin.name}=={pin.version}"
            + "".join(f" \\\n    --hash=sha256:{value}" for value in pin.hashes)
            + "\n"
            for pin in self.pins
        )

    def sha256(self) -> str:
        """Return the digest of the normal form, in hex."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def version(self, name: str) -> str | None:
        """Return the version of a distribution, None where the lock does not name it."""
        wanted = canonicalize_name(name)
        return next((pin.version for pin in self.pins if pin.name == wanted), None)


def parse_lock(text: str) -> Lock:
    """Read a lock: `name==version` with `--hash=sha256:...`, comments, continued lines.

    Options, addresses, paths and markers are refused: a lock says what is installed, and neither
    where it comes from nor when.

    Raises:
        LockError: something else is in it, a distribution comes twice, or it is empty.
    """
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(text):
        pin = _parse_pin(number, line)
        if pin.name in pins:
            raise LockError(number, f"{pin.name} is named twice")
        pins[pin.name] = pin
    if not pins:
        raise LockError(1, "it names no distribution")
    return Lock(pins=tuple(pins[name] for name in sorted(pins)))


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    begun: int | None = None
    collected = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = _COMMENT.sub("", raw).rstrip()
        begun = number if begun is None else begun
        collected += " " + line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        if collected.strip():
            lines.append((begun, collected.strip()))
        begun, collected = None, ""
    if collected.strip() and begun is not None:
        raise LockError(begun, "the last line is continued, and nothing follows")
    return lines


def _parse_pin(number: int, line: str) -> Pin:
    if line.startswith("-"):
        raise LockError(number, f"options are not allowed: {line.split(maxsplit=1)[0]}")
    found = _PIN.match(line)
    if found is None:
        raise LockError(number, f"not `name==version --hash=sha256:...`: {line[:80]!r}")
    try:
        version = str(Version(found["version"]))
    except InvalidVersion:
        raise LockError(number, f"{found['version']!r} is no version") from None
    hashes = {_parse_hash(number, word) for word in found["rest"].split()}
    if not hashes:
        raise LockError(number, f"{found['name']} has no --hash=sha256:...")
    return Pin(
        name=canonicalize_name(found["name"]),
        version=version,
        hashes=tuple(sorted(hashes)),
    )


def _parse_hash(number: int, word: str) -> str:
    found = _HASH.match(word)
    if found is None:
        raise LockError(number, f"only --hash=sha256: and 64 hexadecimal digits may follow: {word}")
    return found["digest"]
