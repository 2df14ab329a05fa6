"""Claims about the built-in harness, of which tests state the cells, the protocol and the stack."""

from __future__ import annotations

from pathlib import Path

from reprokit.claim.load import LoadedClaim, load_claim

GAIN_IN_EVERY_MODE = """
schema: reprokit/claim/v1
id: shared
title: Compiling helps in every mode
source: {builtin: internal_harness}
expect: {kind: gain, metric: latency_ms, at_least: 0}
regime: {device: cpu}
model: {id: tiny-llama, weights: synthetic}
adapter: {name: hf_harness, baseline: eager, subject: default}
stack: {requirements: [torch==2.13.0, transformers]}
"""


def loaded(tmp_path: Path, text: str) -> LoadedClaim:
    """Load a claim from its text."""
    path = tmp_path / "claim.yaml"
    path.write_text(text)
    return load_claim(path)
