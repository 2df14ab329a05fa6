"""The machine that a bundle is for: how it is named, and whether this one is like it."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from reprokit.bundle.needs import Sizes, size_lines
from reprokit.envs.pylock import WheelFile, lock_of
from reprokit.envs.target import (
    Target,
    least_platform,
    misfit,
    read_platform,
    read_python_version,
    this_platform,
)
from reprokit.envs.uv_command import WheelFolders
from reprokit.errors import UsageError


class This:
    """Makes this machine another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, machine: str, system: str = "Linux", libc: str = "glibc 2.36") -> None:
        facts = {
            "machine": machine, "system": system,
            "libc_ver": tuple(libc.split()) if libc else ("", ""),
        }  # fmt: skip
        for name, value in facts.items():
            self._monkeypatch.setattr(f"platform.{name}", lambda value=value: value)


@pytest.fixture
def this(monkeypatch: pytest.MonkeyPatch) -> This:
    return This(monkeypatch)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("x86_64-manylinux_2_28", "x86_64-manylinux_2_28"),
        ("manylinux_2_28_x86_64", "x86_64-manylinux_2_28"),
        ("manylinux2014_aarch64", "aarch64-manylinux2014"),
        ("linux", "linux"),
        ("aarch64-apple-darwin", "aarch64-apple-darwin"),
    ],
)
def test_a_platform_is_named_as_uv_or_as_wheels_do(text: str, platform: str) -> None:
    assert read_platform(text) == platform


@pytest.mark.parametrize("text", ["", "ubuntu", "x86_64", "manylinux_2_28", "--python", "win32"])
def test_anything_else_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError, match="is not a platform"):
        read_platform(text)


def test_a_version_of_python_is_one() -> None:
    assert read_python_version("3.11") == "3.11"
    for text in ("3", ">=3.11", "python3.11", "3.11t"):
        with pytest.raises(UsageError):
            read_python_version(text)


def test_uv_is_told_both() -> None:
    wanted = Target(platform="linux", python="3.12")
    assert wanted.options() == ["--python-platform", "linux", "--python-version", "3.12"]


def test_this_machine_is_named_by_its_c_library(this: This) -> None:
    this("x86_64")
    assert this_platform() == "x86_64-manylinux_2_36"
    this("aarch64", libc="glibc 2.30")
    assert this_platform() == "aarch64-manylinux_2_28"
    this("arm64", "Darwin", "")
    assert this_platform() == "aarch64-apple-darwin"
    this("x86_64", libc="")
    with pytest.raises(UsageError, match="--platform"):
        this_platform()


def test_a_bundle_asks_for_no_newer_c_library_than_its_wheels(this: This) -> None:
    this("x86_64")
    assert least_platform(["a-1-py3-none-any.whl"]) == "x86_64-manylinux_2_17"
    wheels = [
        "a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        "b-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    ]
    assert least_platform(wheels) == "x86_64-manylinux_2_28"
    assert least_platform(["a-1-cp311-cp311-manylinux_2_35_x86_64.whl"]).endswith("2_35")


def test_a_machine_that_cannot_load_the_wheels_is_told_why(this: This) -> None:
    this("x86_64", libc="glibc 2.31")
    assert misfit("x86_64-manylinux_2_28") is None
    assert misfit("linux") is None
    assert "glibc 2.34" in (misfit("x86_64-manylinux_2_34") or "")
    assert "aarch64" in (misfit("aarch64-manylinux_2_28") or "")
    assert misfit("x86_64-apple-darwin") is not None
    this("x86_64", libc="")
    assert "no glibc" in (misfit("x86_64-manylinux_2_28") or "")


def test_this_very_machine_fits_itself() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("needs a machine with glibc")
    assert misfit(this_platform()) is None


def test_a_lock_of_wheels_accepts_exactly_these() -> None:
    def wheel(name: str, digest: str) -> WheelFile:
        return WheelFile(name=name, version="1.0", url="u", file="f", sha256=digest * 64)

    lock = lock_of([wheel("b", "b"), wheel("a", "2"), wheel("a", "1")])
    assert [pin.name for pin in lock.pins] == ["a", "b"]
    assert lock.pins[0].hashes == ("1" * 64, "2" * 64)


def test_without_a_network_no_other_source_of_wheels_is_left() -> None:
    kept = {
        "UV_DEFAULT_INDEX": "x", "UV_INDEX": "x", "UV_INDEX_URL": "x", "UV_EXTRA_INDEX_URL": "x",
        "UV_FIND_LINKS": "x", "UV_TORCH_BACKEND": "cu128", "UV_CONFIG_FILE": "x", "PATH": "p",
        "UV_INDEX_STRATEGY": "x", "UV_CACHE_DIR": "c",
    }  # fmt: skip
    only = WheelFolders((Path("/a, b"),), only=True)
    assert only.variables(kept) == {
        "PATH": "p", "UV_CACHE_DIR": "c", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1",
    }  # fmt: skip
    assert only.arguments() == ("--no-index", "--find-links", "file:///a%2C%20b")
    beside = WheelFolders((Path("/a"),))
    assert beside.variables({"UV_INDEX": "x"})["UV_INDEX"] == "x"
    assert beside.arguments() == ("--find-links", "file:///a")
    assert WheelFolders().variables(kept) == kept


def test_sizes_are_said_with_what_is_not_known() -> None:
    sizes = Sizes(3, 5 * 1024**3, 1, {"weights of a": 13 * 1024**3, "weights of b": None})
    lines = list(size_lines(sizes, 2048))
    assert lines == [
        "wheels: 3 files, 5.0 GiB, 1 of unknown size", "model: weights of a, about 13.0 GiB",
        "model: weights of b, size unknown", "free on the disk of the bundle: 2.0 KiB",
    ]  # fmt: skip
