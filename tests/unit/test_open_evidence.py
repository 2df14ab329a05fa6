"""Files of an invocation are opened only when they are files."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from adapters.gpt_fast.chrome_trace import read_trace
from adapters.gpt_fast.generate_log import read_log
from adapters.hf_harness.result import read_result
from reprokit.evidence import NotAFileError, open_evidence, read_evidence
from reprokit.failure import read_failure

REPLACEMENTS: dict[str, Callable[[Path], object]] = {
    "a symbolic link": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
}
SPEC: dict[str, JsonValue] = {"warmup": 1, "phase": "prefill"}


@pytest.fixture(params=list(REPLACEMENTS))
def replaced(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "evidence"
    REPLACEMENTS[request.param](path)
    return path


def test_what_is_no_file_is_named(replaced: Path) -> None:
    with pytest.raises(NotAFileError, match="it is a "):
        open_evidence(replaced)


def test_a_socket_and_a_device_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("s")
        with pytest.raises(NotAFileError, match="a socket"):
            open_evidence(Path("s"))
    with pytest.raises(NotAFileError, match="a device"):
        open_evidence(Path("/dev/null"))


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    path.write_bytes(b"12345")
    assert read_evidence(path, limit=5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_evidence(path, limit=4)
    with pytest.raises(FileNotFoundError):
        open_evidence(tmp_path / "none")


def test_adapters_say_so_and_do_not_hang(replaced: Path) -> None:
    assert "it is a" in (read_trace(replaced).problem or "")
    assert "it is a" in (read_log(replaced, asked=1).problem or "")
    assert "it is a" in (read_result(replaced, spec=SPEC).problem or "")


def test_the_reader_of_failures_refuses(replaced: Path) -> None:
    with pytest.raises(NotAFileError):
        read_failure(replaced, relative_to=replaced.parent)
