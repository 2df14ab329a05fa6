"""The options that a claim may give to the gpt_fast adapter; strict, with defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath

from pydantic import JsonValue

from reprokit.adapter import OptionError
from reprokit.records import Record

OPTIONS_KEY = "options"
MOST = 1_000_000
"""Of tokens or sequences: far beyond any model, far below what overflows."""
LONGEST_PROMPT = 100_000
"""Bytes; Linux hands a program no argument of 128 KiB or more."""


class Options(Record):
    """What `generate.py` is asked for; the defaults are those of its own command line.

    Attributes:
        max_new_tokens: tokens per sample; one comes from prefill, the others from decode steps.
        top_k: sampling from the k likeliest tokens.
        compile_prefill: compile prefill too; counts for the compiled arm only.
        batch_size: sequences decoded together, all from the same prompt.
        checkpoint: absolute path of a `model.pth` that the user converted, for real weights.
    """

    max_new_tokens: int = 200
    prompt: str = "Hello, my name is"
    top_k: int = 200
    temperature: float = 0.8
    compile_prefill: bool = False
    batch_size: int = 1
    checkpoint: str | None = None


def check_options(options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the options with defaults filled in.

    Raises:
        OptionError: an unknown name, a wrong type or a value that cannot work.
    """
    known = tuple(Options.model_fields)
    for name in options:
        if name not in known:
            raise OptionError((OPTIONS_KEY, name), f"gpt_fast has no option {name!r}", known=known)
    for name, least in (("max_new_tokens", 2), ("top_k", 1), ("batch_size", 1)):
        _check_integer(name, options.get(name, least), least)
    _check_temperature(options.get("temperature", 0.0))
    _check_prompt(options.get("prompt", "a"))
    _check_flag("compile_prefill", options.get("compile_prefill", False))
    _check_checkpoint(options.get("checkpoint"))
    filled = {
        **Options().model_dump(mode="json"),
        **options,
        "temperature": float(options.get("temperature", Options().temperature)),  # type: ignore[arg-type]
    }
    return Options.model_validate(filled).model_dump(mode="json")


def _wrong(name: str, message: str) -> OptionError:
    return OptionError((OPTIONS_KEY, name), f"{name}: {message}")


def _check_integer(name: str, value: JsonValue, least: int) -> None:
    if complaint := count_complaint(value, least):
        raise _wrong(name, complaint)


def count_complaint(value: object, least: int) -> str | None:
    """Say why this is not a number of tokens or sequences, None when it is."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST:
        return None
    return f"must be a whole number of at least {least}, at most {MOST:,}, not {value!r}"


def _check_temperature(value: JsonValue) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value < 0:  # type: ignore[arg-type, operator]
        raise _wrong("temperature", f"must be a number of at least 0, not {value!r}")


def _check_prompt(value: JsonValue) -> None:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise _wrong("prompt", f"must be a text that is not empty, not {value!r}")
    if (size := len(value.encode(errors="replace"))) > LONGEST_PROMPT:
        raise _wrong("prompt", f"must have at most {LONGEST_PROMPT:,} bytes, not {size:,}")
    try:
        int(value)
    except ValueError:
        return
    raise _wrong(
        "prompt",
        f"{value!r} is an integer, which some commits take for a text and others for the length "
        "of a random prompt",
    )


def _check_flag(name: str, value: JsonValue) -> None:
    if not isinstance(value, bool):
        raise _wrong(name, f"must be true or false, not {value!r}")


def _check_checkpoint(value: JsonValue) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not PurePath(value).is_absolute():
        raise _wrong("checkpoint", f"must be the absolute path of a model.pth, not {value!r}")
