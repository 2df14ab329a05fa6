"""`reprokit schema`: the JSON Schemas of the files that people write and read."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("name", type=click.Choice(["claim", "verdict"]))
def schema(name: str) -> int:
    """Print the JSON Schema of a claim file or of verdict.json."""
    if name == "claim":
        from reprokit.claim.schema import claim_schema  # noqa: PLC0415 - only the one asked for

        document = claim_schema()
    else:
        from reprokit.verdict.schema import verdict_schema  # noqa: PLC0415

        document = verdict_schema()
    click.echo(json.dumps(document, indent=2, sort_keys=True))
    return 0
