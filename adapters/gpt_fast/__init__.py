"""Adapter for gpt-fast: its unmodified `generate.py`, as a subprocess."""

from __future__ import annotations

from adapters.gpt_fast.adapter import GptFast
from reprokit.adapter import Adapter

ADAPTER: Adapter = GptFast()
