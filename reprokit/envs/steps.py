"""Why a step of preparing a stack point failed."""

from __future__ import annotations

from dataclasses import dataclass

from reprokit.errors import EnvironmentBuildError, ReprokitError


class StepError(EnvironmentBuildError):
    """A step failed whose code is known where it is raised."""

    def __init__(self, code: str, what: str, *, hint: str = "") -> None:
        super().__init__(what, hint=hint)
        self.code = code


@dataclass(frozen=True)
class StepFailure:
    """Why a step of a point failed; `code` is what `ReadyPoint.failed` says."""

    code: str
    detail: str

    @classmethod
    def of(cls, code: str, error: ReprokitError) -> StepFailure:
        """Make the sentences of an error into those of a record."""
        what = error.what.rstrip(".")
        return cls(code, f"{what}. {error.hint}" if error.hint else what)

    @classmethod
    def of_system(cls, code: str, error: OSError) -> StepFailure:
        """Make a refusal of the operating system (a full disk, no permission) into a record's."""
        return cls(code, f"the system refused it: {error}. Check free space and permissions")
