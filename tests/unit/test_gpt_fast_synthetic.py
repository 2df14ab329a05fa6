"""The tokenizers that are written for synthetic checkpoints, read back by hand."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from adapters.gpt_fast.synthetic import sentencepiece_model, tiktoken_ranks, words_of

PROMPT = "Hello, my name is"


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Decode one protobuf message, apart from the code that wrote it."""
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 5:
            yield key >> 3, message[at : at + 4]
            at += 4
        else:
            assert key & 7 == 2
            size = varint()
            yield key >> 3, message[at : at + size]
            at += size


def pieces(model: bytes) -> list[tuple[str, int]]:
    found = []
    for number, value in fields(model):
        if number == 1:
            assert isinstance(value, bytes)
            piece = dict(fields(value))
            text, kind = piece[1], piece[3]
            assert isinstance(text, bytes)
            assert isinstance(kind, int)
            found.append((text.decode(), kind))
    return found


@pytest.mark.parametrize("vocabulary", [300, 32_000, 32_016])
def test_every_id_has_its_own_text(vocabulary: int) -> None:
    found = pieces(sentencepiece_model(vocabulary, PROMPT))
    assert len(found) == vocabulary
    assert len({text for text, _ in found}) == vocabulary
    assert [kind for _, kind in found[:3]] == [2, 3, 3]
    assert {kind for _, kind in found[3:259]} == {6}
    # No text may end a line, so that decoded text cannot look like a line of the log.
    assert not any("\n" in text for text, _ in found)


def test_each_word_of_the_prompt_is_one_piece() -> None:
    texts = [text for text, _ in pieces(sentencepiece_model(32_000, PROMPT))]
    assert texts[259:264] == ["\u2581Hello", ",", "\u2581my", "\u2581name", "\u2581is"]


def test_a_vocabulary_too_small_for_the_prompt_is_refused() -> None:
    with pytest.raises(SystemExit, match="too small"):
        sentencepiece_model(260, PROMPT)


def test_tiktoken_ranks_are_unique_and_leave_room_for_the_special_tokens() -> None:
    lines = [line.split() for line in tiktoken_ranks(128_256, PROMPT)]
    tokens = [base64.b64decode(token) for token, _ in lines]
    assert [int(rank) for _, rank in lines] == list(range(128_000))
    assert len(set(tokens)) == 128_000
    assert {b"Hello", b" my", b" name", b" is"} <= set(tokens)


def test_words_keep_the_space_before_them() -> None:
    assert words_of("a b, b\n") == ["a", " b", ",", "\n"]
