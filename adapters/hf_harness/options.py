"""The options of the hf_harness adapter, and the cell axes that may vary them."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from reprokit.adapter import OptionError
from reprokit.records import Record, Scalar

OPTIONS_KEY = "options"
MOST = 1_000_000
"""Of tokens, sequences or threads: far beyond any model, far below what overflows."""

PHASES = ("prefill", "kv_decode", "e2e_kv")
CACHES = ("DynamicCache", "StaticCache")
DTYPES = ("float32", "float16", "bfloat16")
EAGER = "eager"
MODES = (EAGER, "default", "reduce-overhead", "max-autotune")
"""What the harness knows too; a test keeps the lists together."""

AXES: dict[str, tuple[Scalar, ...] | None] = {
    "phase": PHASES,
    "cache": CACHES,
    "dtype": DTYPES,
    "compile_mode": tuple(mode for mode in MODES if mode != EAGER),
    "token_len": None,
    "batch": None,
    "model": None,
}
"""Cell axes and their legal values; `compile_mode` is the subject's, never the baseline's."""


class Options(Record):
    """What is measured where no cell axis says otherwise.

    Attributes:
        token_len: tokens of the prompt in prefill, decode steps in kv_decode and e2e_kv.
        prompt_len: tokens of the prompt that is decoded from.
        threads: threads of one CPU operation; None leaves torch's own choice. Tiny models are
            measured with less noise on one.
    """

    phase: str = "prefill"
    cache: str = "DynamicCache"
    token_len: int = 32
    prompt_len: int = 16
    batch: int = 1
    threads: int | None = None


def check_options(options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the options with defaults filled in.

    Raises:
        OptionError: an unknown name, a wrong type or a value that is not legal.
    """
    known = tuple(Options.model_fields)
    for name, value in options.items():
        if name not in known:
            message = f"hf_harness has no option {name!r}"
            raise OptionError((OPTIONS_KEY, name), message, known=known)
        if name == "threads" and value is None:
            continue
        complaint = complaint_about(name, value)
        if complaint is not None:
            raise OptionError((OPTIONS_KEY, name), complaint)
    return Options.model_validate({**Options().model_dump(), **options}).model_dump(mode="json")


def complaint_about(name: str, value: object) -> str | None:
    """Say what is wrong with the value of an option or of a cell axis; None when it is legal."""
    legal = AXES.get(name)
    if legal is not None:
        if value in legal:
            return None
        return f"{name} is {value!r}; it must be one of {', '.join(map(str, legal))}"
    if name == "model":
        return None if isinstance(value, str) and value else f"model is {value!r}; write its name"
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        return f"{name} is {value!r}; it must be a whole number of at least 1, at most {MOST:,}"
    return None
