"""Compares the files of an existing interpreter's distributions with their RECORDs.

Part of `host_probe_script.py`, which loads it: standard library, Python 3.8+.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

SHARED = import_module("probe_script")  # was loaded by its path before
INFOS = (".dist-info", ".egg-info")


def read_record(each: dict[str, Any]) -> dict[str, str]:
    """Read absolute path to hash from a RECORD; "" where it has none."""
    files: dict[str, str] = {}
    if each["record_sha256"] is None:
        return files
    record = os.path.join(each["info"], "RECORD")
    with open(record, encoding="utf-8", errors="replace", newline="") as file:
        for row in csv.reader(file):
            if row and "__pycache__" not in row[0]:
                path = os.path.normpath(os.path.join(each["folder"], row[0]))
                files[path] = row[1] if len(row) > 1 else ""
    return files


def verify(
    each: dict[str, Any], record: dict[str, str], known: set[str], claimed: set[str]
) -> None:
    """Compare the files of a distribution with its RECORD and take the digest of them all.

    `known` are the files of all RECORDs; `claimed` the folders that were walked for another
    distribution already.
    """
    if each["editable"]:
        each["unverified"] = "editable"
    elif not any(record.values()):
        each["unverified"] = "no_record"
    folders = [path for path in own_folders(each, record) if path not in claimed]
    claimed.update(folders)
    beside = sorted({path for folder in folders for path in walk(folder)} - known)
    hashed = {path: value for path, value in record.items() if value}
    each["missing"] = sorted(path for path in hashed if not os.path.lexists(path))
    present = sorted((set(record) - set(each["missing"])) | set(beside))
    digests = dict(zip(present, fingerprints(present)))
    each["altered"] = [path for path in present if path in hashed and differs(
        path, hashed[path], digests[path])]  # fmt: skip
    each["unrecorded"] = [] if each["unverified"] else beside
    if digests:
        lines = [f"{os.path.relpath(path, each['folder'])}\0{digests[path]}" for path in present]
        each["content_sha256"] = hashlib.sha256("\n".join(lines).encode()).hexdigest()


def own_folders(each: dict[str, Any], record: dict[str, str]) -> list[str]:
    """Name the folders and modules that an import of the distribution would read from."""
    if each["unverified"]:
        return imported_folders(each)
    folders = set()
    for path in record:
        inside = os.path.relpath(path, each["folder"]).split(os.sep)
        if inside[0] == os.pardir or inside[0].endswith(INFOS) or len(inside) == 1:
            continue
        top = os.path.join(each["folder"], inside[0])
        # A namespace package is shared; what lies one level below is the distribution's own.
        shared = not os.path.exists(os.path.join(top, "__init__.py"))
        if not shared or len(inside) > 2:
            folders.add(os.path.join(top, inside[1]) if shared else top)
    return sorted(folders)


def imported_folders(each: dict[str, Any]) -> list[str]:
    """Ask the import system where the modules of a distribution without RECORD lie."""
    try:
        with open(os.path.join(each["info"], "top_level.txt"), encoding="utf-8") as file:
            names = file.read().split()
    except OSError:
        names = []
    found = [origin(name) for name in names or [each["name"].replace("-", "_")]]
    return sorted(
        os.path.dirname(path) if os.path.basename(path).startswith("__init__.") else path
        for path in found
        if path is not None and os.path.isfile(path)
    )


def origin(name: str) -> str | None:
    """Find the file that an import of a top-level module would load; imports nothing."""
    if not name.isidentifier():
        return None
    spec = importlib.util.find_spec(name)
    return os.path.realpath(spec.origin) if spec and spec.origin and spec.has_location else None


def walk(top: str) -> list[str]:
    """List every file of a folder but cached bytecode and what version control keeps."""
    if not os.path.isdir(top):
        return [top]
    names = []
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in {"__pycache__", ".git"}]
        names += [os.path.join(folder, name) for name in files]
    return names


def fingerprints(paths: list[str]) -> list[str]:
    """Return the SHA-256 of each file in hex, or where a link leads to that leads nowhere."""
    step = SHARED.BATCH
    batches = [paths[start : start + step] for start in range(0, len(paths), step)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return [digest for batch in pool.map(hash_all, batches) for digest in batch]


def hash_all(paths: list[str]) -> list[str]:
    """Hash files; a link counts as what it leads to, for that is what would be loaded."""
    digests = []
    for path in paths:
        try:
            digests.append(file_digest(path).hex())
        except OSError as error:
            digests.append("unreadable:" + type(error).__name__)
    return digests


def file_digest(path: str) -> bytes:
    """Return the SHA-256 of a file."""
    digest: bytes = SHARED.digest(path, "sha256")
    return digest


def differs(path: str, hashed: str, digest: str) -> bool:
    """Tell whether a file is not the one that RECORD names."""
    if not hashed.startswith("sha256="):
        return not SHARED.matches("", path, hashed)
    if digest.startswith("unreadable:"):
        return True
    value = base64.urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()
    return value != hashed[len("sha256=") :].rstrip("=")
