"""`reprokit verify`: the whole line, from a claim file to a verdict."""

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
    runs_option,
)
from reprokit.cli.output import show_plan, show_verdict
from reprokit.pipeline import plan_claim, resume_verify, verify_claim


@click.command()
@claim_argument
@plan_options
@environment_options
@runs_option
@click.option("--dry-run", is_flag=True, help="Print the plan and run nothing.")
@click.option(
    "--resume",
    is_flag=True,
    help="Continue the newest unfinished run of this claim with the same plan.",
)
@quiet_option
@json_option
def verify(
    claim_path: Path, dry_run: bool, resume: bool, as_json: bool, **given: Unpack[RunOptions]
) -> int:
    """Verify CLAIM: prepare environments, run the benchmark, score the rows, write the report.

    \b
    reprokit verify claims/quickstart.yaml --sweep transformers
    reprokit verify claims/gpt_fast_104.yaml --sweep sha,triton
    """  # noqa: D301 - \b keeps click from rewrapping the examples
    request, machine = request_of(claim_path, given), machine_of(given)
    if dry_run:
        loaded, plan = plan_claim(request)
        show_plan(loaded.claim, plan, machine, as_json=as_json)
        return 0
    require_writable(machine.cache)
    with progress_display(quiet=given["quiet"]) as observer:
        step = resume_verify if resume else verify_claim
        directory, verdict = step(request, machine, observer)
    show_verdict(verdict, directory, as_json=as_json)
    return int(verdict.exit_code)
