"""Foreign text in Markdown: whatever a log holds, it stays text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reprokit.report.markup import LONGEST, code, table, text

HOSTILE = (
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "![x](https://example.org/track.png)",
    "# heading",
    "a | b | c",
    "one\n\n# two\n- three",
    "`code` and ``more``",
    "```\nfence",
    "\x1b[31mred\x1b[0m",
    "\u202eevil\u202c",
    "@somebody please look, fixes #123",
    "see https://example.org and www.example.org",
    "</details><h1>x",
    "&lt;b&gt;",
    "a\\",
    "---",
    "1. item",
    "$x$",
)


@pytest.mark.parametrize("foreign", HOSTILE)
@pytest.mark.parametrize("write", [text, code])
def test_one_line_no_controls_bounded(foreign: str, write: object) -> None:
    assert callable(write)
    written = str(write(foreign * 100))
    assert "\n" not in written
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)
    assert len(written) < 6 * LONGEST


@pytest.mark.parametrize("foreign", HOSTILE)
def test_text_opens_nothing(foreign: str) -> None:
    written = text(foreign)
    seen = written.replace("&#8203;", "\u200b")
    assert not re.search(r"@\w|#\d|://|www\.\w", seen)
    html = MarkdownIt("commonmark").enable("table").render(f"{written}\n")
    assert set(re.findall(r"</?(\w+)", html)) == {"p"}


def test_ampersands_are_written_so_that_entities_are_not_read() -> None:
    assert text("&lt;") == "&amp;lt;"


@given(st.text(max_size=80))
def test_code_cannot_be_left(foreign: str) -> None:
    written = code(foreign)
    if not written:
        return
    fence = re.match(r"`+", written)
    assert fence is not None
    inner = written[len(fence.group()) : -len(fence.group())]
    assert written.endswith(fence.group())
    assert all(len(run) < len(fence.group()) for run in re.findall("`+", inner))
    assert not re.search(r"(?<!\\)\|", written)


@given(st.lists(st.text(max_size=40), min_size=2, max_size=4))
def test_a_table_keeps_its_columns(cells: list[str]) -> None:
    for write in (text, code):
        lines = table(["h"] * len(cells), [[write(cell) for cell in cells]])
        assert len(lines) == 3
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[2])) == len(cells) + 1


def test_nothing_is_written_as_nothing() -> None:
    assert code("") == code("\x00\n") == text("  ") == ""
