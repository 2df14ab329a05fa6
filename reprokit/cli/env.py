"""`reprokit env`: the environments that this machine keeps."""

from __future__ import annotations

import json
from datetime import timedelta

import click
from pydantic import JsonValue

from reprokit.cache import CacheLayout
from reprokit.cli.cache import require_readable
from reprokit.cli.options import json_option
from reprokit.envs.store import EnvironmentInfo, EnvironmentStore
from reprokit.errors import ExitCode, UsageError

_MIB = 1024 * 1024


@click.group()
def env() -> None:
    """List, show and prune the environments of the cache."""


@env.command("list")
@json_option
def list_command(as_json: bool) -> int:
    """List every environment: key, state, main versions, size on disk, last use."""
    found = _store().list()
    if as_json:
        click.echo(json.dumps([_document(info) for info in found], indent=2))
        return 0
    for info in found:
        click.echo(_line(info))
    if not found:
        click.echo("no environments yet")
    return 0


@env.command("show")
@click.argument("key")
@json_option
def show_command(key: str, as_json: bool) -> int:
    """Show the environment whose key starts with KEY, with every distribution it holds."""
    info = _store().show(key)
    document = _document(info)
    distributions = (
        {found.name: found.version for found in info.marker.findings.probe.distributions}
        if info.marker
        else {}
    )
    if as_json:
        click.echo(json.dumps({**document, "distributions": distributions}, indent=2))
        return 0
    for name, value in document.items():
        click.echo(f"{name}: {value}")
    for name, version in sorted(distributions.items()):
        click.echo(f"  {name}=={version}")
    return 0


@env.command("prune")
@click.argument("keys", nargs=-1)
@click.option("--older-than", type=click.IntRange(min=0), metavar="DAYS", help="Not used since.")
@click.option("--all", "everything", is_flag=True, help="Every environment.")
def prune_command(keys: tuple[str, ...], older_than: int | None, everything: bool) -> int:
    """Remove environments: those whose KEYS are given, those unused for a time, or all."""
    if not keys and older_than is None and not everything:
        raise UsageError(
            "nothing was named to prune", hint="Give keys, --older-than DAYS, or --all."
        )
    age = timedelta(days=older_than) if older_than is not None else None
    pruned = _store().prune(keys, older_than=age, everything=everything)
    for key in pruned.removed:
        click.echo(f"removed {key}")
    for key in pruned.busy:
        click.echo(f"in use, left alone: {key}", err=True)
    click.echo(f"freed {pruned.freed_bytes / _MIB:.1f} MiB")
    return int(ExitCode.INFRASTRUCTURE) if pruned.busy else 0


def _store() -> EnvironmentStore:
    cache = CacheLayout.default()
    require_readable(cache)
    return EnvironmentStore(cache)


def _line(info: EnvironmentInfo) -> str:
    versions = " ".join(f"{name}=={version}" for name, version in info.versions.items())
    python = f"python {info.python}" if info.python else info.state
    size = f"{info.unique_bytes / _MIB:.1f} MiB + {info.shared_bytes / _MIB:.0f} MiB shared"
    return f"{info.key}  {python}  {versions or '-'}  {size}  used {info.used}"


def _document(info: EnvironmentInfo) -> dict[str, JsonValue]:
    return {
        "key": info.key,
        "state": info.state,
        "path": str(info.path),
        "python": info.python,
        "created": info.created,
        "used": info.used,
        "unique_bytes": info.unique_bytes,
        "shared_bytes": info.shared_bytes,
        "versions": dict(info.versions),
    }
