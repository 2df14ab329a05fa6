"""Steps that fail: what a download keeps for another attempt, and what a conversion clears away."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from adapters.gpt_fast import ADAPTER
from reprokit.adapter import AssetStep, Command, PointContext, Setup
from reprokit.cache import CacheLayout
from reprokit.envs import assets
from reprokit.envs.assets import AssetBuilder, AssetError
from reprokit.progress import nobody
from reprokit.records import Arm

pytestmark = pytest.mark.integration

# Goes on with what is there; ends well when it was begun twice.
SCRIPT = """
import os, pathlib, sys
file = pathlib.Path(os.environ["REPROKIT_ASSET_DIR"]) / "weights"
before = file.read_text() if file.exists() else ""
file.write_text(before + "half")
sys.exit(None if before else "the line was cut")
"""


def build(tmp_path: Path, script: str = SCRIPT, inherits: tuple[str, ...] = ()) -> Path:
    setup = Setup(
        model=None, arms={Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"}, options={},
        device="cpu", samples=1, warmup=0, seed=0,
    )  # fmt: skip
    point = PointContext(point="p", python=sys.executable, source=str(tmp_path), commit=None)
    command = Command(argv=(sys.executable, "-c", script), cwd=str(tmp_path))
    step = AssetStep(name="s", key={"k": 1}, command=command, title="it", inherits=inherits)
    builder = AssetBuilder(CacheLayout(tmp_path / "cache"), ADAPTER, setup, nobody)
    return builder.build_step(step, point, tmp_path / "bytecode")


def test_a_download_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="the line was cut"):
        build(tmp_path, inherits=("HF_TOKEN",))
    folder = build(tmp_path, inherits=("HF_TOKEN",))
    assert (folder / "weights").read_text() == "halfhalf"


def test_what_a_failed_conversion_made_is_removed_and_it_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(AssetError, match="the line was cut"):
            build(tmp_path)
        assert not list((tmp_path / "cache").rglob("weights"))


def test_a_conversion_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "LIMIT_S", 0.5)
    with pytest.raises(AssetError, match="stopped after"):
        build(tmp_path, "import time; time.sleep(60)")
