"""The stages in their order; nothing else composes them.

    claim -> plan -> environments -> invocations -> rows -> estimates -> verdict -> report

`verify` is `prepare`, `run`, `score`, `report`. Only `prepare` needs a network; every stage can be
called alone and starts from the files of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from reprokit.adapter import Adapter, load_adapter
from reprokit.cache import CacheLayout
from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.claim.model import Claim, GitSource
from reprokit.claim.repository import repository_complaint
from reprokit.envs.prepare import PreparedPoint, PrepareOptions, prepare_points
from reprokit.errors import ClaimError, DamagedRunError, RunError, UsageError
from reprokit.plan import Design, Plan
from reprokit.progress import Event, Observer
from reprokit.report.markdown import render_markdown
from reprokit.rows import collect_rows, read_rows, write_rows
from reprokit.run.atomic import write_atomic
from reprokit.run.directory import RunDirectory
from reprokit.run.execute import execute
from reprokit.run.manifest import write_manifest
from reprokit.stack import ReadyPoint
from reprokit.sweep import make_plan
from reprokit.verdict.records import Verdict
from reprokit.verdict.score import score


@dataclass(frozen=True)
class Request:
    """What a user asks for: a claim and how to sweep it. Two equal requests give equal plans."""

    claim: Path
    sweeps: tuple[str, ...] = ()
    design: Design = "full"
    overrides: tuple[str, ...] = ()
    device: str | None = None
    seed: int | None = None
    allow_local: bool = False


@dataclass(frozen=True)
class Machine:
    """Where this machine keeps things, and how it makes environments."""

    cache: CacheLayout
    runs: Path
    relock: bool = False
    torch_backend: str | None = None
    jobs: int = 2

    @classmethod
    def here(
        cls,
        *,
        runs: Path = Path("runs"),
        relock: bool = False,
        torch_backend: str | None = None,
        jobs: int = 2,
    ) -> Machine:
        """Describe this machine by its defaults and the user's choices."""
        return cls(CacheLayout.default(), runs, relock, torch_backend, jobs)


def plan_claim(request: Request) -> tuple[LoadedClaim, Plan]:
    """Claim file to plan. Reads the one file and runs nothing."""
    loaded = load_claim(request.claim, overrides=request.overrides, allow_local=request.allow_local)
    plan = make_plan(
        loaded,
        sweeps=request.sweeps,
        design=request.design,
        seed=request.seed,
        device=request.device,
    )
    return loaded, plan


def prepare_run(
    loaded: LoadedClaim, plan: Plan, machine: Machine, observer: Observer
) -> tuple[RunDirectory, dict[str, ReadyPoint]]:
    """Plan to a run directory with an environment per point; all that needs a network."""
    run = RunDirectory.create(
        machine.runs,
        plan=plan,
        claim=loaded.claim,
        claim_text=loaded.text.encode(),
        claim_file=loaded.path.name,
        claim_lock=_read_lock(loaded),
    )
    options = _prepare_options(loaded.claim, machine)
    prepared = prepare_points(
        plan,
        loaded.claim,
        claim_dir=run.claim_files,
        cache=machine.cache,
        adapter=loaded.adapter,
        options=options,
        observer=observer,
    )
    return run, _keep_points(run, prepared)


def run_invocations(run: RunDirectory, machine: Machine, observer: Observer) -> None:
    """Make the invocations that are not finished; environments are verified first."""
    adapter = load_adapter(run.claim.adapter.name)
    ready = _verified_points(run, adapter, machine, observer)
    _execute(run, ready, adapter, machine, observer)


def score_run(run: RunDirectory, observer: Observer) -> Verdict:
    """Rows to verdict; pure over what was saved, on any machine.

    The rows are those that the run saved at its end. Where it did not get there, they are read
    from the invocations as they are, and what is missing is `not_run`.
    """
    ready = _prepared_points(run)
    observer(Event("score", run.path.name, "reading rows"))
    if not run.rows.exists():
        write_rows(run, collect_rows(run.plan, ready, load_adapter(run.claim.adapter.name), run))
    rows = tuple(read_rows(run.rows))
    verdict = score(run.claim, run.plan, ready, rows)
    write_atomic(run.verdict, [verdict.to_json().encode()])
    return verdict


def report_run(run: RunDirectory) -> Path:
    """Saved rows and verdict to report.md; closes the bundle with its manifest."""
    verdict = read_verdict(run)
    text = render_markdown(
        verdict, run.claim, run.plan, _prepared_points(run), tuple(read_rows(run.rows))
    )
    write_atomic(run.report, [text.encode()])
    write_manifest(run.path)
    return run.report


def verify_claim(
    request: Request, machine: Machine, observer: Observer
) -> tuple[RunDirectory, Verdict]:
    """Claim to report in one go."""
    loaded, plan = plan_claim(request)
    run, ready = prepare_run(loaded, plan, machine, observer)
    _execute(run, ready, loaded.adapter, machine, observer)
    return _finish(run, observer)


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
    return _finish(run, observer)


def open_run(path: Path) -> RunDirectory:
    """Open a run directory by its path."""
    return RunDirectory.open(path)


def read_verdict(run: RunDirectory) -> Verdict:
    """Read the saved verdict of a run.

    Raises:
        UsageError: it was not scored yet.
        DamagedRunError: the file is not a verdict.
    """
    try:
        return Verdict.model_validate_json(run.verdict.read_bytes())
    except FileNotFoundError:
        raise UsageError(
            f"{run.path} has no verdict yet", hint=f"Score it first: reprokit score {run.path}"
        ) from None
    except ValidationError as error:
        raise DamagedRunError(f"{run.verdict}: {error.errors()[0]['msg']}") from error
    except OSError as error:
        raise RunError(f"{run.verdict} cannot be read: {error}") from error


def _execute(
    run: RunDirectory,
    ready: Mapping[str, ReadyPoint],
    adapter: Adapter,
    machine: Machine,
    observer: Observer,
) -> None:
    """Make the invocations and save their rows, while the source that they came from is here."""
    run.rows.unlink(missing_ok=True)  # rows of an interrupted run that was scored on the way
    execute(run.plan, ready, adapter, run, observer=observer, cache=machine.cache)
    write_rows(run, collect_rows(run.plan, ready, adapter, run))


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


def _finish(run: RunDirectory, observer: Observer) -> tuple[RunDirectory, Verdict]:
    verdict = score_run(run, observer)
    report_run(run)
    run.drop_compile_caches()
    return run, verdict


def _keep_points(run: RunDirectory, prepared: tuple[PreparedPoint, ...]) -> dict[str, ReadyPoint]:
    for point in prepared:
        lock = point.lock_text.encode() if point.lock_text is not None else None
        run.write_point(point.ready, lock=lock)
    return {point.ready.point: point.ready for point in prepared}


def _prepared_points(run: RunDirectory) -> dict[str, ReadyPoint]:
    ready = run.read_points()
    missing = [point.id for point in run.plan.points if point.id not in ready]
    if missing:
        raise UsageError(
            f"{run.path} was not prepared completely: {', '.join(missing)}",
            hint=f"Continue it: reprokit run {run.path}",
        )
    return ready


def _verified_points(
    run: RunDirectory, adapter: Adapter, machine: Machine, observer: Observer
) -> dict[str, ReadyPoint]:
    """Verify the environments of a run again, from its saved locks; nothing is resolved anew.

    What a point was found to be when it was first prepared stays on record: a resumed run must
    not mix two environments under one name. Points that failed are not tried again.
    """
    kept = run.read_points()
    failed = {name for name, point in kept.items() if point.failed is not None}
    points = tuple(point for point in run.plan.points if point.id not in failed)
    prepared = prepare_points(
        run.plan.model_copy(update={"points": points}),
        run.claim,
        claim_dir=run.claim_files,
        cache=machine.cache,
        adapter=adapter,
        options=_prepare_options(run.claim, machine, saved_locks=run.read_locks()),
        observer=observer,
    )
    for point in prepared:
        if (before := kept.get(point.ready.point)) is not None:
            _check_same(run, before, point.ready)
    new = tuple(point for point in prepared if point.ready.point not in kept)
    return {**kept, **_keep_points(run, new)}


def _check_same(run: RunDirectory, before: ReadyPoint, now: ReadyPoint) -> None:
    """Refuse to go on where a point is no longer what it was."""
    if now.failed is not None:
        raise RunError(
            f"{run.path}: stack point {before.point} was ready and is not any more: "
            f"{now.failed_detail or now.failed}",
            hint="Put it right and continue, or start a new run.",
        )
    if (before.lock_sha256, before.tree) != (now.lock_sha256, now.tree):
        raise DamagedRunError(
            f"{run.path}: stack point {before.point} resolves to another environment or source "
            "than the one that was measured",
            hint="Start a new run; rows of two environments are never pooled.",
        )


def _prepare_options(
    claim: Claim,
    machine: Machine,
    *,
    saved_locks: Mapping[str, str] | None = None,
) -> PrepareOptions:
    # A claim with a local repository exists as a record only because its user allowed it when it
    # was loaded; for any other claim, its submodules included, local paths stay refused.
    source = claim.source
    local = isinstance(source, GitSource) and repository_complaint(source.repo) is not None
    return PrepareOptions(
        relock=machine.relock,
        torch_backend=machine.torch_backend or claim.stack.torch_backend,
        allow_local=local,
        jobs=machine.jobs,
        saved_locks=dict(saved_locks or {}),
    )


def _unfinished_run(runs: Path, plan: Plan) -> RunDirectory:
    folder = runs / plan.claim_id
    found = sorted((path for path in folder.glob("*/run.json")), reverse=True)
    unfinished = [run for path in found if not (run := open_run(path.parent)).report.exists()]
    if not unfinished:
        raise UsageError(
            f"there is no unfinished run of {plan.claim_id} under {runs}",
            hint="Leave out --resume to start one.",
        )
    for run in unfinished:
        if run.plan == plan:
            return run
    raise UsageError(
        f"{unfinished[0].path} is unfinished, and its plan is not the one asked for",
        hint="Repeat the options it was started with, or continue it as it is: "
        f"reprokit run {unfinished[0].path} && reprokit score {unfinished[0].path}",
    )
