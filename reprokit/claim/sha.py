"""What counts as the name of a commit in a claim: its full SHA, and nothing that can move."""

from __future__ import annotations

import re

from reprokit.claim.problems import Complaint

_FULL = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-fA-F]{4,39}")
_ALL = re.compile(r"[0-9a-fA-F]{40}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def is_full_sha(text: str) -> bool:
    """Tell whether this is a full SHA-1 in lower case, as Git prints it."""
    return _FULL.fullmatch(text) is not None


def sha_complaint(text: str) -> Complaint | None:
    """Say why this does not name a commit for ever, or nothing if it does."""
    if is_full_sha(text):
        return None
    if _ALL.fullmatch(text):
        return Complaint(f"{text!r} has upper-case letters", f"Write it as {text.lower()}.")
    if _SHORT.fullmatch(text):
        return Complaint(
            f"{text!r} is a short SHA of {len(text)} digits, which may come to mean two commits",
            f"Write all 40 digits: git rev-parse {text} in a clone prints them.",
        )
    if _SHA256.fullmatch(text):
        return Complaint(f"{text!r} is a SHA-256; a commit is named by the 40 digits of its SHA-1")
    return Complaint(
        f"{text!r} is not the full SHA of a commit (40 hexadecimal digits)",
        "Branches and tags can move; git rev-parse prints the SHA that one stands for now.",
    )
