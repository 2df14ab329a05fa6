"""What one process of the harness is asked to measure: a strict record, read from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

PHASES = ("prefill", "kv_decode", "e2e_kv")
CACHES = ("DynamicCache", "StaticCache")
DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("cpu", "cuda")
WEIGHTS = ("synthetic", "hub")
MODES = {
    "eager": None,
    "default": "default",
    "reduce-overhead": "reduce-overhead",
    "max-autotune": "max-autotune",
}
"""Mode to the argument of `torch.compile`; eager is not compiled at all."""
GRAPH_MODES = frozenset({"reduce-overhead", "max-autotune"})
"""Modes that ask for CUDA graphs where the device has them."""


class SpecError(Exception):
    """The specification is not one that this harness can measure."""


@dataclass(frozen=True)
class Spec:
    """One cell and one arm.

    Attributes:
        mode: a key of `MODES`.
        model: a key of models.json, or a repository of the hub.
        token_len: tokens of the prompt in prefill, decode steps in kv_decode and e2e_kv.
        prompt_len: tokens of the prompt that is decoded from.
        warmup: untimed iterations before the `samples` timed ones.
        seed: of weights and prompts; each iteration has a prompt of its own.
        threads: threads that one CPU operation may use; None leaves torch's own choice.
        weights: "synthetic" for random ones from the seed, "hub" for those in `weights_dir`.
    """

    phase: str
    mode: str
    model: str
    cache: str
    dtype: str
    device: str
    token_len: int
    prompt_len: int
    batch: int
    warmup: int
    samples: int
    seed: int
    threads: int | None = None
    weights: str = "synthetic"
    weights_dir: str | None = None

    @property
    def positions(self) -> int:
        """Positions that the cache must hold at the end of one iteration."""
        return self.token_len + (0 if self.phase == "prefill" else self.prompt_len)

    @property
    def steps(self) -> int:
        """Calls of the model in the timed part of one iteration."""
        return {"prefill": 1, "kv_decode": self.token_len}.get(self.phase, 1 + self.token_len)

    @property
    def tokens_asked(self) -> int:
        """Greedy choices that one iteration must make: one per position in prefill, else a step."""
        return self.batch * (self.token_len if self.phase == "prefill" else self.steps)


def load_spec(argument: str) -> Spec:
    """Read a spec from JSON text, or from the file that the argument names.

    Raises:
        SpecError: it cannot be read, or it is not one that this harness can measure.
    """
    values = load_json(argument)
    if not isinstance(values, dict):
        raise SpecError("the spec is not a JSON object")
    return spec_of(values)


def load_json(argument: str) -> object:
    """Read JSON text, or the file that the argument names.

    Raises:
        SpecError: there is no such file, or it is not JSON.
    """
    text = argument
    if not argument.lstrip().startswith(("{", "[")):
        try:
            text = Path(argument).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise SpecError(f"{argument}: {getattr(error, 'strerror', None) or error}") from error
    try:
        value: object = json.loads(text)
    except ValueError as error:
        raise SpecError(f"the specification is not JSON: {error}") from error
    return value


def spec_of(values: Mapping[str, object]) -> Spec:
    """Check a spec and return it.

    Raises:
        SpecError: it is not one that this harness can measure.
    """
    names = [field.name for field in fields(Spec)]
    unknown = sorted(set(values) - set(names))
    missing = sorted(set(names) - {"threads", "weights", "weights_dir"} - set(values))
    if unknown or missing:
        raise SpecError(f"the spec lacks {missing} and has the unknown {unknown}")
    for name, legal in (
        ("phase", PHASES), ("mode", tuple(MODES)), ("cache", CACHES),
        ("dtype", DTYPES), ("device", DEVICES), ("weights", WEIGHTS),
    ):  # fmt: skip
        if name in values and values[name] not in legal:
            raise SpecError(f"{name} is {values[name]!r}; it must be one of {', '.join(legal)}")
    for name, least in (
        ("token_len", 1), ("prompt_len", 1), ("batch", 1), ("warmup", 0), ("samples", 1),
        ("seed", 0),
    ):  # fmt: skip
        _check_integer(name, values[name], least)
    if values.get("threads") is not None:
        _check_integer("threads", values["threads"], 1)
    if not isinstance(values["model"], str):
        raise SpecError(f"model is {values['model']!r}; it must be a name")
    if not isinstance(values.get("weights_dir"), str | None):
        raise SpecError(f"weights_dir is {values['weights_dir']!r}; it must be a directory")
    return Spec(**values)  # type: ignore[arg-type]


def _check_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"{name} is {value!r}; it must be a whole number of at least {least}")
