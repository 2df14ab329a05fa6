"""Writing what is drawn from several runs: a JSON record and its report, over nothing foreign."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from reprokit.atomic_files import write_atomic
from reprokit.errors import RunError, UsageError
from reprokit.run.directory import RUN

runs_argument = click.argument(
    "run_paths",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
)


def check_folder(folder: Path, name: str, schema: str) -> None:
    """Look at a folder before anything is computed for it.

    Args:
        folder: to write to; need not exist.
        name: of the record in it, which may be there already if it is one of this schema.
        schema: "schema" of the record.

    Raises:
        UsageError: it is in a run, whose manifest it would break, or holds foreign files.
    """
    here = folder.absolute()
    for parent in (here, *here.parents):
        if (parent / RUN).exists():
            raise UsageError(
                f"{folder} is inside the run {parent}, whose files are listed and must not change",
                hint="Name a folder outside of it with --out.",
            )
    if here.exists() and not here.is_dir():
        raise UsageError(f"{folder} is not a folder", hint="Name another one with --out.")
    for path in (here / f"{name}.json", here / f"{name}.md"):
        if path.exists() and not _is_ours(here / f"{name}.json", schema):
            raise UsageError(
                f"{path} is there already, and this command did not write it",
                hint="Name another folder with --out. Nothing was written.",
            )


def write_files(folder: Path, files: Mapping[str, str], *, quiet: bool = False) -> None:
    """Write files atomically, and say their names unless told to be quiet.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomic(folder / name, [content.encode()])
    except OSError as error:
        raise RunError(
            f"{error.filename or folder} cannot be written: {error.strerror}",
            hint="Name another folder with --out.",
        ) from error
    for name in () if quiet else files:
        click.echo(str(folder / name))


def _is_ours(path: Path, schema: str) -> bool:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("schema") == schema
