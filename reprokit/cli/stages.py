"""The four stages of `verify`, each as a command of its own, and `show`."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from reprokit.cli.cache import require_writable
from reprokit.cli.display import progress_display
from reprokit.cli.options import (
    RunOptions,
    claim_argument,
    environment_options,
    json_option,
    machine_of,
    plan_options,
    quiet_option,
    request_of,
    run_argument,
    runs_option,
)
from reprokit.cli.output import show_prepared, show_verdict
from reprokit.machine import Machine
from reprokit.pipeline import (
    open_run,
    plan_claim,
    prepare_run,
    read_verdict,
    report_run,
    run_invocations,
    score_run,
)


@click.command()
@claim_argument
@plan_options
@environment_options
@runs_option
@quiet_option
def prepare(claim_path: Path, **given: Unpack[RunOptions]) -> int:
    """Clone, resolve, download and build all that CLAIM needs; print the run directory.

    Everything after this needs no network.
    """
    loaded, plan = plan_claim(request_of(claim_path, given))
    machine = machine_of(given)
    require_writable(machine.cache)
    with progress_display(quiet=given["quiet"]) as observer:
        directory, ready = prepare_run(loaded, plan, machine, observer)
    return show_prepared(directory, ready)


@click.command()
@run_argument
@quiet_option
def run(run_path: Path, quiet: bool) -> int:
    """Make the invocations of RUN that are not finished yet; needs no network."""
    directory, machine = open_run(run_path), Machine.here()
    require_writable(machine.cache)
    with progress_display(quiet=quiet) as observer:
        run_invocations(directory, machine, observer)
    click.echo(str(directory.path))
    return 0


@click.command()
@run_argument
@quiet_option
@json_option
def score(run_path: Path, quiet: bool, as_json: bool) -> int:
    """Draw rows.jsonl and verdict.json from the files of RUN, on any machine."""
    directory = open_run(run_path)
    with progress_display(quiet=quiet) as observer:
        verdict = score_run(directory, observer)
    show_verdict(verdict, directory, as_json=as_json)
    return int(verdict.exit_code)


@click.command()
@run_argument
def report(run_path: Path) -> int:
    """Write report.md from the saved rows and verdict of RUN."""
    directory = open_run(run_path)
    click.echo(str(report_run(directory)))
    return 0


@click.command()
@run_argument
@json_option
def show(run_path: Path, as_json: bool) -> int:
    """Show the verdict of RUN; ends with the verdict's exit code."""
    directory = open_run(run_path)
    verdict = read_verdict(directory)
    show_verdict(verdict, directory, as_json=as_json)
    return int(verdict.exit_code)
