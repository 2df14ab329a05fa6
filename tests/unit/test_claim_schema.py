from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from claim_fakes import CLAIM, changed

from reprokit.claim.load import load_claim
from reprokit.claim.schema import claim_schema, claim_schema_text
from reprokit.claim.source import parse_document

# It comes without types.
jsonschema: Any = import_module("jsonschema")

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "schemas" / "claim.schema.json"
CLAIMS = sorted((ROOT / "claims").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = claim_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def read(text: str) -> Any:
    return parse_document(text, "c.yaml").data


def test_the_committed_schema_is_that_of_the_code() -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == claim_schema(), (
        "write reprokit.claim.schema.claim_schema_text() to docs/schemas/claim.schema.json"
    )
    assert json.loads(claim_schema_text()) == claim_schema()


def test_the_three_claims_of_the_project_are_there() -> None:
    names = {path.stem for path in CLAIMS}
    assert {"gpt_fast_104", "gpt_fast_stories15m_cpu", "quickstart"} <= names


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)
def test_the_schema_accepts_the_committed_claims(path: Path, validator: Any) -> None:
    validator.validate(read(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", CLAIMS, ids=lambda path: path.stem)
def test_the_committed_claims_are_valid_with_the_real_adapters(path: Path) -> None:
    assert load_claim(path).claim.id == path.stem


@pytest.mark.parametrize(
    "text",
    [
        changed("title:", "titel:"),
        changed('"3.11"', "3.11"),
        changed("kind: gain", "kind: gian"),
        changed("repo:", "url:"),
        changed("small", "../x"),
        changed('["3.3.1", "3.6.0"]', "3.3.1"),
        CLAIM + "protocol: {samples: 0}\n",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str, validator: Any) -> None:
    assert validator.is_valid(read(CLAIM))
    assert not validator.is_valid(read(text))
