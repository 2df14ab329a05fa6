"""Reads claim files: YAML 1.2 in, a document with positions out."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reprokit.claim.builder import Builder, StopReadingError
from reprokit.claim.document import Document, Position
from reprokit.claim.problems import InvalidClaimError, LocatedProblem
from reprokit.claim.scalars import forbidden_character

LARGEST_BYTES = 1 << 20

_START = Position(1, 1)


def read_document(path: Path) -> Document:
    """Read a claim file.

    Raises:
        InvalidClaimError: it cannot be read, or is no YAML. Lesser problems are left in the
            document, to be reported together with what is wrong with the claim.
    """
    return parse_document(_read_text(path), str(path))


def parse_document(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in messages. Raises as `read_document` does."""
    if found := forbidden_character(text):
        offset, code = found
        message = f"the file contains the character {code}, which is not allowed in a claim"
        raise _unreadable(name, message, position=_position_of(text, offset))
    builder = Builder()
    try:
        _feed(builder, text)
    except StopReadingError:
        partial = Document(name, text, {}, keys=builder.keys, values=builder.values)
        raise partial.invalid(builder.problems) from None
    if () not in builder.values or builder.root is None:
        raise _unreadable(name, "the file is empty", "A claim begins with 'schema:'.")
    if not isinstance(builder.root, dict):
        message = "a claim is a mapping of keys to values"
        raise _unreadable(name, message, position=builder.values[()])
    return Document(
        name,
        text,
        builder.root,
        keys=builder.keys,
        values=builder.values,
        raw=builder.raw,
        problems=tuple(builder.problems),
        unsure=frozenset(builder.unsure),
    )


def _feed(builder: Builder, text: str) -> None:
    """Hand every event of the parser to the builder; syntax errors end the reading."""
    last = _START
    documents = 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            last = _position(event.start_mark) or last
            if isinstance(event, DocumentStartEvent):
                documents += 1
                _check_document_start(builder, event, last, documents)
            else:
                _take(builder, event, last)
    except MarkedYAMLError as error:
        position = _position(error.problem_mark) or _position(error.context_mark) or last
        raise builder.stop(position, _syntax(error), _advice(error)) from None
    except (YAMLError, ValueError) as error:
        # ValueError: an escape such as "\U00110000", which names no character.
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise builder.stop(last, f"not valid YAML: {first_line}") from None


def _take(builder: Builder, event: Event, position: Position) -> None:
    if isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent) and (
        event.anchor is not None or event.tag is not None
    ):
        tag = None if event.tag is None else str(event.tag)
        builder.decorated(position, anchor=event.anchor, tag=tag)
    if isinstance(event, AliasEvent):
        builder.alias(position)
    elif isinstance(event, ScalarEvent):
        builder.scalar(event.value, position, plain=not event.style)
    elif isinstance(event, MappingStartEvent):
        builder.open({}, position)
    elif isinstance(event, SequenceStartEvent):
        builder.open([], position)
    elif isinstance(event, MappingEndEvent | SequenceEndEvent):
        builder.close()


def _check_document_start(
    builder: Builder, event: DocumentStartEvent, position: Position, documents: int
) -> None:
    if documents > 1:
        raise builder.stop(position, "a second document begins here", "Write one claim per file.")
    if event.version not in {None, (1, 2)}:
        hint = "Remove the %YAML line."
        raise builder.stop(position, "claims are written in YAML 1.2", hint)
    if event.tags:
        raise builder.stop(position, "%TAG directives are not allowed in a claim", "Remove it.")


def _position(mark: StreamMark | None) -> Position | None:
    return None if mark is None else Position(mark.line + 1, mark.column + 1)


def _syntax(error: MarkedYAMLError) -> str:
    parts = [str(part) for part in (error.context, error.problem) if part]
    return f"not valid YAML: {', '.join(parts)}"


def _advice(error: MarkedYAMLError) -> str:
    problem = str(error.problem or "")
    if "'\\t'" in problem:
        return "Indent with spaces; YAML allows no tabs there."
    if "mapping values are not allowed" in problem:
        return "Text with a colon and a space in it goes in quotes."
    if "cannot start any token" in problem:
        return "Text that begins with this character goes in quotes."
    return ""


def _read_text(path: Path) -> str:
    """Return the text of a regular file of bounded size, without a byte order mark."""
    name = str(path)
    content = _read_bytes(path)
    if len(content) > LARGEST_BYTES:
        message = f"the file is larger than {LARGEST_BYTES >> 20} MiB"
        raise _unreadable(name, message, "A claim is a page of YAML.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        message = f"byte 0x{content[error.start]:02x} is not UTF-8"
        position = _position_of(before, len(before))
        raise _unreadable(name, message, "Save it as UTF-8.", position=position) from None


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            message = "this is a directory, not a claim file"
        elif path.exists() and not path.is_file():
            message = "this is not a regular file"
        else:
            with path.open("rb") as stream:
                return stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        message = "there is no such file"
        if path.is_symlink():
            message = f"this is a symbolic link to {str(path.readlink())!r}, which does not exist"
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
    except ValueError as error:
        message = f"this is no file name: {error}"  # a null byte
    raise _unreadable(str(path), message, "Name a claim file, for example claims/quickstart.yaml.")


def _unreadable(
    name: str, message: str, hint: str = "", *, position: Position = _START
) -> InvalidClaimError:
    return InvalidClaimError([LocatedProblem(f"{name}:{position}", message, hint)])


def _position_of(text: str, offset: int) -> Position:
    before = text[:offset]
    line = before.count("\n") + 1
    return Position(line, offset - (before.rfind("\n") + 1) + 1)
