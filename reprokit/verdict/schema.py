"""The JSON Schema of `verdict.json`, for programs that read verdicts."""

from __future__ import annotations

import json
from typing import Any

from reprokit.verdict.records import SCHEMA, Verdict

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def verdict_schema() -> dict[str, Any]:
    """Describe `verdict.json` as it is written."""
    schema = Verdict.model_json_schema(by_alias=True, mode="serialization")
    return {
        "$schema": _DIALECT,
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": SCHEMA,
        **_plain(schema),
    }


def verdict_schema_text() -> str:
    """Return the schema as it is committed in docs/schemas/verdict.schema.json."""
    return json.dumps(verdict_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _plain(value: Any, *, names: bool = False) -> Any:  # noqa: ANN401 - JSON has any shape
    """Drop the titles that pydantic makes from names; they change between its releases.

    Args:
        value: a part of the schema.
        names: whether the keys of `value` are names of properties and not keywords.
    """
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _plain(part, names=key in {"properties", "$defs"})
        for key, part in value.items()
        if names or key != "title"
    }
