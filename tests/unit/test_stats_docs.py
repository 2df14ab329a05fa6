"""The worked examples of docs/statistics.md are true."""

from __future__ import annotations

import doctest
from pathlib import Path

from reprokit.verdict.outcome import Outcome

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


def test_the_examples_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted >= 15
    assert result.failed == 0


def test_every_outcome_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [outcome for outcome in Outcome if f"`{outcome}`" not in text] == []
