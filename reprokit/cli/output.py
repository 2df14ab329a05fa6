"""What commands print on standard output: plans, prepared points, verdicts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprokit.errors import ExitCode

if TYPE_CHECKING:
    from reprokit.bundle.needs import Sizes
    from reprokit.bundle.records import BundleRecord
    from reprokit.claim.model import Claim
    from reprokit.machine import Machine
    from reprokit.plan import Plan
    from reprokit.run.directory import RunDirectory
    from reprokit.stack import ReadyPoint
    from reprokit.verdict.records import Verdict


def show_plan(claim: Claim, plan: Plan, machine: Machine, *, as_json: bool) -> None:
    """Print what a run would do."""
    if as_json:
        click.echo(plan.model_dump_json(indent=2))
        return
    from reprokit.report.plan import plan_lines  # noqa: PLC0415 - only for a dry run

    backend = machine.torch_backend or claim.stack.torch_backend
    for line in plan_lines(claim, plan, torch_backend=backend, relock=machine.relock):
        click.echo(line)


def show_prepared(run: RunDirectory, ready: Mapping[str, ReadyPoint]) -> int:
    """Print the run directory and what became of each point; return the exit code."""
    failed = [point for point in ready.values() if point.failed is not None]
    for point in failed:
        click.echo(f"{point.point}: {point.failed}: {point.failed_detail}", err=True)
    click.echo(str(run.path))
    return int(ExitCode.INFRASTRUCTURE) if len(failed) == len(ready) else 0


def show_sizes(sizes: Sizes, free: int) -> None:
    """Say how much a bundle will fetch, before it does."""
    from reprokit.bundle.needs import size_lines  # noqa: PLC0415 - only for a bundle

    for line in size_lines(sizes, free):
        click.echo(line, err=True)


def show_bundle(made: BundleRecord, folder: Path) -> int:
    """Print where the bundle is and which points it lacks; return the exit code."""
    for point in made.points:
        if point.failed is not None:
            click.echo(f"{point.point}: {': '.join(point.failed)}", err=True)
    for text in sorted({note for point in made.points for note in point.notes}):
        click.echo(f"note: {text}", err=True)
    stack = " --stack host[:PYTHON]" if made.plan.host is not None else ""
    click.echo(f"for {made.platform}; there: reprokit run --bundle {folder}{stack}", err=True)
    click.echo(str(folder))
    return 0


def show_verdict(verdict: Verdict, run: RunDirectory, *, as_json: bool) -> None:
    """Print a verdict: a table and the sentence, or the JSON of verdict.json."""
    if as_json:
        document = json.loads(verdict.to_json())
        click.echo(json.dumps({"run": str(run.path), "verdict": document}, indent=2))
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import, not needed for --json

    from reprokit.report.terminal import render_terminal  # noqa: PLC0415

    Console(highlight=False).print(render_terminal(verdict))
    click.echo(f"report: {run.report}")
