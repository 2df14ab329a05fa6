"""What can be fetched here: packages from the configured indexes, gated weights."""

from __future__ import annotations

import os
import re
from pathlib import Path

from reprokit.doctor.records import Check, ok, warn
from reprokit.doctor.surroundings import Surroundings
from reprokit.envs.redact import HUB_TOKENS
from reprokit.envs.uv_command import Trouble, Uv, read_complaint
from reprokit.errors import ReprokitError

LIMIT_S = 15.0
_ASKED = "pip"
_QUICK = {"UV_HTTP_TIMEOUT": "5", "UV_HTTP_RETRIES": "0", "UV_NO_CACHE": "1"}
_INDEX = "package index"
_TOKEN = "hub token"  # noqa: S105 - the name of the check
_REFUSED = re.compile(r"\b40[13] (Unauthorized|Forbidden)\b")
_WITHOUT = (
    "only stacks that are in the cache, existing interpreters (--stack host) and bundles "
    "(reprokit run --bundle) can be measured"
)


def check_index(here: Surroundings) -> Check:
    """Ask the configured indexes for one small thing, as uv would, within a few seconds."""
    try:
        uv = Uv.here(here.cache, {**here.environ, **_QUICK})
        with uv.scratch() as folder:
            asked = folder / "asked.in"
            asked.write_text(f"{_ASKED}\n")
            result = uv.pip("compile", str(asked), "--no-deps", "--quiet", timeout_s=LIMIT_S)
    except (ReprokitError, OSError) as error:
        return warn(_INDEX, str(error).splitlines()[0], _WITHOUT, "See the check of uv.")
    complaint = None if result.ok else read_complaint(result)
    lacking = complaint is not None and complaint.trouble is Trouble.UNSATISFIABLE
    if "--no-index" in uv.bridge.arguments and (complaint is None or lacking):
        folders = uv.bridge.shown().get("UV_FIND_LINKS", "no folder")
        return ok(_INDEX, f"none is configured; wheels come from {folders}",
                  "stacks can be made of the wheels that are there")  # fmt: skip
    if complaint is None:
        return ok(_INDEX, "it answers", "stacks can be resolved and installed")
    if lacking:
        refused = _REFUSED.search(result.stderr)
        said = refused[0] if refused else complaint.root_cause
        return warn(
            _INDEX, f"it gives no package {_ASKED!r}: {said}",
            "it is no full index, refuses you, or is not what answers: stacks may not resolve",
            "Check its address and your credentials in the settings of pip or uv, and whether this "
            "network first asks you to log in.",
        )  # fmt: skip
    said = f"no answer within {LIMIT_S:.0f} s" if result.timed_out else complaint.root_cause
    return warn(
        _INDEX, said, f"it cannot be reached: {_WITHOUT}",
        "Check the network, the proxy and the index settings of pip or uv. For a machine without "
        "one: `reprokit prepare CLAIM --bundle FOLDER` on another, or --find-links FOLDER.",
    )  # fmt: skip


def check_token(here: Surroundings) -> Check:
    """Look whether a token for gated weights is there; it is neither read nor shown."""
    set_in = next((name for name in HUB_TOKENS if here.environ.get(name, "").strip()), None)
    place = set_in or _token_file(here)
    if place is None:
        return warn(
            _TOKEN, "none", "weights of gated repositories (Llama) cannot be fetched; others can",
            "Accept the licence on the page of the model and set HF_TOKEN, or measure random "
            "weights: --weights synthetic.",
        )  # fmt: skip
    if not here.has_module("huggingface_hub"):
        return warn(
            _TOKEN, f"set in {place}, and reprokit's Python has no huggingface_hub",
            "weights can only be fetched by stacks that bring it, and these are handed the token",
            "Install it beside reprokit: pip install huggingface_hub.",
        )  # fmt: skip
    return ok(_TOKEN, f"set in {place}", "gated weights can be fetched where its account may")


def _token_file(here: Surroundings) -> str | None:
    """Name the file that the hub's client would take a token from."""
    home = Path(here.environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - never raises
    caches = Path(here.environ.get("XDG_CACHE_HOME") or home / ".cache")
    folder = Path(here.environ.get("HF_HOME") or caches / "huggingface")
    named = here.environ.get("HF_TOKEN_PATH")
    path = Path(named) if named else folder / "token"
    try:
        return str(path) if path.stat().st_size else None
    except OSError:
        return None
