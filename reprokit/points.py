"""The stack points of one run: prepared once, verified before and looked at again after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reprokit.adapter import Adapter
from reprokit.bundle.unpack import Bundle
from reprokit.claim.model import Claim, GitSource
from reprokit.claim.repository import repository_complaint
from reprokit.envs.checkout_content import few
from reprokit.envs.host_probe import host_changes
from reprokit.envs.prepare import PreparedPoint, PrepareOptions, prepare_points
from reprokit.envs.recheck import recheck_points
from reprokit.envs.uv_command import WheelFolders
from reprokit.errors import DamagedRunError, RunError
from reprokit.machine import Machine
from reprokit.progress import Event, Observer
from reprokit.run.directory import RunDirectory
from reprokit.stack import Alteration, ReadyPoint


def verify_points(
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
        options=prepare_options(run.claim, machine, saved_locks=run.read_locks()),
        observer=observer,
    )
    for point in prepared:
        if (before := kept.get(point.ready.point)) is not None:
            _check_same(run, before, point.ready)
    new = tuple(point for point in prepared if point.ready.point not in kept)
    return {**kept, **keep_points(run, new)}


def prepare_bundled(
    run: RunDirectory, bundle: Bundle, adapter: Adapter, machine: Machine, observer: Observer
) -> dict[str, ReadyPoint]:
    """Prepare the points of a run from a bundle; those that were not to be had there fail here."""
    failed = bundle.failed_points()
    for ready in failed.values():
        run.write_point(ready)
    points = tuple(point for point in run.plan.points if point.id not in failed)
    prepared = prepare_points(
        run.plan.model_copy(update={"points": points}),
        run.claim,
        claim_dir=run.claim_files,
        cache=machine.cache,
        adapter=adapter,
        options=prepare_options(run.claim, machine, saved_locks=bundle.locks()),
        observer=observer,
    )
    completed = tuple(replace(each, ready=bundle.completed(each.ready)) for each in prepared)
    return {**failed, **keep_points(run, completed)}


def _check_same(run: RunDirectory, before: ReadyPoint, now: ReadyPoint) -> None:
    """Refuse to go on where a point is no longer what it was."""
    if now.failed is not None:
        raise RunError(
            f"{run.path}: stack point {before.point} was ready and is not any more: "
            f"{now.failed_detail or now.failed}",
            hint="Put it right and continue, or start a new run.",
        )
    measured = (before.identity, before.lock_sha256, before.tree)
    if measured != (now.identity, now.lock_sha256, now.tree):
        raise DamagedRunError(
            f"{run.path}: stack point {before.point} resolves to another environment or source "
            f"than the one that was measured{_changes(before, now)}",
            hint="Start a new run; rows of two environments are never pooled.",
        )


def _changes(before: ReadyPoint, now: ReadyPoint) -> str:
    """Name what changed on an existing interpreter, which no lock holds fast."""
    if before.locked or before.probe is None or now.probe is None:
        return ""
    changes = host_changes(before.probe, now.probe)
    return f" ({few(changes)})" if changes else ""


def prepare_options(
    claim: Claim,
    machine: Machine,
    *,
    saved_locks: Mapping[str, str] | None = None,
) -> PrepareOptions:
    """Say how the points of a claim are prepared on this machine."""
    # A claim with a local repository exists as a record only because its user allowed it when it
    # was loaded; for any other claim, its submodules included, local paths stay refused.
    source = claim.source
    local = isinstance(source, GitSource) and repository_complaint(source.repo) is not None
    return PrepareOptions(
        relock=machine.relock,
        torch_backend=machine.torch_backend or claim.stack.torch_backend,
        allow_local=local,
        jobs=machine.jobs,
        offline=machine.offline,
        wheels=WheelFolders(machine.find_links, only=machine.only_find_links),
        saved_locks=dict(saved_locks or {}),
    )


def keep_points(run: RunDirectory, prepared: tuple[PreparedPoint, ...]) -> dict[str, ReadyPoint]:
    """Write what became of every point, with its lock, into the run directory."""
    for point in prepared:
        lock = point.lock_text.encode() if point.lock_text is not None else None
        run.write_point(point.ready, lock=lock)
    return {point.ready.point: point.ready for point in prepared}


def recheck(
    run: RunDirectory, ready: Mapping[str, ReadyPoint], machine: Machine, observer: Observer
) -> tuple[Alteration, ...]:
    """Find which sources and environments were altered since they were verified."""
    observer(Event("run", run.path.name, "verifying that nothing was altered"))
    return tuple(recheck_points(ready, machine.cache).values())


def keep_alterations(run: RunDirectory, found: tuple[Alteration, ...]) -> None:
    """Keep alterations on record, of points of which something was measured.

    What was altered before the first measurement of a point spoilt nothing.
    """
    known = run.read_alterations() if found else {}
    for alteration in found:
        if alteration.point not in known and _is_measured(run, alteration.point):
            run.write_alteration(alteration)


def _is_measured(run: RunDirectory, point: str) -> bool:
    mine = (each for each in run.plan.invocations if each.point == point)
    return any(run.exit(each.id) is not None for each in mine)
