"""Scalars by the core schema of YAML 1.2, and the characters that no claim may contain."""

from __future__ import annotations

import math
import re

from reprokit.records import Scalar

LONGEST_INTEGER = 18
LONGEST_NUMBER = 100

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# Control characters but tab and line ends, line and paragraph separators, bidirectional controls
# (text that reads otherwise than it is: CVE-2021-42574), surrogates, byte order marks.
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufeff\ufffe\uffff]"
)


def read_scalar(text: str) -> Scalar | None:
    """Read an unquoted scalar: `3.10` is a number, `no` and `2025-08-01` are text.

    Raises:
        ValueError: an infinite number, not a number, or one with absurdly many digits.
    """
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is no number that a claim could mean")
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text)
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    return text


def _number(text: str) -> int | float:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} digits")
    if text.startswith(("0o", "0x")) and len(text) <= LONGEST_INTEGER:
        return int(text, 0)
    if _INTEGER.fullmatch(text):
        if len(text) > LONGEST_INTEGER:
            raise ValueError(f"a whole number of {len(text)} digits")
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def without_forbidden(text: str) -> str:
    """Put a question mark in the place of every character that no claim may contain."""
    return _FORBIDDEN.sub("?", text)


def forbidden_character(text: str) -> tuple[int, str] | None:
    """Find the first character that no claim may contain: its offset, and its name as U+XXXX."""
    found = _FORBIDDEN.search(text)
    return (found.start(), f"U+{ord(found.group()):04X}") if found else None
