"""`reprokit merge`: runs of one claim put together over machines."""

from __future__ import annotations

from pathlib import Path

import click

from reprokit.cli.options import json_option
from reprokit.cli.written import check_folder, runs_argument, write_files

_NAME = "merge"


@click.command()
@runs_argument
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder to write merge.json and merge.md to.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Runs may have planned other points and cells; what only some have is missing elsewhere.",
)
@json_option
def merge(run_paths: tuple[Path, ...], out: Path, allow_missing: bool, as_json: bool) -> int:
    """Put runs of one claim together over machines: is the result portable?

    Runs of another regime (hardware, installed stack) stand beside each other and are never pooled;
    runs of the same one are repeats. Unlike runs are refused, with what differs and where. Ends
    with 0 when it was written, whatever it says.
    """
    from reprokit.kept.read import read_kept_runs  # noqa: PLC0415 - imports NumPy and SciPy
    from reprokit.merging.merge import merge as merged_of  # noqa: PLC0415
    from reprokit.merging.records import SCHEMA  # noqa: PLC0415
    from reprokit.report.merge import render_merge  # noqa: PLC0415

    check_folder(out, _NAME, SCHEMA)
    merged = merged_of(read_kept_runs(run_paths), allow_missing=allow_missing)
    write_files(
        out,
        {f"{_NAME}.json": merged.to_json(), f"{_NAME}.md": render_merge(merged)},
        quiet=as_json,
    )
    if as_json:
        click.echo(merged.to_json(), nl=False)
    return 0
