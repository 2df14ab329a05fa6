"""What makes two failures the same, whatever machine they happened on."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from reprokit.records import Frame

_PACKAGES = re.compile(r"^.*/(?:site|dist)-packages/")
_STDLIB = re.compile(r"^.*/lib(?:64)?/python3\.\d+/")
_IN_PACKAGES = re.compile(r"""[^\s'"(<\[=,]*/(?:site|dist)-packages/""")
_PATH = re.compile(r"""(?<![\w.:/])(?:/[^\s'"():;,<>\[\]{}]+)+""")
_PLACES = (
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<address>"),
    (re.compile(r"\btmp\w{6,}"), "<tmp>"),
    # Digests in hex, and inductor's names for generated code, which are digests in base 32.
    (re.compile(r"(?<![a-z0-9])(?=[a-f]*[0-9])[0-9a-f]{12,}(?![a-z0-9])"), "<hash>"),
    (re.compile(r"(?<![a-z0-9])[a-z2-7]{40,}(?![a-z0-9])"), "<hash>"),
    (re.compile(r"\b(triton_\w*?)_\d+\b"), r"\1_#"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)*(?:e[+-]?\d+)?\s?(?:[KMGT]i?B|bytes?)\b"), "<size>"),
    (re.compile(r"(?<![\w.])-?\d+(?:\.\d+)*(?:e[+-]?\d+)?"), "#"),
    (re.compile(r"\s+"), " "),
)


def fingerprint(exception: str | None, message: str, frame: Frame | None) -> str:
    """Digest of a failure, equal for equal failures on any machine: 12 hex digits.

    It covers the class, the first paragraph of the message without numbers, addresses, hashes and
    folders, and the terminal frame's module and function. Line numbers do not count: a comment
    added above makes no other failure.
    """
    paragraph = message.strip().partition("\n\n")[0]
    where = [_module(frame.file), frame.function] if frame else []
    parts = [exception or "", _normal(paragraph), *where]
    return sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:12]


def _normal(text: str) -> str:
    """Take out of a message what differs between two machines or two moments."""
    text = _PATH.sub(lambda found: _module(found.group()), text)
    for pattern, place in _PLACES:
        text = pattern.sub(place, text)
    return text.strip()


def _module(file: str) -> str:
    """Name a file by its place in site-packages, elsewhere by its last part."""
    inside = _PACKAGES.sub("", file)
    name = inside if inside != file or file.startswith("<") else file.rstrip("/").rpartition("/")[2]
    for pattern, place in _PLACES[:5]:
        name = pattern.sub(place, name)
    return name


def portable(file: str, source: Path | None) -> str:
    """Name a file without the folders that only this machine has."""
    if not file.startswith("/"):
        return file
    for root in {source, source.resolve()} if source else ():
        if Path(file).is_relative_to(root):
            return Path(file).relative_to(root).as_posix()
    for pattern in (_PACKAGES, _STDLIB):
        if pattern.match(file):
            return pattern.sub("", file)
    return file.rpartition("/")[2]


def portable_text(text: str, source: Path | None) -> str:
    """Take the same folders out of a message."""
    for root in {f"{source}/", f"{source.resolve()}/"} if source else ():
        text = text.replace(root, "")
    return _IN_PACKAGES.sub("", text)
