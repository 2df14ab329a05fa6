"""Asks an existing interpreter, from inside, what it would import. Standard library, Python 3.8+.

Started as `python -I -B host_probe_script.py [--overlay=FOLDER] NAME... OUT`: with `site`, so that
`.pth` files and editable installs count as they will for a benchmark, and without user site and
PYTHONPATH, which no benchmark gets. Nothing is imported from the interpreter's packages. Files are
hashed for the named distributions and all that they require; of the others only the digest of
RECORD is taken. With an overlay, which comes first on the import path, only its own distributions
are hashed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import site
import sys
import sysconfig
from email.message import Message
from email.parser import HeaderParser
from types import ModuleType
from typing import Any

OPTION = "--overlay="
OVERLAY = sys.argv[1][len(OPTION) :] if sys.argv[1].startswith(OPTION) else None
if OVERLAY is not None:
    del sys.argv[1]
    sys.path.insert(0, OVERLAY)
PATH = [os.path.realpath(folder) for folder in sys.path if os.path.isdir(folder)]
INFOS = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")
_EXTRA = re.compile(r";.*\bextra\s*==")


def load(name: str) -> ModuleType:
    """Load a script that lies beside this one; its folder is never put on the import path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


SHARED = load("probe_script")
FILES = load("host_files_script")


def main() -> None:
    """Write what was found to the file named on the command line, as JSON."""
    names, out = sys.argv[1:-1], sys.argv[-1]
    found = distributions(PATH)
    looked_at = closure([normal(name) for name in names], found) if OVERLAY is None else own(found)
    recorded = {name: FILES.read_record(each) for name, each in found.items()}
    known = {path for files in recorded.values() for path in files}
    claimed: set[str] = set()
    for name in looked_at:
        FILES.verify(found[name], recorded[name], known, claimed)
    packages = {
        "torch": package("torch", found, ("torch",)),
        "triton": package("triton", found, SHARED.TRITON_NAMES),
    }
    report = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "path": PATH,
        "overlaid": own(found) if OVERLAY is not None else [],
        "distributions": [public(each) for each in found.values()],
        "packages": packages,
        "device": SHARED.describe_device(packages["torch"]),
        "platform": {**SHARED.describe_platform(), **describe_interpreter()},
        "markers": markers(),
        "user_site": user_site(names, found),
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(report, file)


def normal(name: str) -> str:
    """Write a distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(path: list[str]) -> dict[str, dict[str, Any]]:
    """Describe every installed distribution; of two with one name the first on the path counts."""
    found: dict[str, dict[str, Any]] = {}
    for folder in path:
        for entry in sorted(os.listdir(folder)):
            ending = os.path.splitext(entry)[1]
            if ending in INFOS:
                described = describe(folder, entry, INFOS[ending])
                if described is not None:
                    found.setdefault(described["name"], described)
    return found


def describe(folder: str, entry: str, inside: str) -> dict[str, Any] | None:
    """Read name, version and requirements; None where a leftover folder has no metadata."""
    info = os.path.join(folder, entry)
    metadata = os.path.join(info, inside) if os.path.isdir(info) else info
    try:
        with open(metadata, encoding="utf-8", errors="replace") as file:
            headers: Message = HeaderParser().parse(file, headersonly=True)
    except OSError:
        return None
    if not headers["Name"]:
        return None
    record = os.path.join(info, "RECORD")
    return {
        "name": normal(headers["Name"]),
        "version": headers["Version"] or "",
        "requires": [str(line) for line in headers.get_all("Requires-Dist") or ()],
        "record_sha256": SHARED.digest(record, "sha256").hex() if os.path.isfile(record) else None,
        "editable": is_editable(info),
        "folder": folder,
        "info": info,
        "content_sha256": None,
        "unverified": None,
        "altered": [],
        "missing": [],
        "unrecorded": [],
    }


def public(each: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only this script needs."""
    return {name: value for name, value in each.items() if name not in {"folder", "info"}}


def is_editable(info: str) -> bool:
    """Tell whether the files of a distribution are somebody's working copy (PEP 610)."""
    try:
        with open(os.path.join(info, "direct_url.json"), encoding="utf-8") as file:
            return bool(json.load(file).get("dir_info", {}).get("editable"))
    except (OSError, ValueError, AttributeError):
        return False


def closure(names: list[str], found: dict[str, dict[str, Any]]) -> list[str]:
    """Name the installed distributions among these and among all that they require."""
    seen: dict[str, None] = {}
    waiting = [*names, "torch", *SHARED.TRITON_NAMES]
    while waiting:
        name = waiting.pop()
        if name in found and name not in seen:
            seen[name] = None
            lines = [line for line in found[name]["requires"] if not _EXTRA.search(line)]
            matches = [_NAME.match(line) for line in lines]
            waiting += [normal(match.group(1)) for match in matches if match]
    return sorted(seen)


def own(found: dict[str, dict[str, Any]]) -> list[str]:
    """Name the distributions of the overlay."""
    return [name for name, each in found.items() if each["folder"] == PATH[0]]


def package(
    name: str, found: dict[str, dict[str, Any]], known_as: tuple[str, ...]
) -> dict[str, Any] | None:
    """Say what `import NAME` would load: file, and the constants of its version module."""
    path = FILES.origin(name)
    version = next((found[known]["version"] for known in known_as if known in found), None)
    if path is None and version is None:
        return None
    facts: dict[str, Any] = {"distribution": version, "file": path}
    if path is not None:
        facts.update(SHARED.constants(path))
        facts.update(SHARED.constants(os.path.join(os.path.dirname(path), "version.py")))
    facts["version"] = facts.pop("__version__", None)
    return facts


def describe_interpreter() -> dict[str, Any]:
    """Describe what decides whether compiled packages fit the interpreter."""
    return {
        "implementation": sys.implementation.name,
        "abi": sysconfig.get_config_var("SOABI") or "",
        "tag": sysconfig.get_platform(),
    }


def markers() -> dict[str, str]:
    """Return the variables of environment markers (PEP 508)."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def user_site(names: list[str], found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Name what was asked for and lies only in the user's own folder, with its version."""
    folder = site.getusersitepackages()
    if not os.path.isdir(folder):
        return {}
    own = distributions([folder])
    wanted = {normal(name) for name in names} - set(found)
    return {name: own[name]["version"] for name in sorted(wanted & set(own))}


if __name__ == "__main__":
    main()
