"""Stands in for the package tiktoken where it is not installed: synthetic tokenizers only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"\s?[^\W_]+|\s?[^\w\s]+|\s|_+")


class Encoding:
    """Splits a text at its words; what is in no table comes as single bytes."""

    def __init__(
        self,
        name: str,
        *,
        pat_str: str,
        mergeable_ranks: Mapping[bytes, int],
        special_tokens: Mapping[str, int],
    ) -> None:
        del pat_str  # the words of a synthetic tokenizer are whole in its table
        self.name = name
        self._ranks = dict(mergeable_ranks)
        special = {at: text.encode() for text, at in special_tokens.items()}
        self._texts = {**{at: text for text, at in self._ranks.items()}, **special}

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ids: list[int] = []
        for word in _WORD.findall(text):
            whole = self._ranks.get(word.encode())
            ids += (
                [whole] if whole is not None else [self._ranks[bytes([b])] for b in word.encode()]
            )
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some ids."""
        return b"".join(self._texts[at] for at in ids).decode(errors="replace")
