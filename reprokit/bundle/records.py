"""What lies in a bundle folder, and the record that names it.

bundle.json            the record: plan, claim, what each point needs and where it lies
claim/                 the claim file, as it was, with the lock that it names
git/<mirror>.bundle    repositories: the commits that are measured and their history
locks/<point>.txt      hashed locks
wheels/                every wheel that the locks name, for the stated platform and Python
models/<key>/          files of models
MANIFEST.sha256        digests of all the files above; written last
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reprokit.claim.model import Claim
from reprokit.errors import ReprokitError
from reprokit.plan import Plan
from reprokit.records import Record

RECORD, UNFINISHED, WHEELS, GIT, LOCKS, MODELS, CLAIM = (
    "bundle.json", "bundle.unfinished", "wheels", "git", "locks", "models", "claim",
)  # fmt: skip


ELSEWHERE = "elsewhere"
"""Host of a bundled plan: an interpreter that is chosen on the machine that measures."""


class BundleError(ReprokitError):
    """A bundle cannot be made, is damaged, or is for another machine."""


class BundledRepository(Record):
    """One repository; `file` is relative to the bundle.

    Attributes:
        moved_to: where the host redirected to when it was fetched.
    """

    url: str
    file: str
    commits: tuple[str, ...]
    moved_to: str | None = None


class BundledWheel(Record):
    """One wheel of `wheels/`; `size` in bytes."""

    file: str
    sha256: str
    size: int


class BundledModel(Record):
    """The result of one asset step that needs a network; `folder` is relative to the bundle.

    Attributes:
        name: of the step.
        key: digest of all that the content depends on.
        bytes: of all its files.
    """

    name: str
    key: str
    folder: str
    title: str
    bytes: int


class BundledPoint(Record):
    """What one stack point needs, or why there is nothing for it.

    Attributes:
        python: version that its wheels are for ("3.11").
        lock: file of its lock, relative to the bundle; None where it failed, and for an existing
            interpreter.
        declared, says, relocked: see `ReadyPoint`; known only where it was resolved.
        failed: code and sentence of the step that failed when the bundle was made.
    """

    point: str
    python: str | None = None
    lock: str | None = None
    declared: bool = True
    says: str | None = None
    relocked: bool = False
    failed: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()


class BundleRecord(Record):
    """What `bundle.json` holds.

    Attributes:
        reprokit: version that made it.
        created: UTC, ISO 8601.
        platform: that the wheels are for, in uv's words.
    """

    schema_: Annotated[Literal["reprokit/bundle/v1"], Field(alias="schema")] = "reprokit/bundle/v1"
    reprokit: str
    created: str
    platform: str
    claim_file: str
    claim: Claim
    plan: Plan
    points: tuple[BundledPoint, ...]
    repositories: tuple[BundledRepository, ...]
    wheels: tuple[BundledWheel, ...]
    models: tuple[BundledModel, ...]

    def point(self, name: str) -> BundledPoint:
        """Find a point by its id."""
        return next(point for point in self.points if point.point == name)
