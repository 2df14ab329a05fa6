"""`reprokit summary`: runs of several claims, their family of decisions, a study's tables."""

from __future__ import annotations

from pathlib import Path

import click

from reprokit.cli.options import json_option
from reprokit.cli.written import check_folder, runs_argument, write_files

_NAME = "summary"


@click.command()
@runs_argument
@click.option(
    "--study",
    metavar="NAME",
    help="Study whose tables to regenerate (default: the one that a claim of the runs is from).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write summary.json and summary.md to; without it they are printed.",
)
@json_option
def summary(run_paths: tuple[Path, ...], study: str | None, out: Path | None, as_json: bool) -> int:
    """Sum up runs of several claims.

    All their decisions are one family, adjusted by Holm's step-down. Of a study the headline matrix
    and the status table are regenerated from the rows, measured beside published. Ends with 0 when
    it was told, whatever it says.
    """
    from reprokit.kept.read import read_kept_runs  # noqa: PLC0415 - imports NumPy and SciPy
    from reprokit.report.summary import render_summary  # noqa: PLC0415
    from reprokit.summary.records import SCHEMA  # noqa: PLC0415
    from reprokit.summary.study import load_study  # noqa: PLC0415
    from reprokit.summary.summarize import summarize  # noqa: PLC0415

    if study is not None:
        load_study(study)
    if out is not None:
        check_folder(out, _NAME, SCHEMA)
    found = summarize(read_kept_runs(run_paths), study)
    report = render_summary(found)
    if out is not None:
        files = {f"{_NAME}.json": found.to_json(), f"{_NAME}.md": report}
        write_files(out, files, quiet=as_json)
    if as_json:
        click.echo(found.to_json(), nl=False)
    elif out is None:
        click.echo(report, nl=False)
    return 0
