"""Credentials in URLs: handed to tools, never shown and never recorded."""

from __future__ import annotations

import re

HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Variables with a token for models, which no tool that fetches something else is given."""

_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<userinfo>[^\s/?#'\"]*)@")


def _mask(found: re.Match[str]) -> str:
    scheme, userinfo = found["scheme"], found["userinfo"]
    if scheme.lower() == "ssh" and ":" not in userinfo:
        return found[0]  # a login name, which is part of an SSH address and no secret
    return f"{scheme}://***@"


def redact(text: str) -> str:
    """Replace the user and password of every URL in a text by `***`."""
    return _USERINFO.sub(_mask, text)
