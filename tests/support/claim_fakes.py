"""A fake adapter and a small valid claim, for tests that must not depend on real adapters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from reprokit.adapter import (
    AssetStep,
    Command,
    Invocation,
    OptionError,
    PointContext,
    Reading,
    Setup,
)
from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.errors import UsageError
from reprokit.records import Scalar

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"

CLAIM = f"""\
schema: reprokit/claim/v1
id: small
title: A small claim
source: {{repo: "https://example.com/a/b", commit: {COMMIT}}}
expect: {{kind: gain, metric: tokps, at_least: 0}}
adapter: {{name: fake, baseline: eager, subject: compiled}}
stack:
  python: "3.11"
  requirements: [torch==2.7.1, numpy]
sweep:
  sha: {{here: {COMMIT}, there: {OTHER}}}
  triton: ["3.3.1", "3.6.0"]
"""

BUILTIN_SOURCE = "source: {builtin: harness}"
GIT_SOURCE = f'source: {{repo: "https://example.com/a/b", commit: {COMMIT}}}'


class FakeAdapter:
    """Knows two arms, three cell axes and one option; measures nothing."""

    title = "A fake"

    def __init__(self, name: str = "fake", builtin: Path | None = None) -> None:
        self.name = name
        self._builtin = builtin

    def arms(self) -> tuple[str, ...]:
        return ("eager", "compiled")

    def cell_axes(self) -> Mapping[str, tuple[Scalar, ...] | None]:
        return {"phase": ("prefill", "kv_decode"), "token_len": None, "batch": (1, 8)}

    def check_options(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        for name in options:
            if name != "tokens":
                message = f"fake has no option {name!r}"
                raise OptionError(("options", name), message, known=("tokens",))
        return {"tokens": 10, **options}

    def builtin_source(self) -> Path | None:
        return self._builtin

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        return ()

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        return Command(argv=("true",), cwd="/")

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        return Reading(samples=())


def fake_adapters(name: str) -> FakeAdapter:
    """Find `fake`, and `builtin`, which brings its own benchmark."""
    if name == "builtin":
        return FakeAdapter(name, builtin=Path(__file__).parent / "harness")
    if name != "fake":
        raise UsageError(f"there is no adapter {name!r} here", hint="Installed: fake.")
    return FakeAdapter(name)


def load_text(
    folder: Path, text: str, *, overrides: tuple[str, ...] = (), allow_local: bool = False
) -> LoadedClaim:
    """Load claim text through a file, with the fake adapters."""
    path = folder / "claim.yaml"
    path.write_text(text, encoding="utf-8")
    return load_claim(path, overrides=overrides, allow_local=allow_local, adapters=fake_adapters)


def changed(old: str, new: str) -> str:
    """Return the small claim with one piece of text replaced; the piece must be there."""
    assert old in CLAIM, old
    return CLAIM.replace(old, new, 1)
