"""Stack axes, stack points and what became of them on a machine."""

from __future__ import annotations

import hashlib
import json
import re

from pydantic import Field, JsonValue

from reprokit.records import Record, Scalar

SHA_AXIS = "sha"
PYTHON_AXIS = "python"
COMPILE_MODE_AXIS = "compile_mode"
"""Cell axis that says what the subject is; nothing to the baseline."""
CELL_AXES = frozenset({"model", "dtype", "phase", "cache", "compile_mode", "token_len", "batch"})
"""Axes that vary inside an environment; every other axis but sha and python is a package."""

# Underscores separate the axes, so values may have none; names of axes are plain identifiers.
_UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9._]+")
_LONGEST_SLUG = 80


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON-able value in its canonical form, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def slug(assignment: dict[str, Scalar], *, empty: str) -> str:
    """Name an assignment of axes in words that are safe as a file name on any system.

    Two assignments never share a slug: where cleaning or cutting lost anything, a digest of the
    whole assignment is appended.
    """
    if not assignment:
        return empty
    exact = "_".join(f"{name}-{value}" for name, value in assignment.items())
    clean = "_".join(
        f"{_UNSAFE_NAME.sub('-', name)}-{_UNSAFE.sub('-', str(value))}".strip("-.")
        for name, value in assignment.items()
    )
    if clean == exact and len(clean) <= _LONGEST_SLUG:
        return clean
    return f"{clean[:_LONGEST_SLUG]}-{digest(assignment)[:8]}"


class StackPoint(Record):
    """One assignment of the stack axes, as planned.

    Attributes:
        id: safe as a directory name; unique in its plan.
        axes: axis to the value's label, as a reader names it ({"sha": "pinned"}).
        commit: full SHA to check out; None for a built-in benchmark.
        python: version request for uv ("3.11"), None for the one that runs reprokit.
        requirements: PEP 508 lines, with the package axes already put in.
        overrides: `name==value` for every package axis: what uv must accept even when another
            package declares something else.
    """

    id: str
    axes: dict[str, Scalar]
    commit: str | None
    python: str | None
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()

    def identity(self) -> str:
        """Digest of what was asked for; equal for equal points on any machine."""
        return digest([self.commit, self.python, sorted(self.requirements), sorted(self.overrides)])


class Distribution(Record):
    """An installed distribution as seen from inside.

    Attributes:
        record_sha256: digest of its RECORD file; None where it has none.
        content_sha256: digest of all its files, for those that a point on an existing interpreter
            needs. In a locked environment the files are those of RECORD.
    """

    name: str
    version: str
    record_sha256: str | None
    content_sha256: str | None = None


class Probe(Record):
    """What an environment said about itself, from inside.

    Attributes:
        python: full version of the interpreter.
        altered: files whose digest is not the one in their RECORD.
        unrecorded: files that no RECORD names, relative to site-packages.
        missing: files that a RECORD names and that are gone.
        unverified: distribution to why nothing tells what its files should be ("no_record",
            "editable"); None in probes that do not say it.
        torch: version, git_version, cuda, and the file that an import loads; None without torch.
        triton: the same of Triton.
        device: name, type, sm, memory of the device that would be measured on.
        platform: machine, system, libc, processor.
    """

    python: str
    executable: str
    distributions: tuple[Distribution, ...]
    altered: tuple[str, ...] = ()
    unrecorded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unverified: dict[str, str] | None = None
    torch: dict[str, JsonValue] | None = None
    triton: dict[str, JsonValue] | None = None
    device: dict[str, JsonValue] = Field(default_factory=dict)
    platform: dict[str, JsonValue] = Field(default_factory=dict)

    def version(self, name: str) -> str | None:
        """Version of a distribution as installed, None where it is not.

        torch and triton also count where another distribution provides them (pytorch-triton), or
        none does (a build put on the path by hand).
        """
        wanted = re.sub(r"[-_.]+", "-", name).lower()
        for found in self.distributions:
            if found.name == wanted:
                return found.version
        facts = {"torch": self.torch, "triton": self.triton}.get(wanted) or {}
        version = facts.get("distribution") or facts.get("version")
        return version if isinstance(version, str) else None


class Overlay(Record):
    """Packages put before those of an existing interpreter, for one value of a package axis.

    Attributes:
        folder: absolute path; first in PYTHONPATH of every process of the point.
        lock_sha256: digest of the lock that it was installed from.
        distributions: name to version of all that it holds.
        imported: module to the file that an import loaded from it, relative to `folder`: seen from
            inside, in a process started as a benchmark is.
    """

    folder: str
    lock_sha256: str
    distributions: dict[str, str]
    imported: dict[str, str]


class ReadyPoint(Record):
    """A stack point after `prepare`: measured facts, or why there is nothing to measure on.

    Attributes:
        failed: the reason as a code and a sentence, when the point is `environment_failed`.
        declared: False when the combination is not one that the packages themselves declare.
        resolver_says: the resolver's own sentence for an undeclared combination.
        locked: False for an existing interpreter (host stack).
        relocked: True when a committed lock was put aside by `--relock`.
        tree: Git tree hash of the checkout; for a built-in benchmark a digest of its files.
        unmet: what the claim asks for and an existing interpreter has in another version.
        overlay: what is put before the packages of an existing interpreter; None for nothing.
        notes: sentences that the report must not hide.
    """

    point: str
    identity: str
    failed: str | None = None
    failed_detail: str | None = None
    environment: str | None = None
    lock_sha256: str | None = None
    python: str | None = None
    source: str | None = None
    commit: str | None = None
    tree: str | None = None
    declared: bool = True
    resolver_says: str | None = None
    locked: bool = True
    relocked: bool = False
    probe: Probe | None = None
    assets: dict[str, str] = Field(default_factory=dict)
    unmet: tuple[str, ...] = ()
    overlay: Overlay | None = None
    notes: tuple[str, ...] = ()


class Alteration(Record):
    """What a benchmark changed of the source or environment that it was measured in.

    Attributes:
        source: files of the checkout that differ from the commit, or that were added and can be
            executed.
        environment: files of the environment that differ from what was verified.
        added: other files that were left in the checkout: output, most likely.
    """

    point: str
    source: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
