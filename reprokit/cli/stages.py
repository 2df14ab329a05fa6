"""The four stages of `verify`, each as a command of its own, and `show`."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import click

from reprokit.bundle.gather import Wanted
from reprokit.bundle.unpack import Bundle
from reprokit.cli.cache import require_writable
from reprokit.cli.display import progress_display
from reprokit.cli.options import (
    RunOptions,
    claim_argument,
    environment_options,
    json_option,
    machine_of,
    network_options,
    plan_options,
    quiet_option,
    request_of,
    run_argument,
    runs_option,
    stack_option,
)
from reprokit.cli.output import show_bundle, show_prepared, show_sizes, show_verdict
from reprokit.errors import UsageError
from reprokit.finish import read_verdict, report_run, score_run
from reprokit.machine import Machine
from reprokit.pipeline import (
    Request,
    open_run,
    plan_claim,
    prepare_bundle,
    prepare_run,
    run_bundled,
    run_invocations,
)


@click.command()
@claim_argument
@plan_options
@environment_options
@runs_option
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Gather all that is needed in FOLDER instead, for a machine without a network: there, "
    "`reprokit run --bundle FOLDER`.",
)
@click.option(
    "--platform",
    metavar="NAME",
    help="Platform of that machine, as x86_64-manylinux_2_28 (default: this one's).",
)
@click.option(
    "--python-version",
    metavar="VERSION",
    help="Python of that machine where the claim names none, or of its interpreter with --stack "
    "host (default: the one that runs this).",
)
@quiet_option
def prepare(
    claim_path: Path,
    bundle: Path | None,
    platform: str | None,
    python_version: str | None,
    **given: Unpack[RunOptions],
) -> int:
    """Clone, resolve, download and build all that CLAIM needs; print the run directory.

    Everything after this needs no network.
    """
    request, machine = request_of(claim_path, given), machine_of(given)
    if bundle is not None and given["offline"]:
        raise UsageError(
            "--offline does not go with --bundle: what a bundle holds is fetched",
            hint="Leave one out. Without a network, use a bundle: `reprokit run --bundle FOLDER`.",
        )
    if bundle is not None:
        return _bundle(request, Wanted(bundle, platform, python_version), machine, given["quiet"])
    if platform or python_version:
        raise UsageError(
            "--platform and --python-version are about another machine",
            hint="Use them with --bundle FOLDER.",
        )
    loaded, plan = plan_claim(request)
    require_writable(machine.cache)
    with progress_display(quiet=given["quiet"]) as observer:
        directory, ready = prepare_run(loaded, plan, machine, observer)
    return show_prepared(directory, ready)


def _bundle(request: Request, wanted: Wanted, machine: Machine, quiet: bool) -> int:
    """Make a bundle; the sizes are said before anything large is fetched."""
    require_writable(machine.cache)
    with progress_display(quiet=quiet) as observer:
        made = prepare_bundle(request, wanted, machine, observer, show_sizes)
    return show_bundle(made, wanted.folder)


@click.command()
@click.argument(
    "run_path",
    metavar="[RUN]",
    required=False,
    type=click.Path(file_okay=False, path_type=Path),
)
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Take everything from a bundle and nothing from a network: starts a run of it, or "
    "continues RUN.",
)
@stack_option
@network_options
@runs_option
@quiet_option
def run(
    run_path: Path | None,
    bundle: Path | None,
    host: Path | None,
    find_links: tuple[Path, ...],
    offline: bool,
    runs: Path,
    quiet: bool,
) -> int:
    """Make the invocations of RUN that are not finished yet; needs no network.

    With --bundle, make those of a bundle in a new run directory.
    """
    machine = Machine.here(runs=runs, find_links=find_links, offline=offline)
    if run_path is None and bundle is None:
        raise UsageError(
            "nothing was named to run", hint="Give a run directory, or --bundle FOLDER."
        )
    if host is not None and bundle is None:
        raise UsageError(
            "--stack chooses the interpreter of a bundle; a run stays on its own",
            hint="Leave it out, or name --bundle FOLDER.",
        )
    directory = open_run(run_path) if run_path is not None else None
    require_writable(machine.cache)
    with progress_display(quiet=quiet) as observer:
        if bundle is not None:
            opened = Bundle.open(bundle, observer)
            directory = run_bundled(opened, machine, observer, directory, host)
        elif directory is not None:
            run_invocations(directory, machine, observer)
    assert directory is not None, "one of both was given"
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
