"""The copy from device to device: with a torch that really runs, on a machine without a GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from torch_environment import TorchEnvironment

from reprokit.gpu.ceiling import measure_copy

pytestmark = pytest.mark.integration


def test_torch_without_a_gpu_is_a_reason(
    torch_environment: TorchEnvironment, tmp_path: Path
) -> None:
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    found = measure_copy(str(torch_environment.python), hidden, tmp_path / "copy.log")
    assert found.gbps is None
    assert (found.reason or "").startswith("no_cuda")


def test_no_torch_and_no_python_are_reasons(tmp_path: Path) -> None:
    log = tmp_path / "copy.log"
    assert "no_torch" in (measure_copy(sys.executable, {}, log).reason or "")
    assert "copy_failed" in (measure_copy("/nonexistent/python", {}, log).reason or "")
    (tmp_path / "torch.py").write_text("raise SystemExit(3)")
    found = measure_copy(sys.executable, {"PYTHONPATH": str(tmp_path)}, log)
    assert found.reason == "copy_failed: exit 3; see copy.log"


FAKE_TORCH = """
import types
float32 = "float32"
__version__ = "9.9"
class _Tensor:
    def __init__(self, n): self.n = n
    def numel(self): return self.n
    def element_size(self): return 4
    def copy_(self, other): self.filled = other
    def __getitem__(self, place): return self
    def __eq__(self, other): return types.SimpleNamespace(item=lambda: hasattr(self, "filled"))
class Event:
    def __init__(self, enable_timing): pass
    def record(self): pass
    def synchronize(self): pass
    def elapsed_time(self, other): return 1.0
ones = lambda n, **_: _Tensor(n)
empty_like = lambda other: _Tensor(other.n)
cuda = types.SimpleNamespace(
    is_available=lambda: True, mem_get_info=lambda: (FREE, FREE), Event=Event,
    get_device_name=lambda: "NVIDIA H200")
"""


@pytest.mark.parametrize(
    ("free", "gbps", "reason"),
    [(8 << 30, 2 * (2 << 30) / 1e6, None), (1 << 20, None, "no_memory: 1 MiB are free")],
)
def test_bytes_are_counted_as_read_and_written(
    tmp_path: Path, free: int, gbps: float | None, reason: str | None
) -> None:
    (tmp_path / "torch.py").write_text(FAKE_TORCH.replace("FREE", str(free)))
    found = measure_copy(sys.executable, {"PYTHONPATH": str(tmp_path)}, tmp_path / "copy.log")
    assert found.reason == reason
    # 2 GiB read and 2 GiB written in 1 ms
    assert found.gbps == (None if gbps is None else pytest.approx(gbps))


def test_the_script_lies_alone_so_that_it_hides_no_module() -> None:
    folder = Path(measure_copy.__code__.co_filename).with_name("copy_script")
    assert [path.name for path in folder.glob("*.py")] == ["__main__.py"]
