"""GPUs and their state, and what keeps a claim's code apart from the user."""

from __future__ import annotations

import csv
from pathlib import Path

from reprokit.doctor.records import Check, first_line, joined, ok, warn
from reprokit.doctor.surroundings import Surroundings
from reprokit.gpu.inventory import FoundGpu

_CPU_ONLY = "claims about a GPU cannot be measured; claims about a CPU can"
_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
_APPS = ("--query-compute-apps=pid,used_memory", "--format=csv,noheader")


def check_gpu(here: Surroundings) -> Check:
    """Look at the GPUs, and whether somebody else is computing on them."""
    inventory = here.gpus()
    if not inventory.gpus:
        return _no_gpu(here, inventory.why or "the driver names none")
    found = "; ".join(_described(gpu) for gpu in inventory.gpus)
    busy, unseen = _others(here)
    if busy:
        return warn(
            "GPU", f"{found}; {busy}", "rows measured beside other work are contaminated",
            "End the other processes, or choose a free GPU with CUDA_VISIBLE_DEVICES.",
        )  # fmt: skip
    if any(gpu.mig for gpu in inventory.gpus):
        return warn(
            "GPU", f"{found}; MIG is on", "a slice of a GPU is not the GPU that a claim names, and "
            "energy and other processes cannot be told for it",
            "Measure on a whole GPU where the claim names one.",
        )  # fmt: skip
    if unseen:
        return warn(
            "GPU", f"{found}; whether others use it cannot be told ({unseen})",
            "claims about a GPU can be measured; rows say that it was not watched",
            "Make sure that nobody else computes on it. In a container: --pid=host shows it.",
        )  # fmt: skip
    return ok("GPU", found, "claims about a GPU can be measured")


def _no_gpu(here: Surroundings, why: str) -> Check:
    if here.which("rocm-smi") or here.which("amd-smi"):
        return warn(
            "GPU", f"no NVIDIA GPU ({why}); ROCm is installed",
            "an AMD GPU is measured where the stack's torch sees it, without telemetry",
            "Use --stack host with the interpreter that has the ROCm build of torch.",
        )  # fmt: skip
    return warn(
        "GPU", why, _CPU_ONLY,
        "On a machine with a GPU: install its driver; in a container: --gpus all.",
    )  # fmt: skip


def check_sandbox(here: Surroundings) -> Check:
    """Say whether code that somebody else wrote could be kept apart from the user's files."""
    where = "in a container" if any(mark.exists() for mark in _MARKS) else "on the machine itself"
    means = (
        "reprokit starts the code of a claim with your rights, without tokens in its environment; "
        "it does not use a sandbox by itself"
    )
    fix = "For code that you do not trust, run reprokit in a container or as another user."
    bwrap = here.which("bwrap")
    if bwrap is None:
        return warn("sandbox", f"bwrap is not installed; {where}", means, fix)
    tried = here.run(bwrap, "--ro-bind", "/", "/", "--unshare-all", "true", limit_s=10.0)
    if not tried.ok:
        words = first_line(tried.stderr) or f"exit {tried.returncode}"
        return warn("sandbox", f"bwrap does not work here ({words}); {where}", means, fix)
    return ok("sandbox", f"bwrap works; {where}", means)


def _described(gpu: FoundGpu) -> str:
    memory = f"{gpu.memory_mib / 1024:.0f} GiB" if gpu.memory_mib else ""
    power = f"{gpu.power_limit_w:.0f} W" if gpu.power_limit_w else ""
    driver = f"driver {gpu.driver}" if gpu.driver else ""
    cuda = f"CUDA {gpu.cuda}" if gpu.cuda else ""
    return f"{gpu.name or 'a GPU'} ({joined((gpu.sm or '', memory, power, driver, cuda))})"


def _others(here: Surroundings) -> tuple[str, str]:
    """Name the processes that compute on a GPU now, and why there may be more; "" for none."""
    tool = here.which("nvidia-smi")
    if tool is None:
        return "", "nvidia-smi is not on the PATH"
    result = here.run(tool, *_APPS, limit_s=20.0)
    if not result.ok:
        words = first_line(result.stderr or result.stdout) or f"exit {result.returncode}"
        return "", f"nvidia-smi: {words}"
    rows = [row for row in csv.reader(result.stdout.splitlines()) if row and row[0].isdigit()]
    shown = joined(f"process {row[0]}{_memory(row)}" for row in rows[:5])
    return (f"in use by {shown}" if shown else ""), (here.blind() or "")


def _memory(row: list[str]) -> str:
    return f" ({row[1].strip()})" if len(row) > 1 else ""
