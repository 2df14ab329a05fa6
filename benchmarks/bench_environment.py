"""One more stack point from a warm uv cache, against `python -m venv` and `pip install`.

    python benchmarks/bench_environment.py [--requirement torch==2.13.0 ...] [--rounds 3] [--json F]

Both install the same hashed lock, alternately, in one run; what counts is the ratio. reprokit's
time is given twice: installing alone, and everything (creating, installing, `uv pip check`, and
probing, which reads every file and compares it with its hash). Disk is what the file system lost.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from reprokit.cache import CacheLayout
from reprokit.envs.build import EnvironmentBuilder
from reprokit.envs.disk import remove_tree
from reprokit.envs.interpreter import describe
from reprokit.envs.lock import Lock
from reprokit.envs.resolve import Request, resolve
from reprokit.envs.store import EnvironmentStore, disk_use
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Uv
from reprokit.progress import nobody

DEFAULT = ("torch==2.13.0", "transformers")
MB = 1_000_000


@dataclass(frozen=True)
class Round:
    """One pair; seconds and megabytes (10^6 bytes)."""

    install_s: float
    total_s: float
    reuse_s: float
    disk_mb: float
    unique_mb: float
    pip_s: float
    pip_disk_mb: float


def free_bytes(folder: Path) -> int:
    """Free space, after what was written has reached the disk."""
    os.sync()
    found = os.statvfs(folder)
    return found.f_bfree * found.f_frsize


def build(root: Path, lock: Lock) -> tuple[float, float]:
    """Build or reuse in a cache; return the seconds of the whole, and of installing alone."""
    cache = CacheLayout(root)
    builder = EnvironmentBuilder(
        cache, Uv.here(cache), TorchIndex(None), build_from_source=(), observer=nobody
    )
    begun = time.perf_counter()
    built = builder.ensure(lock, describe(sys.executable), "bench")
    total = time.perf_counter() - begun
    marker = EnvironmentStore(cache).show(built.key).marker
    assert marker is not None
    return total, marker.seconds


def pip_install(folder: Path, lock: Lock) -> float:
    """Make the same environment with the standard library's venv and its pip; return seconds."""
    lock_file = folder / "lock.txt"
    lock_file.write_text(lock.text())
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = str(folder / "venv" / "bin" / "python")
    pip = [python, "-m", "pip", "install", "-qqq", "--require-hashes", "--no-deps"]
    subprocess.run([*pip, "-r", str(lock_file)], check=True)
    return time.perf_counter() - begun


def measure(work: Path, lock: Lock) -> Round:
    """Measure one pair and remove it."""
    ours, theirs = work / "ours", work / "theirs"
    theirs.mkdir()
    before = free_bytes(work)
    total, install = build(ours, lock)
    disk = before - free_bytes(work)
    reuse, _ = build(ours, lock)
    unique, _ = disk_use(ours)
    remove_tree(ours)
    before = free_bytes(work)
    pip = pip_install(theirs, lock)
    pip_disk = before - free_bytes(work)
    shutil.rmtree(theirs)
    return Round(install, total, reuse, disk / MB, unique / MB, pip, pip_disk / MB)


def main() -> None:
    """Measure, print a table, and write the numbers where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requirement", action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    requirements = tuple(options.requirement or DEFAULT)
    root = CacheLayout.default().root
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix="bench-") as folder:
        work = Path(folder)
        request = Request(requirements, (), sys.executable)
        uv = Uv.here(CacheLayout(work / "warm"))
        lock = resolve(uv, TorchIndex(None), request, prefer=None).lock
        build(work / "warm", lock)  # fills uv's cache
        remove_tree(work / "warm")
        rounds = [measure(work, lock) for _ in range(options.rounds)]
    show(requirements, lock, rounds, options.json)


def show(requirements: tuple[str, ...], lock: Lock, rounds: list[Round], out: Path | None) -> None:
    """Print medians and the ratio of the two."""
    names = tuple(asdict(rounds[0]))
    median = {name: statistics.median(asdict(each)[name] for each in rounds) for name in names}
    ratio = median["pip_s"] / median["install_s"]
    ratio_total = median["pip_s"] / median["total_s"]
    print(f"{' '.join(requirements)}: {len(lock.pins)} packages, median of {len(rounds)} rounds")
    print(f"{'':34}{'reprokit':>12}{'venv + pip':>12}{'ratio':>8}")
    print(f"{'install, s':34}{median['install_s']:12.2f}{median['pip_s']:12.2f}{ratio:8.1f}")
    print(f"{'install, check and verify, s':34}{median['total_s']:12.2f}{median['pip_s']:12.2f}"
          f"{ratio_total:8.1f}")  # fmt: skip
    print(f"{'reuse (verify every file), s':34}{median['reuse_s']:12.2f}{'-':>12}{'-':>8}")
    print(f"{'new disk, MB':34}{median['disk_mb']:12.1f}{median['pip_disk_mb']:12.1f}"
          f"{median['pip_disk_mb'] / max(median['disk_mb'], 0.1):8.1f}")  # fmt: skip
    if out is not None:
        document = {
            "requirements": requirements,
            "packages": len(lock.pins),
            "lock_sha256": lock.sha256(),
            "rounds": [asdict(each) for each in rounds],
            "median": median,
            "ratio_install": ratio,
            "ratio_total": ratio_total,
            "cores": os.cpu_count(),
            "python": sys.version.split()[0],
        }
        out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
