"""The JSON Schema of a claim, for editors and other programs."""

from __future__ import annotations

import json
from typing import Any

from reprokit.claim.model import SCHEMA, Claim

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def claim_schema() -> dict[str, Any]:
    """Describe a claim file as JSON Schema; it accepts every file that the loader accepts.

    The loader checks more: what must fit together, names of axes, metrics and adapters.
    """
    schema = Claim.model_json_schema(by_alias=True)
    schema["properties"]["sweep"] = _sweep_as_written(schema["properties"]["sweep"])
    return {
        "$schema": _DIALECT,
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": SCHEMA,
        **_without_titles(schema),
    }


def claim_schema_text() -> str:
    """Return the schema as it is committed in docs/schemas/claim.schema.json."""
    return json.dumps(claim_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _sweep_as_written(sweep: dict[str, Any]) -> dict[str, Any]:
    """Allow the short form, a list of values, which the loader turns into a mapping."""
    labelled = sweep["additionalProperties"]
    listed = {"type": "array", "items": labelled["additionalProperties"], "minItems": 1}
    return {**sweep, "additionalProperties": {"anyOf": [labelled, listed]}}


def _without_titles(value: Any) -> Any:  # noqa: ANN401
    """Drop the titles that pydantic makes from names; they change between its releases."""
    if isinstance(value, dict):
        return {
            key: _without_titles(part)
            for key, part in value.items()
            if not (key == "title" and isinstance(part, str))
        }
    if isinstance(value, list):
        return [_without_titles(part) for part in value]
    return value
