"""The step that downloads files of a model's repository at one commit, for any adapter.

It runs with huggingface_hub: that of reprokit's own environment where it has one, else that of the
point's. The token goes to this step alone; conversion and measurement never see it.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import JsonValue

from reprokit.adapter import AssetStep, Command, PointContext

ORIGIN = "reprokit-weights.json"
"""Beside the files: repository, revision and the digest of each."""

_SCRIPT = Path(__file__).with_name("fetch_weights.py")
_INHERITED = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    "http_proxy", "https_proxy", "all_proxy", "no_proxy",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip


def fetch_step(
    point: PointContext,
    *,
    name: str,
    repository: str,
    revision: str,
    patterns: tuple[str, ...],
    ignored: tuple[str, ...],
    needs: Mapping[str, str],
    about_bytes: int | None = None,
) -> AssetStep:
    """Name the download of the files that match `patterns` and none of `ignored`.

    Args:
        point: where it runs when reprokit itself has no huggingface_hub.
        name: of the step; its folder holds the files and `ORIGIN`.
        repository: owner/name.
        revision: commit of the repository.
        patterns: as in `fnmatch`, over the whole path in the repository.
        ignored: wins over `patterns`.
        needs: patterns of which a file must have come, and what it means that none did.
        about_bytes: what will be downloaded, where that is known.
    """
    key: dict[str, JsonValue] = {
        "repo": repository,
        "revision": revision,
        "patterns": list(patterns),
        "ignored": list(ignored),
        "script": _script_digest(),
    }
    command = Command(
        argv=(
            *_python(point), str(_SCRIPT),
            f"--repo={repository}", f"--revision={revision}",
            *(f"--pattern={pattern}" for pattern in patterns),
            *(f"--ignore={pattern}" for pattern in ignored),
            *(f"--need={pattern}={words}" for pattern, words in needs.items()),
        ),
        cwd=point.source,
        # Benchmarks are kept off the hub; this step is there to reach it.
        env={"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"},
    )  # fmt: skip
    return AssetStep(
        name=name,
        key=key,
        command=command,
        about_bytes=about_bytes,
        title=f"weights of {repository} at {revision[:12]}",
        inherits=_INHERITED,
    )


def _python(point: PointContext) -> tuple[str, str]:
    """Prefer our own interpreter: a token is no business of a claim's packages."""
    own = find_spec("huggingface_hub") is not None
    return (sys.executable, "-IB") if own else (point.python, "-s")


@cache
def _script_digest() -> str:
    return hashlib.sha256(_SCRIPT.read_bytes()).hexdigest()
