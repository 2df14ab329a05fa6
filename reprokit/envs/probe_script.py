"""Asks an environment, from inside, what it holds. Stands alone: standard library, Python 3.8+.

Started as `python -I -S -B probe_script.py PREFIX OUT`: without `site`, so that no file of the
environment is executed before it was looked at. Everything is read, nothing is imported from it.
"""

from __future__ import annotations

import ast
import base64
import csv
import ctypes
import glob
import hashlib
import json
import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from email.parser import HeaderParser
from importlib.machinery import PathFinder

BLOCK = 1 << 20
BATCH = 128  # files per task: big enough to hide the cost of handing them over
CONSTANTS = frozenset({"__version__", "git_version", "cuda", "hip", "debug"})
TRITON_NAMES = ("triton", "pytorch-triton", "pytorch-triton-rocm", "triton-rocm", "triton-xpu")
# CUdevice_attribute in cuda.h: COMPUTE_CAPABILITY_MAJOR and _MINOR.
MAJOR, MINOR = 75, 76


def main() -> None:
    """Write what was found to the file named on the command line, as JSON."""
    prefix, out = os.path.realpath(sys.argv[1]), sys.argv[2]
    site = site_packages(prefix)
    infos = [path for folder in site for path in dist_infos(folder)]
    distributions = [describe(prefix, path) for path in infos]
    expected: dict[str, str] = {}
    for path in infos:
        expected.update(read_record(prefix, os.path.join(path, "RECORD")))
    findings = inspect(prefix, expected)
    packages = {
        "torch": package("torch", site, distributions, ("torch",)),
        "triton": package("triton", site, distributions, TRITON_NAMES),
    }
    report = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "site": [relative(prefix, folder) for folder in site],
        "distributions": distributions,
        "packages": packages,
        "device": describe_device(packages["torch"]),
        "platform": describe_platform(),
        **findings,
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(report, file)


def site_packages(prefix: str) -> list[str]:
    """Find the site-packages folders without asking `site`; lib64 is a link to lib."""
    found = glob.glob(os.path.join(glob.escape(prefix), "lib*", "*", "site-packages"))
    return sorted({os.path.realpath(path) for path in found})


def dist_infos(folder: str) -> list[str]:
    """List the metadata folders of installed distributions."""
    return sorted(
        os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".dist-info")
    )


def relative(prefix: str, path: str) -> str:
    """Write a path inside the environment as seen from there."""
    return os.path.relpath(path, prefix).replace(os.sep, "/")


def describe(prefix: str, dist_info: str) -> dict[str, object]:
    """Read name, version and the path of RECORD of an installed distribution."""
    with open(os.path.join(dist_info, "METADATA"), encoding="utf-8", errors="replace") as file:
        headers = HeaderParser().parse(file)
    record = os.path.join(dist_info, "RECORD")
    return {
        "name": re.sub(r"[-_.]+", "-", headers["Name"] or "").lower(),
        "version": headers["Version"] or "",
        "record": relative(prefix, record) if os.path.isfile(record) else None,
    }


def read_record(prefix: str, record: str) -> dict[str, str]:
    """Read path (as seen from the environment) to hash from a RECORD; "" where it has none."""
    site = relative(prefix, os.path.dirname(os.path.dirname(record)))
    files: dict[str, str] = {}
    if not os.path.isfile(record):
        return files
    with open(record, encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if row and "__pycache__" not in row[0]:
                path = os.path.normpath(site + "/" + row[0])
                files[path] = row[1] if len(row) > 1 else ""
    return files


def inspect(prefix: str, expected: dict[str, str]) -> dict[str, object]:
    """Compare every file with its hash in RECORD.

    Returns `altered` and `missing` paths, and `loose`: the SHA-256 of each file for which no RECORD
    has a hash, which only a later comparison with the same list can judge.
    """
    present = set(walk(prefix))
    outside = {name for name in expected if name.startswith("../")}
    recorded = sorted(name for name in expected if expected[name] and name in present)
    unhashed = sorted(present - set(recorded))
    batches = [recorded[start : start + BATCH] for start in range(0, len(recorded), BATCH)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        differing = pool.map(lambda names: altered(prefix, names, expected), batches)
        wrong = [name for names in differing for name in names]
    return {
        "altered": wrong + sorted(outside),
        "missing": sorted(set(expected) - present - outside),
        "loose": {name: fingerprint(os.path.join(prefix, name)) for name in unhashed},
        "unrecorded": [name for name in unhashed if name not in expected],
        "files": len(recorded),
    }


def altered(prefix: str, names: list[str], expected: dict[str, str]) -> list[str]:
    """Name those files that do not have the hash of their RECORD."""
    return [name for name in names if not matches(prefix, name, expected[name])]


def walk(prefix: str) -> list[str]:
    """List every file and link of the environment but cached bytecode."""
    names = []
    for folder, folders, files in os.walk(prefix):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = [name for name in folders if name != "__pycache__"]
        inside = folder[len(prefix) + 1 :].replace(os.sep, "/")
        names += [inside + "/" + name if inside else name for name in files + links]
    return names


def matches(prefix: str, name: str, hashed: str) -> bool:
    """Tell whether a file has the hash of its RECORD (`sha256=` and unpadded base64)."""
    algorithm, _, value = hashed.partition("=")
    try:
        found = digest(os.path.join(prefix, name), algorithm)
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == value.rstrip("=")


def fingerprint(path: str) -> str:
    """Return the SHA-256 of a file in hex, or where a link leads to."""
    if os.path.islink(path):
        return "link:" + os.readlink(path)
    try:
        return digest(path, "sha256").hex()
    except OSError as error:
        return "unreadable:" + type(error).__name__


def digest(path: str, algorithm: str) -> bytes:
    """Hash a file block by block."""
    state = hashlib.new(algorithm)
    with open(path, "rb", buffering=0) as file:
        while True:
            block = file.read(BLOCK)
            if not block:
                return state.digest()
            state.update(block)


def package(
    name: str, site: list[str], distributions: list[dict[str, object]], known_as: tuple[str, ...]
) -> dict[str, object] | None:
    """Say what `import NAME` would load: file, and the constants of its version module."""
    spec = PathFinder.find_spec(name, site)
    installed = {each["name"]: each["version"] for each in distributions}
    version = next((installed[known] for known in known_as if known in installed), None)
    if spec is None and version is None:
        return None
    origin = spec.origin if spec else None
    facts: dict[str, object] = {"distribution": version, "file": origin}
    if origin:
        facts.update(constants(origin))
        facts.update(constants(os.path.join(os.path.dirname(origin), "version.py")))
    facts["version"] = facts.pop("__version__", None)
    return facts


def constants(path: str) -> dict[str, object]:
    """Read the literal constants that a version module sets, without executing it."""
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[str, object] = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            name = target.id if isinstance(target, ast.Name) else None
            if name in CONSTANTS and isinstance(value, ast.Constant):
                found[str(name)] = value.value
    return found


def describe_device(torch: dict[str, object] | None) -> dict[str, object]:
    """Describe the device that this environment's torch would compute on."""
    if torch is not None and torch.get("hip"):
        return {"type": "unknown", "reason": "a ROCm build of torch; its device is not probed"}
    if torch is not None and torch.get("cuda"):
        found = cuda_device()
        if "error" not in found:
            return found
        return {**cpu_device(), "cuda_error": found["error"]}
    return cpu_device()


def cuda_device() -> dict[str, object]:
    """Ask the CUDA driver for the first visible device; creates no context on it."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return {"error": "no CUDA driver (libcuda.so.1)"}
    code = cuda.cuInit(0)
    count, device, driver = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    code = code or cuda.cuDeviceGetCount(ctypes.byref(count))
    code = code or cuda.cuDeviceGet(ctypes.byref(device), 0)
    if code:
        return {"error": f"CUDA driver error {code}"}
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    major, minor = ctypes.c_int(), ctypes.c_int()
    code = code or cuda.cuDeviceGetName(name, len(name), device)
    code = code or cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    code = code or cuda.cuDeviceGetAttribute(ctypes.byref(major), MAJOR, device)
    code = code or cuda.cuDeviceGetAttribute(ctypes.byref(minor), MINOR, device)
    code = code or cuda.cuDriverGetVersion(ctypes.byref(driver))
    if code:
        return {"error": f"CUDA driver error {code}"}
    return {
        "type": "cuda",
        "name": name.value.decode("utf-8", "replace"),
        "sm": f"sm_{major.value}{minor.value}",
        "memory_bytes": memory.value,
        "count": count.value,
        "driver_cuda": f"{driver.value // 1000}.{driver.value % 1000 // 10}",
    }


def cpu_device() -> dict[str, object]:
    """Name the processor, its logical cores and the machine's memory."""
    facts: dict[str, object] = {"type": "cpu", "name": processor(), "cores": os.cpu_count()}
    try:
        facts["memory_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        facts["memory_bytes"] = None
    return facts


def processor() -> str:
    """Read the processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.lower().startswith(("model name", "hardware")):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_platform() -> dict[str, object]:
    """Describe machine, system and C library."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "release": platform.release(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "cpu_count": os.cpu_count(),
        "processor": processor(),
    }


if __name__ == "__main__":
    main()
