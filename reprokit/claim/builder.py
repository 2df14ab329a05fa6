"""Builds a document from the events of a YAML parser, without recursion."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from reprokit.claim.document import Position
from reprokit.claim.problems import Path, Problem
from reprokit.claim.scalars import forbidden_character, read_scalar, without_forbidden

DEEPEST = 20
MOST_VALUES = 20_000

# Ends the key of a value that is read and thrown away. No key that is kept can contain it.
_DISCARDED = "\0"


class StopReadingError(Exception):
    """What follows cannot be understood any more; the problems so far are in the builder."""


@dataclass
class _Open:
    """A mapping or list that is being filled; `key` waits for its value."""

    container: dict[str, JsonValue] | list[JsonValue]
    path: Path
    key: str | None = None
    discarded: int = 0


class Builder:
    """Takes what a parser finds, in order, and keeps data, positions and problems.

    What makes YAML surprising or dangerous is a problem: anchors and aliases (they can multiply a
    small file into gigabytes), merge keys, tags, keys given twice or that are not text.
    """

    def __init__(self) -> None:
        self.root: JsonValue = None
        self.keys: dict[Path, Position] = {}
        self.values: dict[Path, Position] = {}
        self.raw: dict[Path, str] = {}
        self.problems: list[Problem] = []
        self.unsure: set[Path] = set()
        self._stack: list[_Open] = []

    def stop(self, position: Position, message: str, hint: str = "") -> StopReadingError:
        """Note a problem after which nothing more can be read."""
        path = ("", len(self.problems))
        self.values[path] = position
        self.problems.append(Problem(path, message, hint))
        return StopReadingError(message)

    def scalar(self, text: str, position: Position, *, plain: bool) -> None:
        """Take a scalar: a key where one is due, else a value. `plain` means unquoted."""
        if self._key_is_due():
            self._take_key(text, position, plain=plain)
            return
        path = self._next_path()
        value: JsonValue = text
        if plain:
            try:
                value = read_scalar(text)
            except ValueError as error:
                self._doubt(path, str(error), "Text that looks like a number goes in quotes.")
        if not isinstance(value, str):
            self.raw[path] = text
        elif found := forbidden_character(value):
            self._doubt(path, f"the text contains the control character {found[1]}")
            value = without_forbidden(value)
        self._put(value, path, position)

    def alias(self, position: Position) -> None:
        """Refuse an alias, and go on as if there were nothing."""
        if self._key_is_due():
            raise self.stop(position, "an alias cannot be a key")
        path = self._next_path()
        self._doubt(path, "aliases (*name) are not allowed in a claim", "Write the value out.")
        self._put(None, path, position)

    def open(self, container: dict[str, JsonValue] | list[JsonValue], position: Position) -> None:
        """Begin a mapping or a list."""
        if self._key_is_due():
            raise self.stop(position, "a key must be text, not a list or a mapping")
        path = self._next_path()
        if len(path) >= DEEPEST:
            raise self.stop(position, f"nested more than {DEEPEST} levels deep")
        self._put(container, path, position)
        self._stack.append(_Open(container, path))

    def close(self) -> None:
        """End the mapping or list begun last."""
        self._stack.pop()

    def decorated(self, position: Position, *, anchor: str | None, tag: str | None) -> None:
        """Refuse an anchor or a tag on the key or value that comes next."""
        if self._key_is_due():
            raise self.stop(position, "anchors (&name) and tags (!name) are not allowed on keys")
        path = self._next_path()
        if anchor is not None:
            message = f"anchors (&{anchor}) are not allowed in a claim"
            self.problems.append(Problem(path, message, "Remove it, and write the value out."))
        if tag is not None:
            self._doubt(path, f"tags ({tag}) are not allowed in a claim", "Remove it.")

    def _key_is_due(self) -> bool:
        top = self._stack[-1] if self._stack else None
        return top is not None and isinstance(top.container, dict) and top.key is None

    def _next_path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.container, list):
            return (*top.path, len(top.container))
        return (*top.path, top.key or "")

    def _put(self, value: JsonValue, path: Path, position: Position) -> None:
        self.values[path] = position
        if len(self.values) > MOST_VALUES:
            raise self.stop(position, f"more than {MOST_VALUES} values")
        if not self._stack:
            self.root = value
            return
        top = self._stack[-1]
        if isinstance(top.container, list):
            top.container.append(value)
        elif top.key is not None:
            if not top.key.endswith(_DISCARDED):
                top.container[top.key] = value
            top.key = None

    def _take_key(self, text: str, position: Position, *, plain: bool) -> None:
        top = self._stack[-1]
        refusal = self._refusal_of_key(text, (*top.path, text), plain=plain)
        top.key = text
        if refusal:
            top.discarded += 1
            top.key = f"{text}{_DISCARDED}{top.discarded}{_DISCARDED}"
            self.problems.append(Problem((*top.path, top.key), *refusal, key=True))
        self.keys[*top.path, top.key] = position

    def _refusal_of_key(self, text: str, path: Path, *, plain: bool) -> tuple[str, str] | None:
        if plain and text == "<<":
            return "merge keys (<<) are not allowed in a claim", "Write the keys out."
        if path in self.keys:
            return f"key {text!r} is given twice, first at {self.keys[path]}", "Remove one."
        if found := forbidden_character(text):
            return f"the key contains the control character {found[1]}", ""
        try:
            is_text = not plain or isinstance(read_scalar(text), str)
        except ValueError:
            is_text = False
        if not is_text:
            return f"the key {text or 'null'} is not text", f'Write it in quotes: "{text}".'
        return None

    def _doubt(self, path: Path, message: str, hint: str = "") -> None:
        self.unsure.add(path)
        self.problems.append(Problem(path, message, hint))
