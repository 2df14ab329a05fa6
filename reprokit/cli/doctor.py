"""`reprokit doctor`: what this machine can and cannot do."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from reprokit.cache import CacheLayout
from reprokit.cli.options import json_option, runs_option
from reprokit.doctor.examine import examine
from reprokit.doctor.records import Check, Level
from reprokit.doctor.surroundings import Surroundings

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
_WIDTH = 100


@click.command()
@runs_option
@json_option
def doctor(runs: Path, as_json: bool) -> int:
    """Say what this machine can and cannot do, and how to put right what it lacks.

    Ends with 4 when something prevents `reprokit verify`, and with 0 otherwise.
    """
    found = examine(Surroundings(CacheLayout.default(), runs))
    if as_json:
        click.echo(found.model_dump_json(indent=2))
    else:
        for check in found.checks:
            _show(check)
    return int(found.exit_code)


def _show(check: Check) -> None:
    click.secho(f"{check.level:<5}", fg=_COLOURS[check.level], bold=True, nl=False)
    click.echo(f"{check.name}: {check.found}")
    for text in filter(None, (check.means, check.fix and f"-> {check.fix}")):
        click.echo(textwrap.indent(textwrap.fill(text, _WIDTH - 5), "     "))
