"""A machine with GPUs that are not there: a driver's library that says what a test wants.

gpus = FakeGpus.install(tmp_path, monkeypatch, count=2)
gpus.set(0, events=0x40)        # from now on
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

GOOD: dict[str, Any] = {
    "name": "NVIDIA A100-SXM4-80GB", "vbios": "92.00", "sm": 80, "memory_mib": 81920, "ecc": 1,
    "mig": 0, "persistence": 1, "limit_mw": 330000, "power_mw": 250000, "gen": 4, "width": 16,
    "temperature": 50, "sm_mhz": 1400, "memory_mhz": 1593, "energy": "1000+300", "events": 4,
    "busy": 0, "used_mib": 3, "pids": "parent",
}  # fmt: skip
"""What a good A100 says; 300 W, and who started the sampler computes on it."""


def uuid(number: int) -> str:
    return f"GPU-00000000-0000-0000-0000-{number:012d}"


class FakeGpus:
    """What the library says, in a file; it may be changed any time."""

    def __init__(self, path: Path, count: int) -> None:
        self.path = path
        self.driver: dict[str, Any] = {"driver": "570.00", "cuda": 12080, "count": count}
        self.gpus = [{**GOOD, "uuid": uuid(number)} for number in range(count)]
        self.write()

    @classmethod
    def install(
        cls, folder: Path, monkeypatch: pytest.MonkeyPatch, *, count: int = 1, **changes: Any
    ) -> FakeGpus:
        """Have reprokit ask this library, and lock in a folder of its own."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("needs a C compiler to build a driver's library for tests")
        fake = cls(folder / "gpus.txt", count)
        library = folder / "libnvidia-ml.so.1"
        source = Path(__file__).with_name("fake_nvml.c")
        state = f'-DSTATE="{fake.path}"'
        command = [compiler, "-O1", "-shared", "-fPIC", state, str(source), "-o", str(library)]
        subprocess.run(command, check=True, capture_output=True)
        monkeypatch.setenv("REPROKIT_NVML", str(library))
        monkeypatch.setenv("REPROKIT_GPU_LOCKS", str(folder / "locks"))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        for number in range(count):
            fake.set(number, **changes)
        return fake

    def set(self, gpu: int, **changes: Any) -> None:
        """Change what one GPU says; a value of None takes the answer away."""
        self.gpus[gpu].update(changes)
        self.write()

    def write(self) -> None:
        lines = [f"{name} {value}" for name, value in self.driver.items()]
        lines += [
            f"{number}.{name} {value}"
            for number, gpu in enumerate(self.gpus)
            for name, value in gpu.items()
            if value is not None
        ]
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.replace(self.path)
