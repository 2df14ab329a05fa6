"""Checkouts with the real Git, local repositories and a small local web server."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reprokit.cache import CacheLayout
from reprokit.envs import mirror
from reprokit.envs.checkout import Checkout, checkout, checkout_differences
from reprokit.envs.recheck import recheck_points
from reprokit.errors import (
    CheckoutError,
    CommitNotFoundError,
    RepositoryNotFoundError,
    RepositoryUnreachableError,
)
from reprokit.stack import Alteration, ReadyPoint

pytestmark = pytest.mark.integration

ADDRESS = "https://code.example/group/project"
NO_SUCH = "1" * 40


class Repository:
    """A repository that a test fills; `git` runs a command in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *args],
            cwd=self.path, check=True, text=True, capture_output=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, files: dict[str, str | bytes]) -> str:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def git_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Git a user configuration of the test's own: https://code.example/ is `remotes`."""
    config = tmp_path / "gitconfig"
    remotes = tmp_path / "remotes"
    config.write_text(
        f'[user]\n name = t\n email = t@example.com\n[url "{remotes}/"]\n'
        " insteadOf = https://code.example/\n"
    )
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return config


@pytest.fixture
def remote(tmp_path: Path, git_config: Path) -> Repository:
    return Repository(tmp_path / "remotes" / "group" / "project")


@pytest.fixture
def cache(tmp_path: Path) -> CacheLayout:
    return CacheLayout(tmp_path / "cache")


def test_a_commit_is_checked_out_through_the_users_insteadof(
    remote: Repository, cache: CacheLayout
) -> None:
    old = remote.commit({"a.py": "1\n", "d/b.py": "2\n"})
    new = remote.commit({"a.py": "3\n"})
    first, second = checkout(ADDRESS, old, cache), checkout(ADDRESS, new, cache)
    assert (first.path / "a.py").read_text() == "1\n"
    assert (second.path / "a.py").read_text() == "3\n"
    assert first.tree == remote.git("rev-parse", f"{old}^{{tree}}")
    assert (first.commit, first.url, first.notes) == (old, ADDRESS, ())
    assert len(list(cache.mirrors.glob("*.git"))) == 1


def test_what_is_here_needs_no_network(
    remote: Repository, cache: CacheLayout, git_config: Path
) -> None:
    sha = remote.commit({"a.py": "1\n"})
    checkout(ADDRESS, sha, cache)
    git_config.write_text("")
    assert checkout(ADDRESS, sha, cache, offline=True).commit == sha
    with pytest.raises(CommitNotFoundError, match="not on this machine"):
        checkout(ADDRESS, NO_SUCH, cache, offline=True)


def test_a_commit_that_no_branch_has_any_more_is_found(
    remote: Repository, cache: CacheLayout
) -> None:
    remote.commit({"a.py": "1\n"})
    lost = remote.commit({"a.py": "2\n"})
    remote.git("reset", "--quiet", "--hard", "HEAD~1")
    assert (checkout(ADDRESS, lost, cache).path / "a.py").read_text() == "2\n"


def test_a_missing_commit_is_its_own_error(remote: Repository, cache: CacheLayout) -> None:
    remote.commit({"a.py": "1\n"})
    with pytest.raises(CommitNotFoundError, match=f"has no commit {NO_SUCH}") as caught:
        checkout(ADDRESS, NO_SUCH, cache)
    assert ADDRESS in caught.value.what
    assert caught.value.hint


def test_the_hash_of_a_tree_or_blob_is_no_commit(remote: Repository, cache: CacheLayout) -> None:
    remote.commit({"a.py": "1\n"})
    with pytest.raises(CheckoutError):
        checkout(ADDRESS, remote.git("rev-parse", "HEAD^{tree}"), cache)


@pytest.mark.parametrize("commit", ["HEAD", "main", "abc1234", "--upload-pack=touch x", "a" * 39])
def test_only_full_shas(cache: CacheLayout, commit: str) -> None:
    with pytest.raises(CheckoutError, match="not a full commit SHA"):
        checkout(ADDRESS, commit, cache)


def test_a_missing_repository_is_its_own_error(cache: CacheLayout) -> None:
    with pytest.raises(RepositoryNotFoundError, match="no repository at") as caught:
        checkout("https://code.example/group/none", NO_SUCH, cache)
    assert "moved" in caught.value.hint


def test_an_unknown_host_is_its_own_error(cache: CacheLayout) -> None:
    with pytest.raises(RepositoryUnreachableError, match="could not be reached"):
        checkout("https://host.invalid/a/b", NO_SUCH, cache)


# --- altered checkouts


def _touch_nothing_but(made: Checkout, name: str, text: str) -> None:
    """Write a file without changing its size or time stamps, which Git trusts by default."""
    path = made.path / name
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_altered_checkout_is_made_anew_and_the_file_is_named(
    remote: Repository, cache: CacheLayout
) -> None:
    sha = remote.commit({"a.py": "1\n", ".gitignore": "*.pyc\n", "run.sh": "x\n"})
    made = checkout(ADDRESS, sha, cache)
    _touch_nothing_but(made, "a.py", "2\n")
    (made.path / "ignored.pyc").write_text("x")
    (made.path / "sitecustomize.py").write_text("x")
    (made.path / "run.sh").chmod(0o755)
    names = ("a.py", "ignored.pyc", "run.sh", "sitecustomize.py")
    assert checkout_differences(made.path, cache).all() == names
    again = checkout(ADDRESS, sha, cache)
    assert all(name in again.notes[-1] for name in names)
    assert (again.path / "a.py").read_text() == "1\n"
    assert not (again.path / "ignored.pyc").exists()
    assert checkout_differences(again.path, cache).all() == ()
    assert checkout(ADDRESS, sha, cache).notes == ()


def test_a_deleted_file_and_an_assume_unchanged_bit_do_not_hide(
    remote: Repository, cache: CacheLayout
) -> None:
    sha = remote.commit({"a.py": "1\n", "b.py": "1\n"})
    made = checkout(ADDRESS, sha, cache)
    subprocess.run(["git", "update-index", "--assume-unchanged", "b.py"], cwd=made.path, check=True)
    (made.path / "a.py").unlink()
    (made.path / "b.py").write_text("2\n")
    assert checkout_differences(made.path, cache).all() == ("a.py", "b.py")


def test_what_a_benchmark_did_to_its_checkout_is_seen_afterwards(
    remote: Repository, cache: CacheLayout
) -> None:
    sha = remote.commit({"generate.py": "1\n"})
    made = checkout(ADDRESS, sha, cache)
    ready = {
        "p": ReadyPoint(point="p", identity="i", source=str(made.path), commit=sha, tree=made.tree)
    }
    assert recheck_points(ready, cache) == {}
    (made.path / "results.txt").write_text("100 tok/s")
    assert recheck_points(ready, cache) == {"p": Alteration(point="p", added=("results.txt",))}
    (made.path / "torch.py").write_text("")
    (made.path / "generate.py").write_text("2\n")
    assert recheck_points(ready, cache)["p"].source == ("generate.py", "torch.py")


def test_a_half_made_checkout_is_made_again(remote: Repository, cache: CacheLayout) -> None:
    sha = remote.commit({"a.py": "1\n"})
    made = checkout(ADDRESS, sha, cache)
    made.path.with_name(f"{sha}.json").unlink()
    (made.path / "a.py").write_text("")
    assert (checkout(ADDRESS, sha, cache).path / "a.py").read_text() == "1\n"


# --- what a repository must not do


def test_hooks_and_filters_are_not_run(
    remote: Repository, cache: CacheLayout, git_config: Path, tmp_path: Path
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
        (hooks / name).chmod(0o755)
    sha = remote.commit({"a.py": "1\n", ".gitattributes": "a.py filter=evil\n"})
    with git_config.open("a") as file:
        file.write(f"[core]\n hooksPath = {hooks}\n fsmonitor = touch {tmp_path}/monitor-ran\n")
        file.write(f'[filter "evil"]\n smudge = touch {tmp_path}/filter-ran\n required = true\n')
    made = checkout(ADDRESS, sha, cache)
    assert (made.path / "a.py").read_text() == "1\n"
    assert not list(tmp_path.glob("*-ran"))


def test_links_out_of_the_checkout_and_lfs_pointers_are_noted(
    remote: Repository, cache: CacheLayout
) -> None:
    (remote.path / "out").symlink_to("../../elsewhere")
    (remote.path / "absolute").symlink_to("/etc/hostname")
    (remote.path / "inside").symlink_to("a.py")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    made = checkout(ADDRESS, remote.commit({"a.py": "1\n", "w.bin": pointer}), cache)
    lfs, links = made.notes
    assert lfs.startswith("1 file is a Git LFS pointer, not content")
    assert "w.bin" in lfs
    assert "absolute, out" in links
    assert "inside" not in links


def test_variables_of_a_surrounding_git_do_not_mislead(
    remote: Repository, cache: CacheLayout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = remote.commit({"a.py": "1\n"})
    other = Repository(tmp_path / "other")
    other.commit({"z.py": "z\n"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git" / "index"))
    made = checkout(ADDRESS, sha, cache)
    assert [path.name for path in made.path.iterdir() if path.name != ".git"] == ["a.py"]
    assert checkout_differences(made.path, cache).all() == ()


def test_a_local_repository_only_when_asked(remote: Repository, cache: CacheLayout) -> None:
    sha = remote.commit({"a.py": "1\n"})
    with pytest.raises(CheckoutError, match="path of one machine"):
        checkout(str(remote.path), sha, cache)
    assert checkout(str(remote.path), sha, cache, allow_local=True).commit == sha


# --- submodules


def test_submodules_of_submodules_with_relative_addresses(
    remote: Repository, cache: CacheLayout, tmp_path: Path
) -> None:
    for name, inner in (("leaf", None), ("middle", "leaf")):
        repository = Repository(tmp_path / "remotes" / "group" / name)
        if inner:
            repository.git("submodule", "add", "--quiet", f"../{inner}", "deps/inner")
        repository.commit({"file.py": f"{name}\n"})
    remote.git("submodule", "add", "--quiet", "https://code.example/group/middle", "third party")
    sha = remote.commit({"a.py": "1\n"})
    made = checkout(ADDRESS, sha, cache)
    assert (made.path / "third party" / "file.py").read_text() == "middle\n"
    leaf = made.path / "third party" / "deps" / "inner" / "file.py"
    assert leaf.read_text() == "leaf\n"
    leaf.write_text("evil\n")
    (leaf.parent / "new.py").write_text("x")
    prefix = "third party/deps/inner/"
    assert checkout_differences(made.path, cache).all() == (prefix + "file.py", prefix + "new.py")
    assert checkout(ADDRESS, sha, cache).path == made.path
    assert leaf.read_text() == "leaf\n"


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% x", "file:///etc", "/etc", "-u./x", "http://h/x", "git://h/x"]
)
def test_submodules_with_unsafe_addresses_are_refused(
    remote: Repository, cache: CacheLayout, tmp_path: Path, url: str
) -> None:
    leaf = Repository(tmp_path / "leaf")
    inner = leaf.commit({"x": "x"})
    (remote.path / ".gitmodules").write_text(
        f'[submodule "x"]\n path = sub\n url = "{url}"\n'.replace("\\", "\\\\")
    )
    remote.git("update-index", "--add", "--cacheinfo", f"160000,{inner},sub")
    remote.git("add", ".gitmodules")
    remote.git("commit", "--quiet", "--message=x")
    with pytest.raises(CheckoutError, match="submodule sub"):
        checkout(ADDRESS, remote.git("rev-parse", "HEAD"), cache)


# --- a host that redirects, refuses, forbids or never answers


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/old/"):
            self.send_response(301)
            self.send_header("Location", self.path.replace("/old/", "/new/", 1))
            self.end_headers()
        elif self.path.startswith("/private/"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
        elif self.path.startswith("/broken/"):
            self.send_error(503)
        elif self.path.startswith("/silent/"):
            self.server.released.wait(30)  # type: ignore[attr-defined]
        else:
            super().do_GET()


@pytest.fixture
def host(tmp_path: Path, git_config: Path) -> Iterator[Path]:
    """Serve a folder under https://web.example/, which Git is told to rewrite."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    server.released = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with git_config.open("a") as file:
        port = server.server_address[1]
        file.write(f'[url "http://user:secret@127.0.0.1:{port}/"]\n')
        file.write(" insteadOf = https://web.example/\n")
    yield folder
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_moved_repository_is_followed_and_noted(
    remote: Repository, cache: CacheLayout, host: Path
) -> None:
    sha = remote.commit({"a.py": "1\n"})
    remote.git("clone", "--quiet", "--bare", ".", str(host / "new" / "project.git"))
    subprocess.run(["git", "update-server-info"], cwd=host / "new" / "project.git", check=True)
    for _ in range(2):  # the note stays when nothing is fetched any more
        made = checkout("https://web.example/old/project.git", sha, cache)
        assert len(made.notes) == 1
        assert "has moved to" in made.notes[0]
        assert "/new/project.git" in made.notes[0]
        assert "secret" not in made.notes[0]


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("none", RepositoryNotFoundError, "there is no repository at"),
        ("private", RepositoryUnreachableError, "asks for credentials"),
        ("broken", RepositoryUnreachableError, "could not be reached"),
    ],
)
def test_each_refusal_has_its_own_error_and_shows_no_credentials(
    cache: CacheLayout, host: Path, place: str, error: type[CheckoutError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        checkout(f"https://web.example/{place}/project.git", NO_SUCH, cache)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


def test_a_host_that_never_answers_is_given_up(
    cache: CacheLayout, host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "FETCH_LIMIT_S", 1.0)
    with pytest.raises(RepositoryUnreachableError, match="took longer than 1 s"):
        checkout("https://web.example/silent/project.git", NO_SUCH, cache)
