"""The directory of one run: what is where, who may write, and that it is whole.

The layout is in docs/architecture.md. `run.json` is written last by `create`, so a directory that
has one was created completely.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import psutil
from filelock import FileLock, Timeout
from pydantic import Field, JsonValue, ValidationError

from reprokit import __version__
from reprokit.adapter import adapter_version
from reprokit.atomic_files import write_atomic, write_record
from reprokit.claim.model import Claim
from reprokit.errors import DamagedRunError, RunError, UsageError
from reprokit.plan import Plan
from reprokit.process.launch import Exit, read_exit
from reprokit.records import Record
from reprokit.stack import Alteration, ReadyPoint

LOCK = ".lock"
CACHE = "cache"
CLAIM_FILES = "claim"
ALTERED = "altered.json"
RUN, CLAIM, ROWS, VERDICT, REPORT = (
    "run.json", "claim/claim.yaml", "rows.jsonl", "verdict.json", "report.md",
)  # fmt: skip

_Kind = TypeVar("_Kind", bound=Record)


class RunRecord(Record):
    """What `run.json` holds: everything decided before anything ran.

    Attributes:
        created: UTC, ISO 8601.
        claim_file: name of the claim file; its text is kept as claim/claim.yaml.
        claim_sha256: digest of that text.
        claim: the claim with the departures that the plan lists already in it, so that no later
            stage reads the file again.
        host: facts about the machine that created the run.
        adapter: distribution and version that the adapter comes from; None where that is unknown.
    """

    schema_: Annotated[Literal["reprokit/run/v1"], Field(alias="schema")] = "reprokit/run/v1"
    reprokit: str
    created: str
    claim_file: str
    claim_sha256: str
    host: dict[str, JsonValue]
    claim: Claim
    plan: Plan
    adapter: str | None = None


@dataclass(frozen=True)
class RunDirectory:
    """One run on the disk. Opening it reads `run.json` and nothing else."""

    path: Path
    record: RunRecord

    @classmethod
    def create(
        cls,
        runs: Path,
        *,
        plan: Plan,
        claim: Claim,
        claim_text: bytes,
        claim_file: str,
        claim_lock: bytes | None = None,
    ) -> RunDirectory:
        """Make a new directory `<runs>/<claim>/<UTC time>-<random>` for a plan.

        `claim_lock` is the content of the lock that the claim names.

        Raises:
            RunError: it cannot be written.
        """
        _check_names(plan, where="the plan")
        record = RunRecord(
            reprokit=__version__, created=_now().isoformat(timespec="seconds"),
            claim_file=claim_file, claim_sha256=sha256(claim_text).hexdigest(),
            host=host_facts(), claim=claim, plan=plan,
            adapter=adapter_version(claim.adapter.name),
        )  # fmt: skip
        try:
            path = _fresh(runs.absolute() / plan.claim_id)
            (path / "points").mkdir()
            (path / "invocations").mkdir()
            (path / CLAIM_FILES).mkdir()
            write_atomic(path / CLAIM, [claim_text])
            if claim_lock is not None and claim.stack.lock is not None:
                lock = path / CLAIM_FILES / claim.stack.lock
                lock.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(lock, [claim_lock])
            write_record(path / RUN, record)
        except OSError as error:
            raise RunError(f"cannot create a run directory under {runs}: {error}") from error
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """Open an existing run.

        Raises:
            UsageError: there is no run there.
            DamagedRunError: its run.json is not readable, or claim.yaml is not the one it names.
        """
        path = path.absolute()
        if not (path / RUN).is_file():
            raise UsageError(
                f"{path} is not a run directory: it has no {RUN}",
                hint="A run is a directory like runs/<claim>/<time>-<random>.",
            )
        record = _read(path / RUN, RunRecord)
        _check_names(record.plan, where=str(path / RUN))
        run = cls(path, record)
        if sha256(run.claim_text()).hexdigest() != record.claim_sha256:
            raise DamagedRunError(f"{path / CLAIM} was changed after the run was planned")
        return run

    @property
    def plan(self) -> Plan:
        """The plan that the run executes."""
        return self.record.plan

    @property
    def claim(self) -> Claim:
        """The claim that the plan was made from."""
        return self.record.claim

    @property
    def claim_files(self) -> Path:
        """Folder from which the paths that the claim names count."""
        return self.path / CLAIM_FILES

    @property
    def rows(self) -> Path:
        """File of the rows."""
        return self.path / ROWS

    @property
    def verdict(self) -> Path:
        """File of the verdict."""
        return self.path / VERDICT

    @property
    def report(self) -> Path:
        """File of the report."""
        return self.path / REPORT

    def claim_text(self) -> bytes:
        """Return the claim file as it was when the run was planned."""
        try:
            return (self.path / CLAIM).read_bytes()
        except OSError as error:
            raise DamagedRunError(f"{self.path / CLAIM} cannot be read: {error}") from error

    def point(self, point: str) -> Path:
        """Folder of a stack point."""
        return self.path / "points" / point

    def invocation(self, invocation: str) -> Path:
        """Folder of an invocation."""
        return self.path / "invocations" / invocation

    def launch(self, launch: str, attempt: int) -> Path:
        """Folder of a process that measures several invocations; `attempt` counts from 1."""
        return self.path / "launches" / f"{launch}.{attempt}"

    def compile_cache(self, point: str) -> Path:
        """Folder for the kernels that a point compiles; no part of the bundle."""
        return self.path / CACHE / point

    def exit(self, invocation: str) -> Exit | None:
        """Read how an invocation ended, None when it has not finished."""
        return read_exit(self.invocation(invocation))

    def write_point(self, ready: ReadyPoint, *, lock: bytes | None = None) -> None:
        """Keep what became of a stack point, and the lock that its environment was made from."""
        folder = self.point(ready.point)
        folder.mkdir(parents=True, exist_ok=True)
        if lock is not None:
            write_atomic(folder / "lock.txt", [lock])
        write_record(folder / "stack.json", ready)

    def read_points(self) -> dict[str, ReadyPoint]:
        """Read the stack points that were prepared so far, in the order of the plan."""
        return {
            point.id: _read(path, ReadyPoint)
            for point in self.plan.points
            if (path := self.point(point.id) / "stack.json").is_file()
        }

    def write_alteration(self, found: Alteration) -> None:
        """Keep what a point's invocations changed of its source or environment."""
        write_record(self.point(found.point) / ALTERED, found)

    def read_alterations(self) -> dict[str, Alteration]:
        """Read what was found altered after measuring; points where nothing was are not in it."""
        return {
            point.id: _read(path, Alteration)
            for point in self.plan.points
            if (path := self.point(point.id) / ALTERED).is_file()
        }

    def read_locks(self) -> dict[str, str]:
        """Read the saved lock of every stack point that has one."""
        return {
            point.id: path.read_text(encoding="utf-8")
            for point in self.plan.points
            if (path := self.point(point.id) / "lock.txt").is_file()
        }

    def drop_compile_caches(self) -> None:
        """Remove what points compiled; it can be made again and is no part of the bundle."""
        shutil.rmtree(self.path / CACHE, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run alone; the lock goes with the process, however that ends.

        Raises:
            RunError: another process holds it.
        """
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"another reprokit process is executing {self.path}",
                hint="Wait for it, or end it; two processes never share a run.",
            ) from None
        try:
            yield
        finally:
            lock.release()


def host_facts() -> dict[str, JsonValue]:
    """Say what machine this is, without its name or its user's."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "release": platform.release(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _now() -> datetime:
    return datetime.now(UTC)


def _fresh(parent: Path) -> Path:
    """Make a directory that nobody else has; its name sorts by time."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        path = parent / f"{_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def _read(path: Path, kind: type[_Kind]) -> _Kind:
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DamagedRunError(f"{path}: {where}: {first['msg']}") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def _check_names(plan: Plan, *, where: str) -> None:
    """Refuse a plan whose ids would lead out of the run directory, or name one file twice."""
    names: Mapping[str, tuple[str, ...]] = {
        "claim": (plan.claim_id,),
        "point": tuple(point.id for point in plan.points),
        "invocation": tuple(planned.id for planned in plan.invocations),
        "launch": tuple(planned.launch for planned in plan.invocations if planned.launch),
    }
    for what, ids in names.items():
        for name in ids:
            if name in {"", ".", ".."} or "/" in name or "\0" in name:
                raise DamagedRunError(f"{where}: the {what} id {name!r} is not a file name")
        if what != "launch" and len(set(ids)) != len(ids):
            raise DamagedRunError(f"{where}: two {what}s have the same id")
