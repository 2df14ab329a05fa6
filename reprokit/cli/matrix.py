"""`reprokit matrix`: the claims of a published study, from one data file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reprokit.errors import ClaimError, UsageError

if TYPE_CHECKING:
    from reprokit.matrix.rows import Count

_SHOWN = 10
_INDEX = "README.md"
_MARKED_WITHIN = 4096
"""Bytes of a file in which it says that this command wrote it."""


def _named_folder(ctx: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Refuse an empty name, as an unset variable of a shell leaves it: it would mean here."""
    if value is not None and not value.strip():
        raise click.BadParameter("the name of the folder is empty", ctx=ctx, param=param)
    return None if value is None else Path(value)


@click.command()
@click.argument("name", metavar="STUDY")
@click.option(
    "--out",
    type=click.Path(),
    callback=_named_folder,
    help="Folder to write the claims to; without it, only the counts are printed.",
)
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="Only this stage.")
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="NAME",
    help="Only this GPU, or all that begin so.",
)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model.")
@click.option("--check", is_flag=True, help="Write nothing; fail if the folder is not up to date.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def matrix(
    name: str,
    out: Path | None,
    stages: tuple[str, ...],
    gpus: tuple[str, ...],
    models: tuple[str, ...],
    check: bool,
    as_json: bool,
) -> int:
    """Write the claims of STUDY, one for every published figure, and count its rows.

    \b
    reprokit matrix tr147 --out claims/tr147/
    reprokit matrix tr147 --out claims/tr147/ --stage v4c
    """  # noqa: D301 - \b keeps click from rewrapping the examples
    from reprokit.matrix.claims import make_claims  # noqa: PLC0415 - imports pydantic
    from reprokit.matrix.index import index_text, table_lines  # noqa: PLC0415
    from reprokit.matrix.load import load_matrix  # noqa: PLC0415
    from reprokit.matrix.rows import count_rows  # noqa: PLC0415
    from reprokit.matrix.selection import select  # noqa: PLC0415

    if check and out is None:
        raise UsageError("--check needs a folder", hint="Name it with --out.")
    study = load_matrix(name)
    selection = select(study, stages=stages, gpus=gpus, models=models)
    claims, counts = make_claims(study, selection), count_rows(study, selection)
    if not counts:
        raise UsageError(
            f"nothing of {name} is selected", hint="Stage, GPU and model must hold all together."
        )
    files = {claim.path: claim.text for claim in claims}
    if selection.everything:
        files[_INDEX] = index_text(study, counts, claims)
    if out is not None:
        strays = _strays(out, files) if selection.everything else []
        if check:
            _compare(out, files, strays)
        else:
            _refuse_foreign(out, files, name)
            _write(out, files)
            _tell_strays(strays)
    if as_json:
        click.echo(_as_json(counts, len(claims)))
        return 0
    for line in table_lines(study, counts, claims):
        click.echo(line)
    done = "" if out is None else f", {'as they are in' if check else 'written to'} {out}"
    click.echo(f"\n{len(claims)} claims{done}")
    return 0


def _refuse_foreign(out: Path, files: dict[str, str], study: str) -> None:
    """Refuse to overwrite what this command did not write; asked before anything is written.

    Raises:
        UsageError: it names the first such file.
    """
    mark = f"Written by `reprokit matrix {study}`".encode()
    for path in files:
        if out.joinpath(path).is_dir() or mark not in (_read(out / path) or mark)[:_MARKED_WITHIN]:
            raise UsageError(
                f"{out / path} is there already, and `reprokit matrix {study}` did not write it",
                hint="Name another folder with --out. Nothing was written.",
            )


def _write(out: Path, files: dict[str, str]) -> None:
    try:
        for path, text in files.items():
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode())
    except OSError as error:
        raise UsageError(
            f"{error.filename or out} cannot be written: {error.strerror}",
            hint="Name another folder with --out.",
        ) from None


def _compare(out: Path, files: dict[str, str], strays: list[str]) -> None:
    """Compare a folder with what would be written.

    Raises:
        ClaimError: a file is missing, differs, or is not of the study.
    """
    found = {path: _read(out / path) for path in files}
    wrong = [
        f"{path}: {'missing' if found[path] is None else 'differs'}"
        for path, text in files.items()
        if found[path] != text.encode()
    ]
    wrong += [f"{path}: not of this study" for path in strays]
    if wrong:
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        raise ClaimError(
            f"{out} is not up to date: {len(wrong)} file(s)",
            hint="\n".join([*wrong[:_SHOWN], *more, "Write it again without --check."]),
        )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _strays(out: Path, files: dict[str, str]) -> list[str]:
    """Find claims in the folder that are not of the study; they are never removed."""
    found = (path.relative_to(out).as_posix() for path in out.rglob("*.yaml"))
    return sorted(path for path in found if path not in files)


def _tell_strays(strays: list[str]) -> None:
    for path in strays:
        click.echo(f"left alone, not of this study: {path}", err=True)


def _as_json(counts: tuple[Count, ...], claims: int) -> str:
    return json.dumps({"lots": [asdict(count) for count in counts], "claims": claims}, indent=2)
