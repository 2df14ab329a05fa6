"""The stages in their order; nothing else composes them.

    claim -> plan -> environments -> invocations -> rows -> estimates -> verdict -> report

`verify` is `prepare`, `run`, `score`, `report`. Only `prepare` needs a network; every stage can be
called alone and starts from the files of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reprokit.adapter import Adapter, ProbesPhases, load_adapter
from reprokit.bundle.gather import Announce, Wanted, gather
from reprokit.bundle.records import BundleRecord
from reprokit.bundle.unpack import Bundle
from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.envs.host import check_interpreter
from reprokit.envs.prepare import prepare_points
from reprokit.errors import ClaimError, UsageError
from reprokit.finish import collect, finish_run
from reprokit.machine import Machine
from reprokit.plan import Design, Plan
from reprokit.points import (
    keep_alterations,
    keep_points,
    prepare_bundled,
    prepare_options,
    recheck,
    verify_points,
)
from reprokit.progress import Observer
from reprokit.records import RowStatus
from reprokit.rows import read_rows
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import execute
from reprokit.run.manifest import MANIFEST
from reprokit.stack import ReadyPoint
from reprokit.sweep import make_plan
from reprokit.verdict.records import Verdict
from reprokit.verdict.units import is_stopped_early


@dataclass(frozen=True)
class Request:
    """What a user asks for: a claim and how to sweep it. Two equal requests give equal plans.

    `host` is an existing interpreter to measure on instead of locked environments. `phase_probe`
    asks for launches beside the planned ones that split prefill from decode.
    """

    claim: Path
    sweeps: tuple[str, ...] = ()
    design: Design = "full"
    overrides: tuple[str, ...] = ()
    device: str | None = None
    seed: int | None = None
    allow_local: bool = False
    host: Path | None = None
    phase_probe: bool = False


def plan_claim(request: Request) -> tuple[LoadedClaim, Plan]:
    """Claim file to plan. Reads the one file and runs nothing."""
    loaded = load_claim(request.claim, overrides=request.overrides, allow_local=request.allow_local)
    plan = make_plan(
        loaded,
        sweeps=request.sweeps,
        design=request.design,
        seed=request.seed,
        device=request.device or loaded.device,
    )
    host = str(request.host) if request.host is not None else None
    if request.phase_probe and not isinstance(loaded.adapter, ProbesPhases):
        raise UsageError(
            f"--phase-probe: the adapter {loaded.adapter.name!r} cannot tell phases apart",
            hint="Leave the option out; where phases are cells (`phase`), they are measured apart.",
        )
    return loaded, plan.model_copy(update={"host": host, "phase_probe": request.phase_probe})


def prepare_run(
    loaded: LoadedClaim, plan: Plan, machine: Machine, observer: Observer
) -> tuple[RunDirectory, dict[str, ReadyPoint]]:
    """Plan to a run directory with an environment per point; all that needs a network."""
    if plan.host is not None:
        check_interpreter(Path(plan.host))
    run = RunDirectory.create(
        machine.runs,
        plan=plan,
        claim=loaded.claim,
        claim_text=loaded.text.encode(),
        claim_file=loaded.path.name,
        claim_lock=_read_lock(loaded),
    )
    options = prepare_options(loaded.claim, machine)
    prepared = prepare_points(
        plan,
        loaded.claim,
        claim_dir=run.claim_files,
        cache=machine.cache,
        adapter=loaded.adapter,
        options=options,
        observer=observer,
    )
    return run, keep_points(run, prepared)


def prepare_bundle(
    request: Request, wanted: Wanted, machine: Machine, observer: Observer, announce: Announce
) -> BundleRecord:
    """Gather all that a claim's points need in one folder, for a machine without a network."""
    loaded, plan = plan_claim(request)
    return gather(
        wanted, loaded, plan, _read_lock(loaded),
        cache=machine.cache, options=prepare_options(loaded.claim, machine), announce=announce,
        observer=observer,
    )  # fmt: skip


def start_bundled(
    bundle: Bundle, plan: Plan, machine: Machine, observer: Observer
) -> tuple[RunDirectory, dict[str, ReadyPoint]]:
    """Bundle to a run directory with an environment per point; needs no network."""
    record = bundle.record
    run = RunDirectory.create(
        machine.runs,
        plan=plan,
        claim=record.claim,
        claim_text=bundle.claim_text(),
        claim_file=record.claim_file,
        claim_lock=bundle.claim_lock(),
    )
    ready = prepare_bundled(run, bundle, load_adapter(record.claim.adapter.name), machine, observer)
    return run, ready


def run_bundled(
    bundle: Bundle,
    machine: Machine,
    observer: Observer,
    run: RunDirectory | None = None,
    host: Path | None = None,
) -> RunDirectory:
    """Make the invocations of a bundle's plan, in a new run or in one that was interrupted.

    `host` is the existing interpreter that a new run measures on, if the bundle is for one.

    Raises:
        UsageError: the run that is to be continued has another plan.
    """
    if run is not None and host is None and run.plan.host is not None:
        host = Path(run.plan.host)
    plan = bundle.plan_on(host)
    if run is not None and run.plan != plan:
        raise UsageError(
            f"{run.path} has another plan than the bundle {bundle.folder}",
            hint="Name the bundle that it was started from, or leave the run out to start one.",
        )
    if host is not None:
        check_interpreter(host)
    closed = bundle.machine(machine)
    bundle.unpack(machine.cache, observer)
    if run is None:
        run, ready = start_bundled(bundle, plan, closed, observer)
        _execute(run, ready, load_adapter(run.claim.adapter.name), closed, observer)
        return run
    run_invocations(run, closed, observer)
    return run


def run_invocations(run: RunDirectory, machine: Machine, observer: Observer) -> None:
    """Make the invocations that are not finished; environments are verified first."""
    adapter = load_adapter(run.claim.adapter.name)
    # What an interrupted run altered would be put right, and hidden, by preparing again.
    altered = recheck(run, run.read_points(), machine, observer)
    ready = verify_points(run, adapter, machine, observer)
    # Only now: where it refuses, nothing is measured on what was altered, and it can be put back.
    keep_alterations(run, altered)
    _execute(run, ready, adapter, machine, observer)


def verify_claim(
    request: Request, machine: Machine, observer: Observer
) -> tuple[RunDirectory, Verdict]:
    """Claim to report in one go."""
    loaded, plan = plan_claim(request)
    run, ready = prepare_run(loaded, plan, machine, observer)
    _execute(run, ready, loaded.adapter, machine, observer)
    return finish_run(run, observer)


def resume_verify(
    request: Request, machine: Machine, observer: Observer
) -> tuple[RunDirectory, Verdict]:
    """Continue the newest unfinished run of the same plan, and finish it.

    Raises:
        UsageError: there is no unfinished run of this claim, or its plan is another one.
    """
    _, plan = plan_claim(request)
    run = _unfinished_run(machine.runs, plan)
    run_invocations(run, machine, observer)
    return finish_run(run, observer)


def open_run(path: Path) -> RunDirectory:
    """Open a run directory by its path."""
    return RunDirectory.open(path)


def _execute(
    run: RunDirectory,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    machine: Machine,
    observer: Observer,
) -> None:
    """Make the invocations and save their rows, while the source that they came from is here."""
    (run.path / MANIFEST).unlink(missing_ok=True)
    run.rows.unlink(missing_ok=True)  # rows of an interrupted run that was scored on the way
    execute(run.plan, ready, adapter, run, observer=observer, cache=machine.cache)
    keep_alterations(run, recheck(run, ready, machine, observer))
    collect(run, ready, adapter)


def _read_lock(loaded: LoadedClaim) -> bytes | None:
    """Read the claim's committed lock, so that the run directory holds all that it needs."""
    path = loaded.lock()
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClaimError(
            f"{loaded.path}: stack.lock: {path} cannot be read: {error.strerror}",
            hint="Commit the lock beside the claim, or leave `lock` out to resolve anew.",
        ) from error


def _unfinished_run(runs: Path, plan: Plan) -> RunDirectory:
    folder = runs / plan.claim_id
    found = sorted((path for path in folder.glob("*/run.json")), reverse=True)
    opened = [open_run(path.parent) for path in found]
    for run in opened:
        if run.plan == plan and _is_unfinished(run):
            return run
    other = next(filter(_is_unfinished, opened), None)
    if other is None:
        raise UsageError(
            f"there is no unfinished run of {plan.claim_id} under {runs}",
            hint="Leave out --resume to start one.",
        )
    raise UsageError(
        f"{other.path} is unfinished, and its plan is not the one asked for",
        hint="Repeat the options it was started with, or continue it as it is: "
        f"reprokit run {other.path} && reprokit score {other.path}",
    )


def _is_unfinished(run: RunDirectory) -> bool:
    """Tell whether a run lacks rows: it may have been scored and reported all the same."""
    if not run.report.exists() or not run.rows.exists():
        return True
    return any(
        row.status is RowStatus.NOT_RUN and not is_stopped_early(row) for row in read_rows(run.rows)
    )
