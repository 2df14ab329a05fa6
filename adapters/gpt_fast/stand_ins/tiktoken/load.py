"""Reads the table of a tokenizer."""

from __future__ import annotations

import base64
from pathlib import Path


def load_tiktoken_bpe(path: str) -> dict[bytes, int]:
    """Map each token of a file to its rank."""
    lines = Path(path).read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
