"""Adapter for reprokit's own prefill and decode harness (`internal_harness/`)."""

from __future__ import annotations

from adapters.hf_harness.adapter import HfHarness
from reprokit.adapter import Adapter

ADAPTER: Adapter = HfHarness()
