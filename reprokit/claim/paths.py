"""Relative paths that a claim names: never out of the folder that they belong to."""

from __future__ import annotations

import re
from pathlib import Path

from reprokit.claim.problems import Complaint

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


def relative_path_complaint(text: str) -> Complaint | None:
    """Say why this is not a plain relative POSIX path to a file, or nothing if it is."""
    parts = text.split("/")
    faults = (
        (not text.strip() or _CONTROL.search(text), "is not a path"),
        ("\\" in text, "contains a backslash; paths in claims are written with '/'"),
        (text.startswith(("/", "~")) or _DRIVE.match(text), "is not a relative path"),
        (text.startswith("-"), "begins with '-', as options do"),
        (".." in parts, "leads out of its folder with '..'"),
        (parts[-1] in {"", "."}, "names a folder, not a file"),
    )
    for wrong, message in faults:
        if wrong:
            return Complaint(f"{text!r} {message}")
    return None


def inside_complaint(text: str, folder: Path) -> Complaint | None:
    """As `relative_path_complaint`; also refuses a path that leaves `folder` by a symbolic link."""
    if complaint := relative_path_complaint(text):
        return complaint
    try:
        inside = (folder / text).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
        return Complaint(f"{text!r} cannot be followed: {error}")
    return None if inside else Complaint(f"{text!r} leads out of its folder by a symbolic link")


def file_complaint(text: str, folder: Path, hint: str) -> Complaint | None:
    """As `inside_complaint`; also asks for a file that is there."""
    if complaint := inside_complaint(text, folder):
        return complaint
    path = folder / text
    if path.is_file():
        return None
    what = "is not a file" if path.exists() else "does not exist"
    return Complaint(f"{text!r} {what} beside the claim", hint)
