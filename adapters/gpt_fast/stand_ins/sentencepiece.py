"""Stands in for the package sentencepiece where it is not installed: synthetic tokenizers only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

SPACE = "\u2581"
_BYTES_FROM, _WORDS_FROM = 3, 259
_LAST = re.compile(f"{SPACE}w(?P<number>[0-9]{{6}})")
_WORD = re.compile(r"\s?[^\W_]+|\s?[^\w\s]+|\s|_+")


class SentencePieceProcessor:
    """Reads a synthetic tokenizer.model; `ValueError` for any other.

    Args:
        model_file: path of the file.
    """

    def __init__(self, model_file: str) -> None:
        self._texts = list(_pieces(Path(model_file).read_bytes()))
        last = _LAST.fullmatch(self._texts[-1]) if self._texts else None
        if last is None or int(last["number"]) != len(self._texts) - 1:
            raise ValueError(
                f"{model_file} is no synthetic tokenizer; install sentencepiece to read it"
            )
        self._ids = {text: at for at, text in enumerate(self._texts)}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text: one for each known word, one per byte of others."""
        ids: list[int] = []
        for word in _WORD.findall(f" {text}" if text else ""):
            marked = word.replace(" ", SPACE)
            known = self._ids.get(marked)
            parts = [marked] if known is not None else list(marked)
            for part in parts:
                at = self._ids.get(part)
                ids += [at] if at is not None else [_BYTES_FROM + byte for byte in part.encode()]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids."""
        content = b"".join(self._bytes(at) for at in ids)
        return content.decode(errors="replace").replace(SPACE, " ").removeprefix(" ")

    EncodeAsIds = encode
    DecodeIds = decode

    def vocab_size(self) -> int:
        """Return the number of ids."""
        return len(self._texts)

    def bos_id(self) -> int:
        """Return the id that begins a text."""
        return 1

    def eos_id(self) -> int:
        """Return the id that ends a text."""
        return 2

    def _bytes(self, at: int) -> bytes:
        if at < _BYTES_FROM:
            return b""
        return bytes([at - _BYTES_FROM]) if at < _WORDS_FROM else self._texts[at].encode()


def _pieces(model: bytes) -> Iterator[str]:
    """Yield the texts of a ModelProto: field 1 of each of its fields 1."""
    at = 0
    while at < len(model):
        field, start, at = _field(model, at)
        if field == 1:
            inner, begin, end = _field(model, start)
            if inner != 1:
                raise ValueError("a piece of the tokenizer does not begin with its text")
            yield model[begin:end].decode()


def _field(message: bytes, at: int) -> tuple[int, int, int]:
    """Return number, begin and end of the length-delimited field at a position."""
    key, at = _varint(message, at)
    if key & 7 != 2:
        raise ValueError("the tokenizer holds a field that is no message")
    size, at = _varint(message, at)
    return key >> 3, at, at + size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while message[at] & 0x80:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | message[at] << shift, at + 1
