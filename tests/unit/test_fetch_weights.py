"""What the download of weights says when it fails, and never says; the hub is a stand-in."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.models import fetch_weights
from adapters.models.fetch_weights import FetchError, Wanted, fetch

REVISION = "f" * 40
CONTENT = b"weights"
SHA256 = "9e3ddda9f2f4f0c2dd5ca5d2ec6c0ba5ad7db1a3c4b3c5c0de0cf8b4fbd1d9f0"
WANTED = Wanted("a/b", REVISION, ["*.safetensors"], [], {})


class Client:
    """Stands in for huggingface_hub: one file, and a failure that a test names."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self.size = len(CONTENT)
        self.promised: str | None = None
        self.stored_token: str | None = None

    HfApi = property(lambda self: lambda: self)

    def model_info(self, *_: object, **__: object) -> SimpleNamespace:
        lfs = {"sha256": self.promised} if self.promised else None
        file = SimpleNamespace(rfilename="model.safetensors", size=self.size, lfs=lfs)
        return SimpleNamespace(sha=REVISION, siblings=[file])

    def snapshot_download(self, *_: object, local_dir: str, **__: object) -> None:
        if self.failure is not None:
            raise self.failure
        (Path(local_dir) / "model.safetensors").write_bytes(CONTENT)

    def get_token(self) -> str | None:
        return self.stored_token


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setitem(sys.modules, "huggingface_hub", client)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return client


def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the script; return the sentence that it ends with."""
    monkeypatch.setenv("REPROKIT_ASSET_DIR", str(folder))
    arguments = ["--repo=a/b", f"--revision={REVISION}", "--pattern=*.safetensors"]
    monkeypatch.setattr(sys, "argv", ["fetch_weights.py", *arguments])
    with pytest.raises(SystemExit) as raised:
        fetch_weights.main()
    return str(raised.value)


class RefusedError(Exception):
    """An answer with a status, as the client raises it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.response = SimpleNamespace(status_code=status)


class GatedRepoError(RefusedError):
    """The client's name for it."""


class ConnectError(Exception):
    """The client's name for it."""


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full: free some space"),
        (OSError(errno.EACCES, "Permission denied", "/x"), "/x cannot be used: Permission denied"),
        (RefusedError(429, "slow down"), "with status 429: slow down; try again later"),
        (RefusedError(401, "Invalid username or password."), "expired, revoked or mistyped"),
        (GatedRepoError(403, "no"), "is gated: accept its licence on its page"),
        (ConnectError("no route"), "set model.weights=synthetic"),
        (KeyError("odd"), "cannot be fetched: KeyError"),
    ],
)
def test_a_failure_is_one_sentence_with_what_to_do(
    hub: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    words: str,
) -> None:
    hub.failure = failure
    told = run(tmp_path, monkeypatch)
    assert words in told
    assert "\n" not in told


def test_a_disk_that_fills_up_after_the_download_is_no_traceback(
    hub: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert "what came so far is kept" in run(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("hf_secret\n", "Bearer hf_secret"),
        ("hf_sec\x01ret", "Illegal header value b'Bearer hf_sec\\x01ret'"),
    ],
)
def test_a_token_is_masked_however_an_error_shows_it(
    hub: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, shown: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    hub.failure = ValueError(shown)
    told = run(tmp_path, monkeypatch)
    assert "Bearer ***" in told
    assert "ret" not in told.partition("Bearer")[2]


def test_a_token_of_the_clients_own_file_is_masked_and_known_to_be_set(
    hub: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stored_token = "hf_stored"
    hub.failure = ValueError("it was hf_stored")
    assert "it was ***" in run(tmp_path, monkeypatch)
    hub.failure = GatedRepoError(403, "no")
    assert "the one that is set has no access" in run(tmp_path, monkeypatch)


def test_the_password_of_a_mirror_is_masked(
    hub: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://user:pass@mirror.example")
    hub.failure = GatedRepoError(403, "no")
    told = run(tmp_path, monkeypatch)
    assert "https://***@mirror.example/a/b" in told
    assert "pass@" not in told


def test_what_is_already_there_needs_no_room_twice(
    hub: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.size = 1 << 30
    usage: Any = SimpleNamespace(free=600 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match="is too full"):
        fetch(WANTED, tmp_path)
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.truncate(900 << 20)
    fetch(WANTED, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == CONTENT


def test_a_file_that_is_not_what_was_promised_is_gone_for_the_next_attempt(
    hub: Client, tmp_path: Path
) -> None:
    hub.promised = SHA256
    with pytest.raises(FetchError, match="is not what the hub says"):
        fetch(WANTED, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path / fetch_weights.ORIGIN).exists()
