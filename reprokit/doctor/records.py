"""The answer to one question about this machine."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from reprokit.errors import ExitCode
from reprokit.records import Record


class Level(StrEnum):
    """How a check came out; `fail` is what prevents `reprokit verify`."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Record):
    """One thing that was looked at.

    Attributes:
        name: what it is about ("git", "disk of the cache").
        found: what is there.
        means: what follows from it, for a claim that is verified here.
        fix: what to do; empty where nothing needs doing.
    """

    name: str
    level: Level
    found: str
    means: str
    fix: str = ""


class Diagnosis(Record):
    """All checks, in the order in which they were made."""

    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Return what the command ends with: only what prevents `verify` is a failure."""
        failed = any(check.level is Level.FAIL for check in self.checks)
        return ExitCode.INFRASTRUCTURE if failed else ExitCode.REPRODUCED


def ok(name: str, found: str, means: str) -> Check:
    """Make a check that came out well."""
    return Check(name=name, level=Level.OK, found=found, means=means)


def warn(name: str, found: str, means: str, fix: str) -> Check:
    """Make a check that leaves something out of reach."""
    return Check(name=name, level=Level.WARN, found=found, means=means, fix=fix)


def fail(name: str, found: str, means: str, fix: str) -> Check:
    """Make a check that prevents `reprokit verify`."""
    return Check(name=name, level=Level.FAIL, found=found, means=means, fix=fix)


def first_line(text: str) -> str:
    """Return the first line that says something, cut to a readable length."""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "")


def joined(parts: Iterable[str]) -> str:
    """Join what is known of something."""
    return ", ".join(part for part in parts if part)
