"""Errors that a user can act on, each with the exit code that the command ends with."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line (design, section 9)."""

    REPRODUCED = 0
    NOT_REPRODUCED = 1
    USAGE = 2
    UNDECIDED = 3
    INFRASTRUCTURE = 4
    INTERRUPTED = 130


class ReprokitError(Exception):
    """A failure whose cause is known.

    Args:
        what: what failed, with the claim, point or file it concerns.
        hint: what the user can do next; one or more sentences, may be empty.
    """

    exit_code: ExitCode = ExitCode.INFRASTRUCTURE

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class UsageError(ReprokitError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class ClaimError(ReprokitError):
    """A claim file cannot be read or is not valid; `what` starts with file:line:column."""

    exit_code = ExitCode.USAGE


class PlanError(ReprokitError):
    """The sweep asked for cannot be planned from this claim."""

    exit_code = ExitCode.USAGE


class CheckoutError(ReprokitError):
    """The source of a claim could not be brought to this machine."""


class RepositoryUnreachableError(CheckoutError):
    """The host did not answer, refused the connection or asked for credentials."""


class RepositoryNotFoundError(CheckoutError):
    """The host answered, and there is no such repository (moved, deleted or private)."""


class CommitNotFoundError(CheckoutError):
    """The repository is there, and the commit is not in it."""


class EnvironmentBuildError(ReprokitError):
    """A stack point could not be resolved, installed or verified.

    A run turns it into `environment_failed` rows; it ends a command only when the command was
    about that one environment.
    """


class TamperedEnvironmentError(EnvironmentBuildError):
    """Files of a finished environment are not those that its lock names."""

    def __init__(self, what: str, *, files: tuple[str, ...], hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.files = files


class RunError(ReprokitError):
    """A run directory cannot be written, read or resumed."""


class DamagedRunError(RunError):
    """What lies in a run directory contradicts its own plan or manifest."""

    exit_code = ExitCode.UNDECIDED
