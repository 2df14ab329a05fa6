"""What one process of the harness is asked to measure: a strict record, read from JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

PHASES = ("prefill", "kv_decode")
CACHES = ("DynamicCache", "StaticCache")
DTYPES = ("float32", "float16", "bfloat16")
DEVICES = ("cpu", "cuda")
MODES = {"eager": None, "default": "default"}
"""Mode to the argument of `torch.compile`; eager is not compiled at all."""


class SpecError(Exception):
    """The specification is not one that this harness can measure."""


@dataclass(frozen=True)
class Spec:
    """One cell and one arm.

    Attributes:
        mode: a key of `MODES`.
        model: a key of models.json.
        token_len: tokens of the prompt in prefill, decode steps in kv_decode.
        prompt_len: tokens of the prompt that kv_decode continues.
        warmup: untimed iterations before the `samples` timed ones.
        seed: of weights and prompt.
        threads: threads that one CPU operation may use; None leaves torch's own choice.
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

    @property
    def positions(self) -> int:
        """Positions that the cache must hold at the end of one iteration."""
        return self.token_len + (self.prompt_len if self.phase == "kv_decode" else 0)


def load_spec(argument: str) -> Spec:
    """Read a spec from JSON text, or from the file that the argument names.

    Raises:
        SpecError: it cannot be read, or it is not one that this harness can measure.
    """
    text = argument
    if not argument.lstrip().startswith("{"):
        try:
            text = Path(argument).read_text(encoding="utf-8")
        except OSError as error:
            raise SpecError(f"{argument}: {error.strerror}") from error
    try:
        values = json.loads(text)
    except ValueError as error:
        raise SpecError(f"the spec is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise SpecError("the spec is not a JSON object")
    return _checked(values)


def _checked(values: dict[str, object]) -> Spec:
    names = [field.name for field in fields(Spec)]
    unknown = sorted(set(values) - set(names))
    missing = sorted(set(names) - {"threads"} - set(values))
    if unknown or missing:
        raise SpecError(f"the spec lacks {missing} and has the unknown {unknown}")
    for name, legal in (
        ("phase", PHASES), ("mode", tuple(MODES)), ("cache", CACHES),
        ("dtype", DTYPES), ("device", DEVICES),
    ):  # fmt: skip
        if values[name] not in legal:
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
    return Spec(**values)  # type: ignore[arg-type]


def _check_integer(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(f"{name} is {value!r}; it must be a whole number of at least {least}")
