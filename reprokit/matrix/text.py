"""Claims as YAML text: the same claim gives the same bytes everywhere."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping

from pydantic import JsonValue

_WIDTH = 100
# Words that YAML 1.1 or 1.2 takes for something else, and numbers, are quoted.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./+=-]*(?: [A-Za-z0-9][A-Za-z0-9_./+=-]*)*")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_BLOCK = frozenset({"source", "expect"})


def claim_text(document: Mapping[str, JsonValue], matrix: str) -> str:
    """Write a claim; empty parts are left out."""
    head = (
        f"# Written by `reprokit matrix {matrix}`; change reprokit/matrix/{matrix}.yaml instead.\n"
    )
    return head + "".join(_part(key, value) for key, value in document.items() if value)


def _part(key: str, value: JsonValue) -> str:
    if key == "notes":
        lines = textwrap.wrap(
            str(value), _WIDTH - 2, break_long_words=False, break_on_hyphens=False
        )
        return "notes: |\n" + "".join(f"  {line}\n" for line in lines)
    if key in _BLOCK and isinstance(value, dict):
        return f"\n{key}:\n" + "".join(
            f"  {name}: {flow(each)}\n" for name, each in value.items() if each is not None
        )
    gap = "\n" if isinstance(value, dict) else ""
    return f"{gap}{key}: {flow(value)}\n"


def flow(value: JsonValue) -> str:
    """Write a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return _scalar(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value)


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)
