"""Fetches the weights of one hub repository at one commit; run by path, by any interpreter.

`PYTHON fetch_weights.py --repo=owner/name --revision=<commit> --pattern=... ` fills the folder of
the variable REPROKIT_ASSET_DIR: the files that match and reprokit-weights.json with the digest of
each. What the hub names a digest for is compared with it.

It needs huggingface_hub, which transformers brings. What an attempt before it left in the folder
is used; a download goes on where it was cut off. A failure is one sentence on standard error and
exit code 1; a token is never printed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fnmatch
import hashlib
import importlib
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

ORIGIN = "reprokit-weights.json"
_INVALID = re.compile(r"invalid\b.{0,20}\b(credentials|password|token)|expired", re.IGNORECASE)
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_NO_NETWORK = frozenset({
    "ConnectionError", "ConnectError", "TimeoutException", "Timeout", "TransportError",
    "NetworkError", "OfflineModeIsEnabled", "LocalEntryNotFoundError",
})  # fmt: skip
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_BLOCK = 1 << 20
_SPARE = 256 << 20
"""Bytes that stay free on the disk."""


class FetchError(Exception):
    """The weights cannot be had; the message says what to do."""


def main() -> None:
    """Fetch what the command line names."""
    parser = argparse.ArgumentParser(prog="fetch_weights", description="Weights at one commit.")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--revision", required=True, help="commit of the repository")
    parser.add_argument("--pattern", action="append", required=True)
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--need", action="append", default=[], help="PATTERN=WHAT ITS LACK MEANS")
    given = parser.parse_args()
    wanted = Wanted(
        given.repo, given.revision, given.pattern, given.ignore,
        {pattern: words for pattern, _, words in (each.partition("=") for each in given.need)},
    )  # fmt: skip
    folder = Path(os.environ["REPROKIT_ASSET_DIR"])
    try:
        fetch(wanted, folder)
    except FetchError as error:
        sys.exit(_without_secrets(str(error)))
    except OSError as error:
        sys.exit(_without_secrets(_of_the_disk(error, folder)))


class Wanted(NamedTuple):
    """Which files of which commit; `needs` maps patterns to what it means that no file matches."""

    repo: str
    revision: str
    patterns: list[str]
    ignored: list[str]
    needs: dict[str, str]

    def takes(self, name: str) -> bool:
        """Tell whether a file of the repository is wanted."""
        return _matches(name, self.patterns) and not _matches(name, self.ignored)


def fetch(wanted: Wanted, folder: Path) -> None:
    """Fill a folder with the files of a commit, and write where they come from.

    Raises:
        FetchError: the hub does not give them, or gives something else.
    """
    (folder / ORIGIN).unlink(missing_ok=True)
    facts = _download(wanted, folder)
    # Its notes on the download are not weights.
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    files = _digests(folder)
    _check(folder, files, facts.siblings or [], wanted.repo)
    origin = {"repo": wanted.repo, "revision": wanted.revision, "files": files}
    text = json.dumps(origin, indent=1, sort_keys=True)
    (folder / ORIGIN).write_text(f"{text}\n", encoding="utf-8")


def _download(wanted: Wanted, folder: Path) -> Any:  # noqa: ANN401
    """Download the files; return what the hub says about the repository at this commit."""
    repo, revision = wanted.repo, wanted.revision
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise FetchError(
            f"huggingface_hub cannot be imported here ({error}); install it beside reprokit (pip "
            "install huggingface_hub), or add it to stack.requirements"
        ) from error
    try:
        facts = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
        _check_commit(repo, revision, facts.sha)
        _check_offer(wanted, facts.siblings or [], folder)
        hub.snapshot_download(
            repo, revision=revision, local_dir=str(folder),
            allow_patterns=wanted.patterns, ignore_patterns=wanted.ignored or None,
        )  # fmt: skip
    except FetchError:
        raise
    except Exception as error:
        raise FetchError(_explained(error, repo, revision, folder)) from error
    return facts


def _check_offer(wanted: Wanted, siblings: list[Any], folder: Path) -> None:
    """Refuse before the download what cannot be used, or does not fit on the disk."""
    taken = {each.rfilename: each.size or 0 for each in siblings if wanted.takes(each.rfilename)}
    for pattern, words in wanted.needs.items():
        if not any(_matches(name, pattern.split("|")) for name in taken):
            raise FetchError(f"{wanted.repo} has no {pattern} at this commit: {words}")
    size, free = sum(taken.values()), shutil.disk_usage(folder).free
    there = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
    if free + there < size + _SPARE:
        raise FetchError(
            f"the disk of {folder} is too full: {wanted.repo} has {size / 1e9:.1f} GB and "
            f"{free / 1e9:.1f} GB are free; free some, or put the cache elsewhere with "
            "REPROKIT_CACHE"
        )
    sys.stdout.write(f"{wanted.repo} at {wanted.revision}: {size} bytes\n")


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _check_commit(repo: str, revision: str, named: str | None) -> None:
    if named != revision:
        raise FetchError(f"the hub answers {repo} at {revision} with commit {named}")


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        name = path.relative_to(folder).as_posix()
        found[name] = {"size": path.stat().st_size, "sha256": digest.hexdigest()}
    return found


def _check(folder: Path, files: dict[str, dict[str, Any]], siblings: list[Any], repo: str) -> None:
    """Hold what came against what was promised; large files have their digest on the hub."""
    for sibling in siblings:
        stored = getattr(sibling, "lfs", None)
        promised = stored.get("sha256") if isinstance(stored, dict) else None
        promised = promised or getattr(stored, "sha256", None)
        came = files.get(sibling.rfilename)
        if promised and came is not None and came["sha256"] != promised:
            (folder / sibling.rfilename).unlink()  # another attempt must not find it
            raise FetchError(f"{repo}: {sibling.rfilename} is not what the hub says that it is")


def _of_the_disk(error: OSError, folder: Path) -> str:
    """Say what this machine refused."""
    if error.errno in _FULL:
        return (
            f"the disk of {folder} is full: free some space, or put the cache elsewhere with "
            "REPROKIT_CACHE; what came so far is kept"
        )
    return f"{error.filename or folder} cannot be used: {error.strerror or error}"


def _explained(error: Exception, repo: str, revision: str, folder: Path) -> str:
    """Turn what huggingface_hub raises into what happened and what to do; by name and status."""
    chain = list(_chain(error))
    names = {name for each in chain for name in _classes(each)}
    status = next((code for each in chain if (code := _status(each)) is not None), None)
    if status is not None:
        return _refused(names, status, repo, revision, error)
    full = next((each for each in chain if getattr(each, "errno", None) in _FULL), None)
    if isinstance(full, OSError):
        return _of_the_disk(full, folder)
    if isinstance(error, OSError) and error.errno is not None and error.filename:
        return _of_the_disk(error, folder)
    if names & _NO_NETWORK:
        return (
            f"{_endpoint()} cannot be reached ({_first_line(chain[-1])}): prepare the run where "
            "there is a network, or set model.weights=synthetic"
        )
    return f"{repo} at {revision} cannot be fetched: {type(error).__name__}: {_first_line(error)}"


def _refused(names: set[str], status: int, repo: str, revision: str, error: Exception) -> str:
    """Explain an answer of the hub that is not the weights."""
    if status == 401 and _INVALID.search(str(error)):
        return (
            "the hub does not accept the token: it is expired, revoked or mistyped. Make a new one "
            f"in the settings of your account at {_endpoint()} and set HF_TOKEN to it"
        )
    if "GatedRepoError" in names or status == 403:
        found = "the one that is set has no access" if _tokens() else "it is not set"
        return (
            f"{repo} is gated: accept its licence on its page at {_endpoint()}/{repo}, wait until "
            "access is granted, and set HF_TOKEN to a token of that account that may read gated "
            f"repositories ({found}); model.weights=synthetic needs none"
        )
    if "RevisionNotFoundError" in names:
        return f"{repo} has no commit {revision}: correct model.revision"
    if "RepositoryNotFoundError" in names or status in {401, 404}:
        return (
            f"{repo} is not on the hub, or is private: check the name; for a private repository "
            "set HF_TOKEN to a token that may read it"
        )
    return f"the hub answers {repo} with status {status}: {_first_line(error)}; try again later"


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _classes(error: BaseException) -> list[str]:
    return [each.__name__ for each in type(error).__mro__]


def _status(error: BaseException) -> int | None:
    code = getattr(getattr(error, "response", None), "status_code", None)
    return code if isinstance(code, int) else None


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "the model hub"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _without_secrets(text: str) -> str:
    """Mask tokens, as they are and as they look inside of quotes, and users of addresses."""
    for token in _tokens():
        for shown in (token, repr(token)[1:-1]):
            text = text.replace(shown, "***")
    return _USERINFO.sub("***@", text)


def _tokens() -> list[str]:
    """Return every token that the hub's client may have sent: of variables, or of its own file."""
    found = [os.environ.get(name, "").strip() for name in _TOKENS]
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        found.append(importlib.import_module("huggingface_hub").get_token() or "")
    return [token for token in found if token]


if __name__ == "__main__":
    main()
