"""The adapter protocol: how one kind of benchmark is asked and read.

An adapter is a stateless object bound by the entry-point group `reprokit.adapters`, so a third
party adds one by installing a package. It never starts a process and never decides a status that
the runner can decide: it says which command to run and what the command's output says.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from pydantic import Field, JsonValue

from reprokit.errors import UsageError
from reprokit.records import Arm, Evidence, Failure, Phases, Record, RowStatus, Scalar

ENTRY_POINT_GROUP = "reprokit.adapters"


class OptionError(Exception):
    """An adapter option is wrong; `path` leads to it inside the claim's `adapter` mapping.

    The loader turns it into a `ClaimError` with file, line and column.
    """

    def __init__(self, path: tuple[str, ...], message: str, *, known: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.known = known


class Model(Record):
    """The model a claim names. `weights` is "hub" (pinned revision) or "synthetic" (random)."""

    id: str
    revision: str | None = None
    dtype: str = "float32"
    weights: str = "hub"


class Setup(Record):
    """All that is the same for every invocation of a plan.

    Attributes:
        options: the claim's adapter options after `check_options`.
        arms: what baseline and subject mean here, for example {"baseline": "eager", ...}.
        device: device type asked for ("cpu", "cuda").
        samples: timed iterations per invocation.
        warmup: untimed iterations before them, where the benchmark lets itself be told.
        seed: seed for weights and inputs.
    """

    model: Model | None
    arms: dict[Arm, str]
    options: dict[str, JsonValue]
    device: str
    samples: int
    warmup: int
    seed: int


class PointContext(Record):
    """Where a stack point lives on this machine; absolute paths.

    `source` is the clean checkout of the point's commit, or the built-in harness's directory.
    `assets` maps the name of each `AssetStep` to the directory it filled. `environment` is the key
    of what `python` holds, for assets that depend on it; empty where none are made.
    """

    point: str
    python: str
    source: str
    commit: str | None
    assets: dict[str, str] = Field(default_factory=dict)
    environment: str = ""


class Command(Record):
    """A process to start, without a shell.

    Attributes:
        env: variables added to the allow-listed environment.
        unsupported: why this commit cannot do what is asked, when the source shows that it
            cannot. It is launched all the same: the failure is then evidence, and no row of it
            may be `ok`.
    """

    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str] = Field(default_factory=dict)
    unsupported: str | None = None


class AssetStep(Record):
    """Something built once in the point's environment before measuring (a synthetic checkpoint).

    It is cached under the digest of `key` and shared by points with an equal key, so `key` must
    name everything that the content depends on. The command finds the directory to fill in the
    variable REPROKIT_ASSET_DIR and must leave nothing elsewhere. In REPROKIT_ASSETS it finds the
    directories of the point's steps before it, as a JSON object by their names.

    Attributes:
        key_files: step before it to a small file that this left: its digest is part of the key, so
            that steps whose inputs came out equal share what is made of them.
        inherits: names of variables of the caller that this step alone gets, tokens among them;
            their values are recorded nowhere. A step with such names is taken to fetch something:
            it finds what an attempt that was cut off left in its directory, and may go on with it.
    """

    name: str
    key: dict[str, JsonValue]
    command: Command
    about_bytes: int | None = None
    title: str
    inherits: tuple[str, ...] = ()
    key_files: dict[str, str] = Field(default_factory=dict)


class Invocation(Record):
    """One launch to be made: arm, cell and the directory that its files go to."""

    id: str
    arm: Arm
    cell: dict[str, Scalar]
    directory: str


class Launch(Record):
    """One process that measures several invocations one after the other, in this order.

    Before it begins with one, the process opens `stdout.log` and `stderr.log` in the directory of
    that invocation and sends its streams there. When it is over with one, it writes `done.json`
    there: {"returncode": 0 for measured, 1 for failed, "wall_s": seconds spent on it}. After a
    failure it must exit with code 1: the invocations that are left get a new process.

    Attributes:
        directory: for files of the process itself; exists already.
    """

    id: str
    directory: str
    invocations: tuple[Invocation, ...]


class Sample(Record):
    """One iteration as the benchmark reported it; `iteration` counts from 0.

    A status other than `ok` is the benchmark's own word (a harness that caught an exception); the
    runner may only lower it.
    """

    iteration: int
    values: dict[str, float]
    cold: bool = False
    status: RowStatus = RowStatus.OK
    reason: str | None = None
    evidence: Evidence = Evidence()
    failure: Failure | None = None


class Reading(Record):
    """What the files of one finished invocation say.

    Attributes:
        evidence: facts of the whole invocation; a sample's own facts override them.
        failure: a structured failure, when the benchmark wrote one; otherwise the runner reads
            the log.
        problem: the output itself is damaged (a line cut short); samples that lack then end as
            `fall_through` with this reason.
        unsupported: why the benchmark refused what it was asked for; its rows are `unsupported`,
            and no crash of what is measured.
    """

    samples: tuple[Sample, ...]
    evidence: Evidence = Evidence()
    labels: tuple[str, ...] = ()
    failure: Failure | None = None
    problem: str | None = None
    unsupported: str | None = None


@runtime_checkable
class Adapter(Protocol):
    """How one kind of benchmark is asked and read. All methods are pure but `read`."""

    name: str
    title: str

    def arms(self) -> tuple[str, ...]:
        """Name what baseline and subject may be set to ("eager", "compiled", ...)."""
        ...

    def cell_axes(self) -> Mapping[str, tuple[Scalar, ...] | None]:
        """Map each cell axis it understands to its legal values, or None where any value goes."""
        ...

    def check_options(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the options with defaults filled in; raise `OptionError` for a wrong one."""
        ...

    def builtin_source(self) -> Path | None:
        """Directory of the built-in benchmark, or None where the claim's repository is run."""
        ...

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        """Name what must be built in the point's environment before the first invocation."""
        ...

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch one invocation."""
        ...

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        """Read the files that the invocation left; never raises for what a benchmark wrote."""
        ...


@runtime_checkable
class ChecksCells(Protocol):
    """What an adapter may have beside: rules for axes of which no list names all values.

    Asked when a claim is loaded and a sweep is read, so that a value that cannot be measured ends
    neither in a plan nor on a GPU.
    """

    def cell_fault(self, axis: str, value: Scalar) -> str | None:
        """Say what is wrong with a value of one of its cell axes; None when it can be asked."""
        ...


@runtime_checkable
class ChecksPlans(Protocol):
    """What an adapter may have beside: rules that model, options and cell axes obey together.

    Asked of every cell of a plan, before anything is prepared.
    """

    def never_measurable(self, setup: Setup, cell: Mapping[str, Scalar]) -> str | None:
        """Say why a cell cannot be measured on any stack; None when nothing is known so."""
        ...


class Misfit(Record):
    """Why the model of a claim and the adapter's options cannot be measured together.

    Attributes:
        path: what to change, from the top of the claim: ("model", "id").
    """

    path: tuple[str, ...]
    message: str
    hint: str = ""


@runtime_checkable
class ChecksModel(Protocol):
    """What an adapter may have beside: rules that model and options obey together."""

    def misfit(self, model: Model | None, options: Mapping[str, JsonValue]) -> Misfit | None:
        """Say what can never be measured, whatever the commit; None when nothing is known so.

        `options` are those after `check_options`.
        """
        ...


class Slice(Record):
    """A part of a claim that can be measured on a small machine.

    Attributes:
        changes: dotted path in the claim to the value that is set there; None takes away what is
            there.
        device: measured on this device, whatever the regime names; None leaves it.
    """

    changes: dict[str, JsonValue]
    device: str | None = None


@runtime_checkable
class Slices(Protocol):
    """What an adapter may have beside: models that `--set model=NAME` puts into a claim."""

    def slices(self) -> tuple[str, ...]:
        """Name those that there are."""
        ...

    def slice(self, name: str, claim: Mapping[str, JsonValue]) -> Slice:
        """Say what a name of `slices` stands for in a claim, of which no part need be valid."""
        ...


@runtime_checkable
class SharesProcesses(Protocol):
    """What an adapter may have beside: one process for several cells of one arm.

    Used where a claim asks for it (`protocol.share_process`). Cells of one process share what the
    process is: the unit of replication stays the process.
    """

    def process_key(self, setup: Setup, arm: Arm, cell: Mapping[str, Scalar]) -> str:
        """Say which cells may share a process: those with an equal key."""
        ...

    def shared_command(self, setup: Setup, point: PointContext, launch: Launch) -> Command:
        """Say how to launch a process that measures several invocations (see `Launch`)."""
        ...


@runtime_checkable
class BringsStandIns(Protocol):
    """What an adapter may have beside: modules that stand in for packages that are not there."""

    def dispensable(self, setup: Setup) -> Mapping[str, str]:
        """Map each distribution that an existing interpreter may lack to the reason why.

        A locked environment has all that the claim asks for in any case.
        """
        ...


@runtime_checkable
class ProbesPhases(Protocol):
    """What an adapter may have beside: a launch that tells prefill from decode.

    Asked for by `--phase-probe`, for an invocation beside the planned ones that gives no row.
    """

    def phase_command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch a measurement that splits its phases."""
        ...

    def read_phases(self, setup: Setup, point: PointContext, invocation: Invocation) -> Phases:
        """Read what it left; never raises for what a benchmark wrote."""
        ...


@runtime_checkable
class HasSubjectAxes(Protocol):
    """What an adapter may have beside: cell axes that change nothing for the baseline."""

    def subject_axes(self) -> frozenset[str]:
        """Name them; the baseline is measured once for all their values where they are swept."""
        ...


@cache
def installed_adapters() -> Mapping[str, str]:
    """Map the name of every installed adapter to the entry point that holds it."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def adapter_version(name: str) -> str | None:
    """Name the distribution that an adapter comes from, with its version; None where unknown."""
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        return f"{point.dist.name} {point.dist.version}" if point.dist is not None else None
    return None


def load_adapter(name: str) -> Adapter:
    """Load the adapter that a claim names.

    Raises:
        UsageError: no installed package provides it, or what it provides is no adapter.
    """
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        adapter = point.load()
        if not isinstance(adapter, Adapter):
            raise UsageError(
                f"the entry point {point.value!r} for the adapter {name!r} is not an adapter",
                hint="It must be an object with every method of reprokit.adapter.Adapter.",
            )
        return adapter
    known = ", ".join(sorted(installed_adapters())) or "none"
    raise UsageError(
        f"there is no adapter {name!r} here",
        hint=f"Installed: {known}. Install the package that provides it in reprokit's environment.",
    )
