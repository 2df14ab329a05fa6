"""Clean worktrees: one per repository address and commit, verified whenever they are reused."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reprokit.atomic_files import write_record
from reprokit.cache import CacheLayout
from reprokit.envs.checkout_content import content_notes, few
from reprokit.envs.checkout_url import check_repository_url, resolve_submodule_url
from reprokit.envs.disk import locked, remove_tree
from reprokit.envs.git_command import GitCommand
from reprokit.envs.mirror import Mirror
from reprokit.envs.redact import redact
from reprokit.errors import CheckoutError
from reprokit.progress import Observer, nobody
from reprokit.records import Record

_FULL_SHA = re.compile(r"^[0-9a-f]{40}$")
_DEEPEST = 8


@dataclass(frozen=True)
class Checkout:
    """A worktree that holds exactly one commit, submodules included.

    Attributes:
        tree: hash of the commit's tree.
        url: the address without credentials.
        notes: what a reader should know: a moved repository, pointer files, links to elsewhere.
    """

    path: Path
    commit: str
    tree: str
    url: str
    notes: tuple[str, ...] = ()


class _Part(Record):
    """The worktree of one repository in a checkout; `path` is relative, "" for the outermost."""

    path: str
    url: str
    commit: str


class _Marker(Record):
    """Written last, beside the worktree: it is finished, and this is what it holds."""

    commit: str
    tree: str
    url: str
    parts: tuple[_Part, ...]
    notes: tuple[str, ...]


def checkout(
    url: str,
    commit: str,
    cache: CacheLayout,
    *,
    offline: bool = False,
    allow_local: bool = False,
    observer: Observer = nobody,
    subject: str = "",
) -> Checkout:
    """Bring one commit of a repository to this machine, as a clean worktree.

    A worktree that is here already is compared with its commit, file by file; one that was altered
    is made anew, and a note names the files.

    Raises:
        RepositoryUnreachableError, RepositoryNotFoundError, CommitNotFoundError, CheckoutError
    """
    check_repository_url(url, allow_local=allow_local)
    if not _FULL_SHA.match(commit):
        raise CheckoutError(
            f"{commit!r} is not a full commit SHA", hint="Give all 40 hexadecimal digits."
        )
    work = _Worktrees(cache, GitCommand(os.environ), observer, offline, allow_local)
    return work.provide(url, commit, subject or redact(url))


@dataclass(frozen=True)
class Differences:
    """Files of a worktree that are not those of its commit, relative to its root, sorted."""

    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def all(self) -> tuple[str, ...]:
        """Return every name."""
        return tuple(sorted({*self.changed, *self.added}))


def checkout_differences(path: Path, cache: CacheLayout) -> Differences:
    """Compare a checkout with its commit, by content; submodules included."""
    work = _Worktrees(cache, GitCommand(os.environ), nobody, offline=True, allow_local=True)
    marker = _read_marker(_marker_path(path))
    return work.differences(path, marker) if marker else Differences(changed=(".",))


def checkout_parts(path: Path) -> tuple[tuple[str, str], ...]:
    """Name the repositories that a checkout was made from, submodules included, and their commits.

    Raises:
        CheckoutError: the checkout is not finished.
    """
    marker = _read_marker(_marker_path(path))
    if marker is None:
        raise CheckoutError(f"the checkout {path} is not finished", hint="Prepare it again.")
    return tuple((part.url, part.commit) for part in marker.parts)


def mirror_of(url: str, cache: CacheLayout) -> Mirror:
    """Return the mirror of an address that was accepted before; its caller holds its lock."""
    return Mirror(cache.mirrors, url, GitCommand(os.environ))


class _Worktrees:
    def __init__(
        self,
        cache: CacheLayout,
        command: GitCommand,
        observer: Observer,
        offline: bool,
        allow_local: bool,
    ) -> None:
        self._cache = cache
        self._git = command
        self._observer = observer
        self._offline = offline
        self._allow_local = allow_local

    def provide(self, url: str, commit: str, subject: str) -> Checkout:
        mirror = self._mirror(url)
        path = self._cache.checkouts / mirror.name / commit
        extra: tuple[str, ...] = ()
        with locked(path.parent / f"{commit}.lock", self._observer, subject):
            marker = _read_marker(_marker_path(path))
            if marker is not None:
                differing = self.altered(path, marker)
                if differing:
                    extra = (f"the checkout was altered and was made anew: {few(differing)}",)
                    marker = None
            if marker is None:
                marker = self._make(path, url, commit, subject)
        return Checkout(path, commit, marker.tree, marker.url, (*marker.notes, *extra))

    def altered(self, path: Path, marker: _Marker) -> tuple[str, ...]:
        """Name every file that differs from its commit."""
        return self.differences(path, marker).all()

    def differences(self, path: Path, marker: _Marker) -> Differences:
        """Compare every part of a checkout with its commit, by content and never by time stamps."""
        changed: list[str] = []
        added: list[str] = []
        for part in marker.parts:
            prefix = PurePosixPath(part.path)
            found = self._differing(self._mirror(part.url), path / part.path, part.commit)
            changed += [str(prefix / name) for name in found.changed]
            added += [str(prefix / name) for name in found.added]
        return Differences(tuple(sorted(changed)), tuple(sorted(added)))

    def _differing(self, mirror: Mirror, path: Path, commit: str) -> Differences:
        if not path.is_dir() or not mirror.path.is_dir():
            return Differences(changed=(".",))
        place = (f"--git-dir={mirror.path}", f"--work-tree={path}")
        with tempfile.TemporaryDirectory(prefix="reprokit-index-") as scratch:
            # A new index has no time stamps to trust, so Git reads every file again.
            index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
            if not self._git.run(*place, "read-tree", commit, cwd=path, extra_env=index).ok:
                return Differences(changed=(".",))
            # Exits with 1 when something differs, which is what the next command lists.
            self._git.run(
                *place, "update-index", "-q", "--ignore-submodules", "--really-refresh",
                cwd=path, extra_env=index,
            )  # fmt: skip
            changed = self._git.must(
                *place, "diff-files", "--ignore-submodules=all", "--name-only", "-z",
                cwd=path, extra_env=index,
            )  # fmt: skip
            added = self._git.must(*place, "ls-files", "--others", "-z", cwd=path, extra_env=index)
        return Differences(_names(changed), _names(added))

    def _make(self, path: Path, url: str, commit: str, subject: str) -> _Marker:
        _marker_path(path).unlink(missing_ok=True)
        remove_tree(path)
        notes: list[str] = []
        whole = _Part(path="", url=url, commit=commit)
        parts = self._populate(path, whole, notes, subject)
        marker = _Marker(
            commit=commit, tree=self._mirror(url).tree(commit), url=redact(url),
            parts=tuple(parts), notes=tuple(notes),
        )  # fmt: skip
        differing = self.altered(path, marker)
        if differing:
            raise CheckoutError(
                f"the checkout of {redact(url)} at {commit} differs from its commit: "
                f"{few(differing)}",
                hint="A full disk, or a file system that folds upper and lower case, does that.",
            )
        write_record(_marker_path(path), marker)
        return marker

    def _populate(
        self, root: Path, part: _Part, notes: list[str], subject: str, depth: int = 0
    ) -> list[_Part]:
        inside, url, commit = part.path, part.url, part.commit
        if depth > _DEEPEST:
            raise CheckoutError(f"submodules are nested more than {_DEEPEST} deep at {inside}")
        mirror = self._mirror(url)
        with locked(mirror.lock_path, self._observer, subject):
            mirror.ensure(commit, offline=self._offline)
            place = root / inside
            place.parent.mkdir(parents=True, exist_ok=True)
            self._git.must("worktree", "prune", cwd=mirror.path)
            self._git.must(
                "worktree", "add", "--quiet", "--force", "--detach", str(place), commit,
                cwd=mirror.path,
            )  # fmt: skip
            entries = mirror.entries(commit)
            settings = mirror.submodule_settings(commit)
        notes += content_notes(root, inside, entries)
        moved = mirror.moved_to()
        if moved:
            notes.append(f"the repository {redact(url)} has moved to {moved}")
        parts = [part]
        for entry in entries:
            if entry.is_submodule:
                inner = str(PurePosixPath(inside) / entry.path)
                target = self._submodule_url(url, inner, settings.get(entry.path), notes)
                if target:
                    nested = _Part(path=inner, url=target, commit=entry.oid)
                    parts += self._populate(root, nested, notes, subject, depth + 1)
        return parts

    def _submodule_url(
        self, parent: str, path: str, settings: dict[str, str] | None, notes: list[str]
    ) -> str | None:
        declared = (settings or {}).get("url")
        if not declared or (settings or {}).get("update") == "none":
            why = "is set to `update = none`" if declared else "has no address in .gitmodules"
            notes.append(f"submodule {path} {why} and was left empty")
            return None
        target = resolve_submodule_url(parent, declared)
        try:
            check_repository_url(target, allow_local=self._allow_local)
        except CheckoutError as error:
            raise CheckoutError(f"submodule {path}: {error.what}", hint=error.hint) from error
        return target

    def _mirror(self, url: str) -> Mirror:
        return Mirror(self._cache.mirrors, url, self._git)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(sorted({name for name in listed.split("\0") if name}))


def _marker_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read_marker(path: Path) -> _Marker | None:
    try:
        return _Marker.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # unreadable is the same as unfinished: the worktree is made again
