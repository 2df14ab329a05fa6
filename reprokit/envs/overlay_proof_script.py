"""Imports modules and says which files were loaded. Standard library, Python 3.8+.

Started as a benchmark is, `python -s -B overlay_proof_script.py ASKED OUT`, with the overlay in
PYTHONPATH. ASKED is JSON: the modules to import, and those that are only to be found.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any


def main() -> None:
    """Write what was loaded to the file named on the command line, as JSON."""
    asked, out = json.loads(sys.argv[1]), sys.argv[2]
    del sys.path[0]  # this script's own folder, which no benchmark has there
    report = {
        "imported": {name: imported(name) for name in asked["import"]},
        "found": {name: found(name) for name in asked["find"]},
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(report, file)


def imported(name: str) -> dict[str, Any]:
    """Import a module; return its file and version, or how the import failed."""
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a package raises while it is imported
        words = " ".join(str(error).split())
        return {"file": None, "version": None, "error": f"{type(error).__name__}: {words}"}
    return loaded(module)


def loaded(module: ModuleType) -> dict[str, Any]:
    """Say which file a module came from."""
    file = getattr(module, "__file__", None)
    version = getattr(module, "__version__", None)
    return {
        "file": os.path.realpath(file) if file else None,
        "version": str(version) if version is not None else None,
        "error": None,
    }


def found(name: str) -> dict[str, Any]:
    """Say which file an import would load; of its parents, namespaces apart, the code is run."""
    if name in sys.modules:
        return loaded(sys.modules[name])
    try:
        spec = importlib.util.find_spec(name)
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())
        return {"file": None, "version": None, "error": f"{type(error).__name__}: {words}"}
    file = os.path.realpath(spec.origin) if spec and spec.origin and spec.has_location else None
    return {"file": file, "version": None, "error": None}


if __name__ == "__main__":
    main()
