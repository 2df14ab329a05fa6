"""The command line of a process that measures several cells: a batch, as the harness reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

ENTRIES_PER_ARGUMENT = 24
"""Linux takes no argument of 128 KiB or more. An entry is the few values in which cells differ, and
a path, which has 4096 bytes at the most."""


def batch_arguments(
    specs: Sequence[Mapping[str, JsonValue]], directories: Sequence[str]
) -> Iterator[str]:
    """Say which specs to measure, and the directory of each; what all specs share is said once."""
    common = _common(specs)
    entries = [
        {"spec": {k: v for k, v in spec.items() if k not in common}, "directory": directory}
        for spec, directory in zip(specs, directories, strict=True)
    ]
    for start in range(0, len(entries), ENTRIES_PER_ARGUMENT):
        part = entries[start : start + ENTRIES_PER_ARGUMENT]
        text = json.dumps({"common": common, "entries": part}, sort_keys=True)
        yield f"--batch={text}"


def _common(specs: Sequence[Mapping[str, JsonValue]]) -> dict[str, JsonValue]:
    first, *others = specs
    return {
        name: value
        for name, value in first.items()
        if all(json.dumps(other.get(name)) == json.dumps(value) for other in others)
    }
