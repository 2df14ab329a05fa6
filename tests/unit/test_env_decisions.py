"""Pure decisions about environments: uv's complaints, git's complaints, what differs."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from reprokit.envs.disk import forbid_writing, remove_tree
from reprokit.envs.git_errors import commit_is_missing, explain, redirected_to
from reprokit.envs.lock import Lock, Pin
from reprokit.envs.probe import Findings, differences
from reprokit.envs.resolve import utc_moment, wheels_only
from reprokit.envs.store import disk_use
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Trouble, Uv, read_complaint
from reprokit.errors import (
    CheckoutError,
    RepositoryNotFoundError,
    RepositoryUnreachableError,
)
from reprokit.process.tool import ToolResult
from reprokit.stack import Distribution, Probe


def _failed(stderr: str, *, timed_out: bool = False) -> ToolResult:
    return ToolResult(1, "", stderr, timed_out)


UNSATISFIABLE = """error: No solution found when resolving dependencies
  cause: Because torch==2.7.1 depends on triton==3.3.1 and you require torch==2.7.1, we can
         conclude that you require triton==3.3.1.
         And because you require triton==3.4.0, your requirements are unsatisfiable.

hint: something else
"""
FRAMED = """  \u00d7 No solution found when resolving dependencies:
  \u2570\u2500\u25b6 Because foo was not found in the package registry and you require foo, we can
      conclude that your requirements are unsatisfiable.
"""
NETWORK = """error: Request failed after 3 retries in 7.2s
  cause: Failed to fetch: `https://user:secret@index.example/simple/torch/`
  cause: dns error
"""


OFFLINE = """error: No solution found when resolving dependencies
  cause: Because torch was not found in the cache, your requirements are unsatisfiable.

hint: Packages were unavailable because the network was disabled.
"""


@pytest.mark.parametrize(
    ("stderr", "trouble", "sentence"),
    [
        (UNSATISFIABLE, Trouble.UNSATISFIABLE, "Because torch==2.7.1 depends on triton==3.3.1"),
        (FRAMED, Trouble.UNSATISFIABLE, "Because foo was not found in the package registry and"),
        (NETWORK, Trouble.NETWORK, "Request failed after 3 retries"),
        ("error: Hash mismatch for `a==1`\n Expected: x", Trouble.HASH, "Hash mismatch for"),
        ("error: Failed to build `a`", Trouble.OTHER, "Failed to build"),
        ("", Trouble.OTHER, "uv gave no reason"),
        (
            OFFLINE,
            Trouble.NETWORK,
            "No solution found",
        ),
    ],
)
def test_uvs_complaints_are_told_apart(stderr: str, trouble: Trouble, sentence: str) -> None:
    found = read_complaint(_failed(stderr))
    assert found.trouble is trouble
    assert found.sentence.startswith(sentence)
    assert "\n" not in found.sentence
    assert "secret" not in found.sentence
    assert "something else" not in found.sentence


def test_a_timeout_is_no_complaint_about_the_stack() -> None:
    assert read_complaint(_failed(UNSATISFIABLE, timed_out=True)).trouble is Trouble.TIMEOUT


class _ScriptedUv:
    """Answers with and without `--torch-backend` as a test says."""

    def __init__(self, with_backend: ToolResult, without: ToolResult) -> None:
        self.torch_backend = None
        self.answers = {True: with_backend, False: without}
        self.asked: list[bool] = []

    def without_torch_backend(self) -> _ScriptedUv:
        return self

    def answer(self, backend: tuple[str, ...]) -> ToolResult:
        self.asked.append(bool(backend))
        return self.answers[bool(backend)]


OK = ToolResult(0, "", "", False)


@pytest.mark.parametrize(
    ("with_backend", "without", "asked", "noted"),
    [
        (OK, _failed(""), [True], False),
        (_failed(NETWORK), OK, [True, False], True),
        (_failed(UNSATISFIABLE), OK, [True], False),
        (_failed(NETWORK), _failed(NETWORK), [True, False], False),
        (_failed(NETWORK), _failed(UNSATISFIABLE), [True, False], True),
    ],
)
def test_only_an_unreachable_torch_index_is_done_without(
    with_backend: ToolResult, without: ToolResult, asked: list[bool], noted: bool
) -> None:
    scripted = _ScriptedUv(with_backend, without)
    torch = TorchIndex("cpu")
    torch.run(cast("Uv", scripted), lambda _, backend: scripted.answer(backend))
    assert scripted.asked == asked
    assert (torch.note() is not None) is noted


def test_the_note_names_the_cause_and_no_address() -> None:
    scripted = _ScriptedUv(_failed(NETWORK), OK)
    torch = TorchIndex("cpu")
    torch.run(cast("Uv", scripted), lambda _, backend: scripted.answer(backend))
    note = torch.note() or ""
    assert note.endswith("'cpu' that was asked for: dns error")


def test_without_a_backend_nothing_is_said_of_one() -> None:
    scripted = _ScriptedUv(OK, OK)
    torch = TorchIndex(None)
    torch.run(cast("Uv", scripted), lambda _, backend: scripted.answer(backend))
    assert scripted.asked == [False]
    assert torch.note() is None


def test_dates_are_moments_in_utc() -> None:
    assert utc_moment("2024-06-01") == "2024-06-01T00:00:00Z"
    assert utc_moment("2024-06-01T12:00:00Z") == "2024-06-01T12:00:00Z"


def test_only_named_distributions_may_be_built() -> None:
    assert wheels_only(()) == ["--only-binary", ":all:"]
    assert wheels_only(("Flash_Attn",))[2:] == ["--no-binary", "flash-attn"]


def _probe(*found: tuple[str, str]) -> Probe:
    distributions = tuple(
        Distribution(name=name, version=version, record_sha256=None) for name, version in found
    )
    return Probe(python="3.11.7", executable="/x", distributions=distributions)


LOCK = Lock(
    pins=(Pin(name="a", version="1.0", hashes=()), Pin(name="b", version="2+cpu", hashes=()))
)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((("a", "1.0"), ("b", "2+cpu")), ()),
        ((("a", "1"), ("b", "2+cpu")), ()),
        ((("a", "1.0"),), ("b is missing",)),
        ((("a", "1.1"), ("b", "2+cpu")), ("a is 1.1 and not 1.0",)),
        ((("a", "1.0"), ("b", "2")), ("b is 2 and not 2+cpu",)),
        ((("a", "1.0"), ("b", "2+cpu"), ("c", "1")), ("c is not in the lock",)),
        ((("a", "1.0"), ("a", "1.0"), ("b", "2+cpu")), ("a is installed 2 times",)),
    ],
)
def test_lock_against_what_is_installed(
    found: tuple[tuple[str, str], ...], said: tuple[str, ...]
) -> None:
    assert differences(LOCK, _probe(*found)) == said


def test_changes_are_named_whatever_they_are() -> None:
    built = Findings(probe=_probe(), loose={"RECORD": "1", "gone": "1", "same": "1"})
    altered = _probe().model_copy(update={"altered": ("torch/x.py",)})
    now = Findings(
        probe=altered, missing=("torch/y.py",), loose={"RECORD": "2", "same": "1", "new.pth": "1"}
    )
    assert now.changes_since(built) == ("RECORD", "gone", "new.pth", "torch/x.py", "torch/y.py")
    assert built.changes_since(built) == ()


@pytest.mark.parametrize(
    ("stderr", "error"),
    [
        ("remote: Repository not found.\nfatal: repository 'x' not found", RepositoryNotFoundError),
        ("ERROR: Repository not found.\nfatal: Could not read from", RepositoryNotFoundError),
        ("fatal: could not read Username for 'x': terminal prompts disabled",
         RepositoryUnreachableError),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
         RepositoryUnreachableError),
        ("fatal: unable to access 'x': The requested URL returned error: 403",
         RepositoryUnreachableError),
        ("fatal: unable to access 'x': The requested URL returned error: 404",
         RepositoryNotFoundError),
        ("fatal: unable to access 'x': Could not resolve host: h", RepositoryUnreachableError),
        ("ssh: connect to host h port 22: Connection timed out", RepositoryUnreachableError),
        ("fatal: unable to access 'x': SSL certificate problem", RepositoryUnreachableError),
        ("fatal: transport 'ext' not allowed", CheckoutError),
        ("fatal: something never seen before", CheckoutError),
    ],
)  # fmt: skip
def test_gits_complaints_are_told_apart(stderr: str, error: type[CheckoutError]) -> None:
    found = explain(_failed(stderr), "https://u:secret@h/a", timeout_s=1)
    assert type(found) is error
    assert "secret" not in str(found)
    assert found.hint


def test_a_fetch_that_timed_out_is_unreachable_whatever_was_said() -> None:
    result = _failed("fatal: remote error: upload-pack: not our ref", timed_out=True)
    assert isinstance(explain(result, "https://h/a", timeout_s=5), RepositoryUnreachableError)
    assert not commit_is_missing(result)
    assert commit_is_missing(_failed("fatal: remote error: upload-pack: not our ref 1"))


def test_redirects_are_read_without_credentials() -> None:
    text = "warning: redirecting to https://u:p@h/new/\nfatal: x"
    assert redirected_to(_failed(text)) == "https://***@h/new/"
    assert redirected_to(_failed("fatal: x")) is None


# --- files


def test_closed_trees_can_be_removed_and_file_modes_stay(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    (root / "a").mkdir(parents=True)
    file = root / "a" / "f"
    file.write_text("x")
    mode = file.stat().st_mode
    forbid_writing(root)
    assert (root / "a").stat().st_mode & 0o222 == 0
    assert file.stat().st_mode == mode
    remove_tree(root)
    assert not root.exists()
    remove_tree(root)


def test_removing_a_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    remove_tree(tmp_path / "link")
    assert target.is_dir()


def test_disk_use_tells_shared_from_own(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "own").write_bytes(b"x" * 100_000)
    base, _ = disk_use(inside)
    (outside / "shared").write_bytes(b"x" * 200_000)
    (inside / "shared").hardlink_to(outside / "shared")
    (inside / "again").hardlink_to(outside / "shared")
    unique, shared = disk_use(inside)
    assert unique == base
    assert shared >= 200_000
    (outside / "shared").unlink()
    unique, shared = disk_use(inside)
    assert shared == 0
    assert unique - base == pytest.approx(200_000, abs=8192)
