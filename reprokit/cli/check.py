"""`reprokit check`: the five gates of a kept run, judged again from its files."""

from __future__ import annotations

import textwrap
from pathlib import Path

import click

from reprokit.check import Checked, check_run
from reprokit.cli.options import json_option, run_argument
from reprokit.errors import ExitCode
from reprokit.pipeline import open_run
from reprokit.report.gates_section import GATE_WORDS
from reprokit.verdict.wording import one_line

_COLOURS = {"pass": "green", "open": "yellow", "fail": "red"}
_WIDTH = 100
_LONGEST = 600


@click.command()
@run_argument
@json_option
def check(run_path: Path, as_json: bool) -> int:
    """Judge the five gates of RUN again from its files; writes nothing.

    Every hash of the manifest is compared, the verdict is computed from rows.jsonl once more, and
    each number of verdict.json and report.md is compared with it. Ends with 3 when a gate fails.
    """
    checked = check_run(open_run(run_path))
    if as_json:
        click.echo(checked.model_dump_json(indent=2))
    else:
        _show(checked)
    return int(ExitCode.UNDECIDED) if checked.failed else 0


def _show(checked: Checked) -> None:
    for number, gate in enumerate(checked.gates, start=1):
        click.secho(f"{gate.verdict:<5}", fg=_COLOURS[gate.verdict], bold=True, nl=False)
        click.echo(f"gate {number}: {GATE_WORDS[gate.gate]}")
        for sentence in gate.evidence:
            told = textwrap.fill(one_line(sentence, _LONGEST), _WIDTH - 5)
            click.echo(textwrap.indent(told, "     "))
