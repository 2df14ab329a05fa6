"""`reprokit doctor` as a command, with the real uv and indexes that answer or do not."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from command_line import Machine, make_machine

pytestmark = pytest.mark.integration


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path, uuid.uuid4().hex)


def checks(machine: Machine) -> tuple[int, dict[str, dict[str, str]]]:
    result = machine.run("doctor", "--json")
    found = json.loads(result.out)["checks"]
    assert "Traceback" not in result.err
    return result.code, {check["name"]: check for check in found}


def test_every_check_says_what_it_means_and_every_trouble_how_to_end_it(machine: Machine) -> None:
    with_token = Machine(machine.root, machine.mark, {"HF_TOKEN": "hf_secret"})
    plain = with_token.run("doctor")
    assert "hf_secret" not in plain.out + plain.err
    code, found = checks(machine)
    assert code == plain.code
    assert set(found) == {
        "python", "uv", "git", "C++ compiler", "disk of the cache", "disk of the runs",
        "package index", "GPU", "sandbox", "hub token",
    }  # fmt: skip
    for check in found.values():
        assert check["found"], check
        assert check["means"], check
        assert bool(check["fix"]) == (check["level"] != "ok"), check
    assert code == (4 if any(check["level"] == "fail" for check in found.values()) else 0)
    assert "wheels come from" in found["package index"]["found"]


def test_an_index_that_does_not_answer_is_told_quickly(machine: Machine) -> None:
    (machine.root / "pip.conf").write_text("[global]\nindex-url = http://127.0.0.1:9/simple\n")
    _, found = checks(machine)
    index = found["package index"]
    assert index["level"] == "warn"
    assert "--bundle" in index["fix"]


def test_a_machine_without_git_and_compiler_cannot_verify(machine: Machine) -> None:
    empty = machine.root / "empty"
    empty.mkdir()
    bare = Machine(machine.root, machine.mark, {"PATH": str(empty), "CXX": ""})
    code, found = checks(bare)
    assert code == 4
    assert {found[name]["level"] for name in ("git", "C++ compiler")} == {"fail"}
    assert found["uv"]["level"] == "ok"
