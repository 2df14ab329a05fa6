"""A line of the harness's result file is one of its records, or an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.hf_harness.records import EndRecord, read_record

END: dict[str, Any] = {"kind": "end", "iterations": 3, "peak_bytes": None, "overhead_ms": 0.1}


def _line(**changes: Any) -> bytes:
    return json.dumps({**END, **changes}).encode()


def test_an_end_says_where_the_time_went_and_older_ones_do_not() -> None:
    spent = {"import": 1.5, "compile": 20.0}
    assert read_record(_line(spent_s=spent, newer="field")) == EndRecord(**END, spent_s=spent)
    assert read_record(_line()) == EndRecord(**END, spent_s={})


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "beginning"},
        {"iterations": "3"},
        {"spent_s": {"import": float("nan")}},
        {"spent_s": {"import": None}},
        {"overhead_ms": float("inf")},
    ],
)
def test_what_is_no_record_is_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_record(_line(**changes))
