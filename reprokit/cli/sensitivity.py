"""`reprokit sensitivity`: how far results move with choices that should not matter."""

from __future__ import annotations

from pathlib import Path

import click

from reprokit.cli.options import json_option
from reprokit.cli.written import check_folder, runs_argument, write_files

_NAME = "sensitivity"


@click.command()
@runs_argument
@click.option(
    "--drop",
    type=click.IntRange(min=0),
    metavar="N",
    help="Drop up to N first iterations of every invocation (default: as many as were warmed up).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write sensitivity.json and sensitivity.md to; without it they are printed.",
)
@json_option
def sensitivity(
    run_paths: tuple[Path, ...], drop: int | None, out: Path | None, as_json: bool
) -> int:
    """Vary what should not matter: seed, warm-up, token length, and the run itself.

    Tables with the largest relative change and whether any conclusion changes. Runs of one claim on
    one kind of machine are compared as repeats. Ends with 0 when it was told, whatever it says.
    """
    from reprokit.kept.read import read_kept_runs  # noqa: PLC0415 - imports NumPy and SciPy
    from reprokit.report.sensitivity import render_sensitivity  # noqa: PLC0415
    from reprokit.sensitivity.examine import examine  # noqa: PLC0415
    from reprokit.sensitivity.records import SCHEMA  # noqa: PLC0415

    if out is not None:
        check_folder(out, _NAME, SCHEMA)
    found = examine(read_kept_runs(run_paths), drop=drop)
    report = render_sensitivity(found)
    if out is not None:
        files = {f"{_NAME}.json": found.to_json(), f"{_NAME}.md": report}
        write_files(out, files, quiet=as_json)
    if as_json:
        click.echo(found.to_json(), nl=False)
    elif out is None:
        click.echo(report, nl=False)
    return 0
