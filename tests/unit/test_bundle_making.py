"""Making a bundle: whether it fits on the disk, and what the tools that fetch are not told."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from reprokit.adapter import AssetStep, Command, PointContext
from reprokit.bundle.needs import PointNeeds
from reprokit.bundle.records import BundleError
from reprokit.bundle.space import SPARE, require_space
from reprokit.cache import CacheLayout
from reprokit.envs.assets import asset_folder
from reprokit.envs.git_command import GitCommand
from reprokit.envs.pylock import WheelFile
from reprokit.envs.uv_command import Uv
from reprokit.envs.uv_settings import Bridge, settings_for_uv
from reprokit.envs.wheel_download import WheelDownloader
from reprokit.progress import nobody
from reprokit.stack import digest

GIB = 1 << 30
STEP = AssetStep(
    name="weights", key={"repo": "a"}, title="weights of a", about_bytes=10 * GIB,
    command=Command(argv=("x",), cwd="/"),
)  # fmt: skip
CONTEXT = PointContext(point="p", python="/p", source="/s", commit=None)
WHEEL = WheelFile(name="a", version="1", url="u", file="a.whl", sha256="0", size=5 * GIB)
NEEDS = (PointNeeds(wheels=(WHEEL,), models=((STEP, CONTEXT),)),) * 2
Usage = namedtuple("Usage", ["free"])


class Disk:
    """One disk for bundle and cache, with as much free as a test says."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.cache = root / "bundle", CacheLayout(root / "cache")
        self.folder.mkdir()
        self._monkeypatch, self.said = monkeypatch, ""

    def holds(self, free: int) -> bool:
        self._monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(free))
        try:
            require_space(NEEDS, self.folder, self.cache)
        except BundleError as error:
            self.said = error.what
            return False
        return True


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(tmp_path, monkeypatch)


def test_a_model_passes_through_the_cache_and_counts_twice(disk: Disk) -> None:
    assert disk.holds(25 * GIB + SPARE)
    assert not disk.holds(25 * GIB + SPARE - 1)
    assert f"needs {25 * GIB} bytes" in disk.said


def test_what_was_fetched_before_is_not_needed_again(disk: Disk) -> None:
    (disk.folder / "wheels").mkdir()
    (disk.folder / "wheels" / "a.whl").touch()
    assert disk.holds(20 * GIB + SPARE)
    asset_folder(disk.cache, digest(STEP.key)).mkdir(parents=True)
    assert disk.holds(10 * GIB + SPARE)
    assert not disk.holds(10 * GIB + SPARE - 1)
    copied = disk.folder / "models" / digest(STEP.key)[:32] / "model.bin"
    copied.parent.mkdir(parents=True)
    with copied.open("wb") as file:
        file.truncate(10 * GIB)  # sparse
    assert disk.holds(0)


def test_nothing_that_fetches_something_else_is_given_the_token_for_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    for name in names:
        monkeypatch.setenv(name, "hf_secret")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    environ = {"PATH": "/usr/bin:/bin", "GITHUB_TOKEN": "g", **dict.fromkeys(names, "hf_secret")}
    git = GitCommand(environ).environment
    assert git["GITHUB_TOKEN"] == "g", "a credential helper may read it"
    uv = Uv(Path("uv"), {}, Bridge(), tmp_path)
    pip = WheelDownloader(CacheLayout(tmp_path), uv, nobody)._variables()
    for variables in (git, pip, settings_for_uv(environ)[0]):
        assert "hf_secret" not in variables.values()
