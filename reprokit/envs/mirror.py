"""Local bare mirrors: one per repository address, fetched from only when a commit is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reprokit.atomic_files import write_atomic
from reprokit.envs.checkout_url import mirror_name, same_repository
from reprokit.envs.git_command import GitCommand
from reprokit.envs.git_errors import commit_is_missing, explain, redirected_to
from reprokit.envs.redact import HUB_TOKENS, redact
from reprokit.errors import CheckoutError, CommitNotFoundError

if TYPE_CHECKING:
    import git

FETCH_LIMIT_S = 1800.0
_MOVED_FILE = "reprokit-moved-to"
_SUBMODULE = "160000"
_SYMLINK = "120000"


@dataclass(frozen=True)
class TreeEntry:
    """One file of a commit as Git lists it; `size` in bytes, None for a submodule."""

    mode: str
    oid: str
    size: int | None
    path: str

    @property
    def is_submodule(self) -> bool:
        """True for another repository's commit."""
        return self.mode == _SUBMODULE

    @property
    def is_symlink(self) -> bool:
        """True for a symbolic link."""
        return self.mode == _SYMLINK


class Mirror:
    """The mirror of one repository address; its caller holds the mirror's lock.

    Args:
        folder: the cache's folder of mirrors.
        url: an address that `check_repository_url` has accepted.
    """

    def __init__(self, folder: Path, url: str, command: GitCommand) -> None:
        self.url = url
        self.name = mirror_name(url)
        self.path = folder / f"{self.name}.git"
        self.lock_path = folder / f"{self.name}.lock"
        self._git = command

    def ensure(self, commit: str, *, offline: bool) -> None:
        """Make sure that the commit is here.

        The commit itself is asked for first: it may hang on no branch any more. Hosts that give out
        only what a branch leads to are asked for all branches and tags then.

        Raises:
            CommitNotFoundError, RepositoryNotFoundError, RepositoryUnreachableError, CheckoutError
        """
        if self._holds(commit):
            return
        if offline:
            raise CommitNotFoundError(
                f"commit {commit} of {redact(self.url)} is not on this machine",
                hint="Run `reprokit prepare` where there is a network; with `--bundle FOLDER` it "
                "makes what can be carried here.",
            )
        self._create()
        kept = f"refs/reprokit/{commit}"
        if self._fetch(f"+{commit}:{kept}") and self._holds(commit):
            return
        self._fetch("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        if not self._holds(commit):
            raise CommitNotFoundError(
                f"the repository {redact(self.url)} has no commit {commit}",
                hint="Check the SHA. A force-push or the deletion of a branch or fork removes "
                "commits; an archive's mirror may still have it.",
            )
        self._git.must("update-ref", kept, commit, cwd=self.path)

    def moved_to(self) -> str | None:
        """Return the address that the host redirected to when the mirror was last fetched."""
        marker = self.path / _MOVED_FILE
        return marker.read_text(encoding="utf-8").strip() if marker.is_file() else None

    def write_bundle(self, commits: Iterable[str], file: Path) -> None:
        """Write commits, and all that they descend from, into one file (`git bundle`).

        Raises:
            CheckoutError: a commit is not here, or the file cannot be written.
        """
        refs = []
        for commit in sorted(set(commits)):
            refs.append(f"refs/reprokit/{commit}")
            self._git.must("update-ref", refs[-1], commit, cwd=self.path)
        self._git.must("bundle", "create", "--quiet", str(file.absolute()), *refs, cwd=self.path)

    def read_bundle(self, file: Path, moved_to: str | None) -> None:
        """Take over what `write_bundle` wrote; touches no network.

        Raises:
            CheckoutError: the file is damaged.
        """
        self._create()
        self._git.must(
            "fetch", "--quiet", "--no-tags", "--force", str(file.absolute()),
            "+refs/reprokit/*:refs/reprokit/*", cwd=self.path,
        )  # fmt: skip
        self._remember_redirect(moved_to)

    def tree(self, commit: str) -> str:
        """Return the hash of the commit's tree."""
        with self._repository() as repository:
            return repository.commit(commit).tree.hexsha

    def entries(self, commit: str) -> tuple[TreeEntry, ...]:
        """List every file, link and submodule of a commit."""
        with self._repository() as repository:
            listing = repository.git.ls_tree("-r", "-l", "-z", "--full-tree", commit)
        return tuple(_entry(line) for line in listing.split("\0") if line)

    def submodule_settings(self, commit: str) -> dict[str, dict[str, str]]:
        """Read `.gitmodules` of a commit: path of each submodule to its settings."""
        result = self._git.run(
            "config", "--blob", f"{commit}:.gitmodules", "-z", "--get-regexp", r"^submodule\.",
            cwd=self.path,
        )  # fmt: skip
        named: dict[str, dict[str, str]] = {}
        for entry in result.stdout.split("\0"):
            key, _, value = entry.partition("\n")
            name, _, setting = key.removeprefix("submodule.").rpartition(".")
            if name:
                named.setdefault(name, {})[setting] = value
        return {found["path"].strip("/"): found for found in named.values() if "path" in found}

    def _holds(self, commit: str) -> bool:
        if not (self.path / "HEAD").is_file():
            return False
        return self._git.run("cat-file", "-e", f"{commit}^{{commit}}", cwd=self.path).ok

    def _create(self) -> None:
        if (self.path / "HEAD").is_file():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        self._git.must("init", "--quiet", "--bare", "--template=", ".", cwd=self.path)

    def _fetch(self, *refs: str) -> bool:
        result = self._git.run(
            "fetch", "--no-tags", "--force", "--end-of-options", self.url, *refs,
            cwd=self.path, timeout_s=FETCH_LIMIT_S,
        )  # fmt: skip
        self._remember_redirect(redirected_to(result))
        if result.ok:
            return True
        if commit_is_missing(result):
            return False
        raise explain(result, self.url, timeout_s=FETCH_LIMIT_S)

    def _remember_redirect(self, target: str | None) -> None:
        if target and not same_repository(target, self.url):
            write_atomic(self.path / _MOVED_FILE, [target.encode(), b"\n"])

    @contextmanager
    def _repository(self) -> Iterator[git.Repo]:
        # Imported late: GitPython looks for git at import, and reprokit must start without it.
        import git  # noqa: PLC0415

        repository = git.Repo(self.path)
        # GitPython hands the whole environment on; a hook's GIT_DIR would lead it elsewhere.
        repository.git.update_environment(
            GIT_DIR=str(self.path),
            GIT_OBJECT_DIRECTORY=str(self.path / "objects"),
            GIT_ALTERNATE_OBJECT_DIRECTORIES="",
            GIT_NAMESPACE="",
            **dict.fromkeys(HUB_TOKENS, ""),
        )
        try:
            yield repository
        except (git.exc.GitError, ValueError) as error:
            raise CheckoutError(
                f"the mirror {self.path} is damaged: {error}",
                hint="Remove that folder; it is fetched again.",
            ) from error
        finally:
            repository.close()


def _entry(line: str) -> TreeEntry:
    facts, _, path = line.partition("\t")
    mode, _, oid, size = facts.split()
    return TreeEntry(mode, oid, None if size == "-" else int(size), path)
