"""Reads a claim file into a checked claim; every error of the file is reported at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reprokit.adapter import Adapter, load_adapter
from reprokit.claim.check import Adapters, claim_problems, find_adapter
from reprokit.claim.document import Document
from reprokit.claim.draft import Surroundings, draft_of, parse, partial_draft
from reprokit.claim.explain import explain, path_in
from reprokit.claim.labels import with_labels
from reprokit.claim.model import Claim
from reprokit.claim.override import as_text, with_overrides
from reprokit.claim.problems import Problem
from reprokit.claim.slice import with_slice
from reprokit.claim.source import read_document


@dataclass(frozen=True)
class LoadedClaim:
    """A claim that is valid, and where it comes from.

    Attributes:
        path: the claim file, as it was named.
        text: its content, to the letter.
        altered: departures from the file, as "path=value"; those that one of them implies as
            "path = value (path=value)".
        adapter: the adapter that it names.
        device: to measure on, where a slice of the claim is for another one than its regime's.
    """

    claim: Claim
    path: Path
    text: str
    altered: tuple[str, ...]
    adapter: Adapter
    device: str | None = None

    def lock(self) -> Path | None:
        """Path of the committed lock, None where the claim names none."""
        named = self.claim.stack.lock
        return None if named is None else self.path.parent / named


def load_claim(
    path: Path,
    *,
    overrides: tuple[str, ...] = (),
    allow_local: bool = False,
    adapters: Adapters = load_adapter,
) -> LoadedClaim:
    """Read, validate and check one claim file.

    Args:
        path: the claim file.
        overrides: "path=value", set before anything is checked; "model=NAME" is a slice.
        allow_local: accept file:// URLs and absolute paths as repositories.
        adapters: finds an adapter by name.

    Raises:
        ClaimError: everything that is wrong with the file, each with file:line:column.
    """
    sliced = with_slice(read_document(path), overrides, adapters)
    document = with_overrides(sliced.document, sliced.overrides)
    document, claim, problems = _validate(document)
    draft = draft_of(claim) if claim is not None else partial_draft(document.data)
    adapter, missing = find_adapter(draft, adapters)
    surroundings = Surroundings(path.parent, allow_local=allow_local)
    found = [*missing, *claim_problems(draft, adapter, surroundings)]
    problems += draft.sure(found)
    problems = [*document.problems, *document.sure(problems)]
    if problems or claim is None or adapter is None:
        raise document.invalid(problems)
    altered = (*overrides, *sliced.altered)
    return LoadedClaim(claim, path, document.text, altered, adapter, sliced.device)


def _validate(document: Document) -> tuple[Document, Claim | None, list[Problem]]:
    """Validate the shape of a claim; overridden values become text where text is needed."""
    document = with_labels(document)
    claim, errors = parse(document.data)
    wanted = [
        path_in(document.data, error["loc"]) for error in errors if error["type"] == "string_type"
    ]
    if texts := [path for path in wanted if path in document.origins]:
        document = as_text(document, texts)
        claim, errors = parse(document.data)
    return document, claim, explain(errors, document)
