"""The models that the harness knows: its models.json, read where the adapter runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

MODELS = Path(__file__).resolve().parents[2] / "internal_harness" / "models.json"


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """Map the id of each model to its entry: model_type, repo, parameters, source, config."""
    return dict(json.loads(MODELS.read_text(encoding="utf-8")))


def positions_complaint(spec: Mapping[str, JsonValue]) -> str | None:
    """Say that a spec asks for more positions than its model has; the harness refuses that too."""
    name, phase = str(spec["model"]), spec["phase"]
    config = known_models().get(name, {}).get("config", {})
    known = config.get("max_position_embeddings", config.get("n_positions"))
    lengths = [spec["token_len"], 0 if phase == "prefill" else spec["prompt_len"]]
    asked = sum(length for length in lengths if isinstance(length, int))
    if known is None or asked <= known:
        return None
    parts = "token_len" if phase == "prefill" else "token_len and prompt_len"
    return f"{name} has {known} positions, and {parts} ask for {asked}"
