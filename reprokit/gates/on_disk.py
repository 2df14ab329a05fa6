"""Whether the files of a package are those that its RECORD names, as a probe compared them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from reprokit.gates.findings import Finding
from reprokit.stack import Distribution, Probe
from reprokit.verdict.wording import count

_PROVIDED_BY: Final = {
    "torch": ("torch",),
    "triton": (
        "triton", "pytorch-triton", "pytorch-triton-rocm", "triton-rocm", "triton-xpu",
    ),
}  # fmt: skip
"""Module to the distributions that bring it."""
_WHY: Final = {
    "no_record": "it has no RECORD that says what its files should be",
    "editable": "it is an editable install, whose files anybody may change",
}
_SHORT = 12


def verified_on_disk(name: str, probe: Probe, *, locked: bool) -> Iterator[Finding]:
    """Judge the files of torch or Triton.

    Args:
        name: "torch" or "triton".
        probe: of the environment.
        locked: an environment that reprokit built, all files of which were compared.
    """
    facts = {"torch": probe.torch, "triton": probe.triton}[name]
    owner = _owner(name, probe)
    wrong = _files(name, owner, probe.altered)
    gone = _files(name, owner, probe.missing)
    if wrong:
        says = f"{count(len(wrong), 'file')} of {name} not as in its RECORD: {wrong[0]}"
        yield Finding("fail", says)
    if gone:
        yield Finding("fail", f"{count(len(gone), 'file')} of {name} gone: {gone[0]}")
    if wrong or gone:
        return
    if owner is None:
        yield _without_owner(name, imported=facts is not None)
        return
    doubt = _doubt(name, owner, probe, locked=locked)
    if doubt is not None:
        yield Finding("open", f"the {name} {owner.version} is not verified on disk: {doubt}")
        return
    git = (facts or {}).get("git_version")
    build = f" (git {git[:_SHORT]})" if isinstance(git, str) else ""
    says = f"the files of {name} {owner.version}{build} have the hashes of their RECORD"
    yield Finding("pass", says)


def _owner(name: str, probe: Probe) -> Distribution | None:
    installed = {each.name: each for each in probe.distributions}
    return next((installed[each] for each in _PROVIDED_BY[name] if each in installed), None)


def _without_owner(name: str, *, imported: bool) -> Finding:
    if imported:
        says = f"a {name} is imported that no distribution owns, so its files are not verified"
        return Finding("open", says)
    return Finding("pass", f"the environment holds no {name}")


def _doubt(name: str, owner: Distribution, probe: Probe, *, locked: bool) -> str | None:
    """Say why files were not, or could not be, compared; None where all were."""
    if owner.record_sha256 is None:
        return _WHY["no_record"]
    strange = _files(name, owner, probe.unrecorded)
    if strange:
        return f"{count(len(strange), 'file')} that no RECORD names: {strange[0]}"
    if locked:
        return None
    if probe.unverified is None:
        return "the probe does not say what could be compared"
    if owner.name in probe.unverified:
        return _WHY.get(probe.unverified[owner.name], probe.unverified[owner.name])
    return None if owner.content_sha256 is not None else "its files were not looked at"


def _files(name: str, owner: Distribution | None, paths: tuple[str, ...]) -> list[str]:
    """Find the files that an import of the package reads, or that describe it."""
    names = {name, *([owner.name] if owner else [])}
    return [path for path in paths if _belongs(path, names)]


def _belongs(path: str, names: set[str]) -> bool:
    parts = PurePosixPath(path.partition("site-packages/")[2] or path).parts
    top = re.sub(r"[-_.]+", "-", parts[0].lower()) if parts else ""
    # "triton-3.6.0.dist-info" is Triton's, "triton_kernels" is not.
    return any(top == name or re.match(rf"{re.escape(name)}-\d", top) for name in names)
