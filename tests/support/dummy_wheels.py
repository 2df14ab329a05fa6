"""Tiny wheels for a find-links folder: real resolving and installing without a network."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from reprokit.cache import CacheLayout
from reprokit.envs.lock import Lock
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: tuple[str, ...] = (),
    files: Mapping[str, str] | None = None,
    unrecorded: Mapping[str, str] | None = None,
) -> Path:
    """Write a pure wheel; its files default to one module with `__version__`."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    content = dict(files or {f"{module}/__init__.py": f"__version__ = {version!r}\n"})
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    content[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    )
    content[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    record = "".join(f"{path},{_hash(text)},{len(text)}\n" for path, text in content.items())
    content[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**content, **(unrecorded or {})}.items():
            archive.writestr(zipfile.ZipInfo(inside), text)
    return path


def _hash(text: str) -> str:
    value = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return "sha256=" + value.rstrip(b"=").decode()


def torch_like_wheelhouse(folder: Path) -> Path:
    """Write torch 2.7.1 and 2.8.0, which declare one triton each, and a few plain packages."""
    for version, triton in (("2.7.1", "3.3.1"), ("2.8.0", "3.4.0")):
        write_wheel(
            folder,
            "torch",
            version,
            requires=(f"triton=={triton}", "foo"),
            files={
                "torch/__init__.py": "from torch.version import __version__\n",
                "torch/version.py": (
                    f"__version__ = {version!r}\ncuda: str | None = None\n"
                    "git_version = 'abc123'\nhip = None\n"
                ),
            },
        )
    for version in ("3.3.1", "3.4.0", "3.6.0"):
        write_wheel(folder, "triton", version)
    for version in ("1.0", "2.0"):
        write_wheel(folder, "foo", version)
    write_wheel(folder, "needs-bar", "1.0", requires=("bar>=2",))
    return folder


def only_pips_configuration(folder: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a machine whose only source of distributions is pip's configuration."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    config = folder / "pip.conf"
    config.write_text(f"[global]\nno-index = true\nfind-links = {wheels}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("UV_CACHE_DIR", str(folder / "uv-cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "no-config"))


def resolved(cache: CacheLayout, *requirements: str, prefer: Lock | None = None) -> Lock:
    """Resolve requirements on this interpreter."""
    request = Request(requirements=requirements, overrides=(), python=sys.executable)
    return resolve(Uv.here(cache), TorchIndex(None), request, prefer=prefer).lock
