"""Fetches the weights of one hub repository at one commit; run by path in a point's environment.

`PYTHON fetch_weights.py --repo=owner/name --revision=<commit> --pattern=... ` fills the folder of
the variable REPROKIT_ASSET_DIR: the files whose names match, from the top of the repository, and
reprokit-weights.json with the digest of each. What the hub names a digest for is compared with it.

It needs huggingface_hub, which transformers brings. A failure is one sentence on standard error
and exit code 1; a token is never printed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

ORIGIN = "reprokit-weights.json"
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_NO_NETWORK = frozenset({
    "ConnectionError", "ConnectError", "TimeoutException", "Timeout", "TransportError",
    "NetworkError", "OfflineModeIsEnabled", "LocalEntryNotFoundError",
})  # fmt: skip
_BLOCK = 1 << 20


class FetchError(Exception):
    """The weights cannot be had; the message says what to do."""


def main() -> None:
    """Fetch what the command line names."""
    parser = argparse.ArgumentParser(prog="fetch_weights", description="Weights at one commit.")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--revision", required=True, help="commit of the repository")
    parser.add_argument("--pattern", action="append", required=True)
    given = parser.parse_args()
    try:
        fetch(given.repo, given.revision, given.pattern, Path(os.environ["REPROKIT_ASSET_DIR"]))
    except FetchError as error:
        sys.exit(_without_tokens(str(error)))


def fetch(repo: str, revision: str, patterns: list[str], folder: Path) -> None:
    """Fill a folder with the files of a commit, and write where they come from.

    Raises:
        FetchError: the hub does not give them, or gives something else.
    """
    facts = _download(repo, revision, patterns, folder)
    # Its notes on the download are not weights.
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    files = _digests(folder)
    _check(files, facts.siblings or [], repo)
    origin = {"repo": repo, "revision": revision, "files": files}
    text = json.dumps(origin, indent=1, sort_keys=True)
    (folder / ORIGIN).write_text(f"{text}\n", encoding="utf-8")


def _download(repo: str, revision: str, patterns: list[str], folder: Path) -> Any:  # noqa: ANN401
    """Download the files; return what the hub says about the repository at this commit."""
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise FetchError(
            f"huggingface_hub cannot be imported in this environment ({error}); add it, or "
            "transformers, to stack.requirements"
        ) from error
    try:
        facts = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
        _check_commit(repo, revision, facts.sha)
        hub.snapshot_download(
            repo, revision=revision, local_dir=str(folder), allow_patterns=patterns,
            # Other formats of the same weights lie in folders, or under this name.
            ignore_patterns=["*/*", "consolidated*"],
        )  # fmt: skip
    except FetchError:
        raise
    except Exception as error:
        raise FetchError(_explained(error, repo, revision)) from error
    return facts


def _check_commit(repo: str, revision: str, named: str | None) -> None:
    if named != revision:
        raise FetchError(f"the hub answers {repo} at {revision} with commit {named}")


def _digests(folder: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.iterdir()):
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        found[path.name] = {"size": path.stat().st_size, "sha256": digest.hexdigest()}
    return found


def _check(files: dict[str, dict[str, Any]], siblings: list[Any], repo: str) -> None:
    """Hold what came against what was promised; large files have their digest on the hub."""
    if "config.json" not in files:
        raise FetchError(f"{repo} has no config.json at this commit: it is no transformers model")
    if not any(name.endswith(".safetensors") for name in files):
        raise FetchError(
            f"{repo} has no .safetensors at this commit; other formats can run code when they are "
            "read and are not fetched. Name a commit that has them, or set model.weights=synthetic"
        )
    for sibling in siblings:
        stored = getattr(sibling, "lfs", None)
        promised = stored.get("sha256") if isinstance(stored, dict) else None
        promised = promised or getattr(stored, "sha256", None)
        came = files.get(sibling.rfilename)
        if promised and came is not None and came["sha256"] != promised:
            raise FetchError(f"{repo}: {sibling.rfilename} is not what the hub says that it is")


def _explained(error: Exception, repo: str, revision: str) -> str:
    """Turn what huggingface_hub raises into what happened and what to do; by name and status."""
    chain = list(_chain(error))
    names = {name for each in chain for name in _classes(each)}
    status = next((code for each in chain if (code := _status(each)) is not None), None)
    if status is not None:
        return _refused(names, status, repo, revision, _first_line(error))
    if isinstance(error, OSError) and error.errno is not None and error.filename:
        return f"{error.filename} cannot be written: {error.strerror}"
    if names & _NO_NETWORK:
        return (
            f"{_endpoint()} cannot be reached ({_first_line(chain[-1])}): prepare the run where "
            "there is a network, or set model.weights=synthetic"
        )
    return f"{repo} at {revision} cannot be fetched: {type(error).__name__}: {_first_line(error)}"


def _refused(names: set[str], status: int, repo: str, revision: str, words: str) -> str:
    """Explain an answer of the hub that is not the weights."""
    if "GatedRepoError" in names or status == 403:
        has_token = any(os.environ.get(name) for name in _TOKENS)
        found = "the one that is set has no access" if has_token else "it is not set"
        return (
            f"{repo} is gated: accept its licence on its page at {_endpoint()} and set HF_TOKEN to "
            f"a token of that account ({found})"
        )
    if "RevisionNotFoundError" in names:
        return f"{repo} has no commit {revision}: correct model.revision"
    if "RepositoryNotFoundError" in names or status in {401, 404}:
        return (
            f"{repo} is not on the hub, or is private: check the name; for a private repository "
            "set HF_TOKEN to a token that may read it"
        )
    return f"the hub answers {repo} with status {status}: {words}"


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


def _without_tokens(text: str) -> str:
    for name in _TOKENS:
        if token := os.environ.get(name):
            text = text.replace(token, "***")
    return text


if __name__ == "__main__":
    main()
