"""The models that the harness knows: its models.json, read where the adapter runs."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

MODELS = Path(__file__).resolve().parents[2] / "internal_harness" / "models.json"


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """Map the id of each model to its entry: model_type, repo, parameters, source, config."""
    return dict(json.loads(MODELS.read_text(encoding="utf-8")))
