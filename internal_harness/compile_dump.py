"""Writes compile.json: all that is known of what was compiled, beside the results.

Graph identity and kernel identity are kept apart. The same graphs (their keys, as executed) with
other kernels (digests of generated code, of machine code, registers, spills) point at the kernel
compiler; other graphs point at torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compile_counters import counters, loaded
from compile_proof import Observation

SCHEMA = "reprokit/compile/v1"
MOST_BYTES = 4 * 1024 * 1024

_PREFIXES = ("TORCH", "INDUCTOR", "TRITON")
_SECRET = ("TOKEN", "PASSWORD", "SECRET", "KEY")
_SETTINGS = {
    "torch._dynamo.config": (
        "disable", "suppress_errors", "recompile_limit", "accumulated_recompile_limit",
        "cache_size_limit", "accumulated_cache_size_limit", "automatic_dynamic_shapes",
        "assume_static_by_default", "fail_on_recompile_limit_hit", "error_on_recompile",
    ),
    "torch._inductor.config": (
        "force_disable_caches", "fx_graph_cache", "max_autotune", "max_autotune_gemm", "freezing",
        "cpp_wrapper", "graph_partition", "coordinate_descent_tuning", "fallback_random",
        "triton.cudagraphs", "triton.cudagraph_trees", "triton.cudagraph_skip_dynamic_graphs",
        "triton.cudagraph_support_input_mutation", "cpp.simdlen", "cpp.threads",
    ),
}  # fmt: skip
_TOLD = ("n_regs", "n_spills", "shared", "cache_hash")
_ASSEMBLIES = ("cubin", "hsaco", "ptx", "ttgir", "ttir")


def write_dump(path: Path, seen: Observation) -> None:
    """Write the dump; one that grows beyond `MOST_BYTES` loses its longest part, and says so.

    Raises:
        OSError: it cannot be written.
    """
    record: dict[str, object] = {
        "schema": SCHEMA,
        **{name: plain(value) for name, value in asdict(seen).items() if name != "compilations"},
        "compilations": [plain(dict(entry)) for entry in seen.compilations],
        "counters": counters(),
        "settings": _settings(),
        "environment": _environment(os.environ),
        "generated_code": _generated_code(),
        "kernel_binaries": _kernel_binaries(),
    }
    path.write_text(bounded(record, MOST_BYTES), encoding="utf-8")


def bounded(record: Mapping[str, object], most: int) -> str:
    """Return JSON text of at most `most` bytes; parts that had to go are named in "left_out"."""
    kept = dict(record)
    gone: list[str] = []
    while True:
        whole = {**kept, "left_out": gone} if gone else kept
        text = json.dumps(whole, indent=1, sort_keys=True)
        if len(text.encode()) <= most or not kept:
            return text + "\n"
        longest = max(kept, key=lambda name: len(json.dumps(kept[name])))
        gone.append(longest)
        del kept[longest]


def plain(value: object) -> object:
    """Turn what torch keeps into JSON values; what is none becomes its text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(entry) for entry in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return str(value)


def _settings() -> dict[str, object]:
    """Return the settings of torch that decide what is compiled; those that this release has."""
    found: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a release may call a setting outdated
        for module, names in _SETTINGS.items():
            for name in names:
                head, _, rest = name.partition(".")
                value = loaded(module, head)
                value = getattr(value, rest, None) if rest else value
                if value is not None:
                    found[f"{module}.{name}"] = plain(value)
    found["stance"] = plain(getattr(loaded("torch._dynamo.eval_frame", "_stance"), "stance", None))
    return found


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that torch and Triton read; never one that may hold a secret."""
    return {
        name: value
        for name, value in sorted(variables.items())
        if name.startswith(_PREFIXES) and not any(word in name for word in _SECRET)
    }


def _generated_code() -> list[dict[str, object]]:
    """Name and digest the files of the modules that Inductor wrote and loaded."""
    files = {str(getattr(module, "__file__", None) or "") for module in _modules()}
    return [
        {
            "file": path.name,
            "sha256": _digest(content),
            "bytes": len(content),
        }
        for path in map(Path, sorted(files - {""}))
        if (content := _content(path)) is not None
    ]


def _kernel_binaries() -> list[dict[str, object]]:
    """Describe the compiled kernels of those modules: digests of the stages, registers, spills."""
    found = [
        {"kernel": name, **_binary(launcher)}
        for module in _modules()
        for name, kernel in list(vars(module).items())
        for launcher in list(getattr(kernel, "launchers", None) or ())
    ]
    return sorted(found, key=lambda entry: str(sorted(entry.items(), key=str)))


def _binary(launcher: object) -> dict[str, object]:
    """Describe one compiled kernel; what a release does not tell is null or missing."""
    binary = getattr(launcher, "bin", None)
    stages = getattr(binary, "asm", None)
    told = {name: plain(getattr(launcher, name, None)) for name in _TOLD}
    told["config"] = str(getattr(launcher, "config", None))
    digests = {
        stage: _digest(code if isinstance(code, bytes) else str(code).encode())
        for stage in _ASSEMBLIES
        if isinstance(stages, Mapping) and (code := stages.get(stage)) is not None
    }
    # Newer releases drop the stages once the kernel is loaded, and keep the name of its file.
    file = getattr(binary, "cubin_path", None)
    if not digests and isinstance(file, str) and (content := _content(Path(file))) is not None:
        digests["cubin"] = _digest(content)
    return {**told, "sha256": digests}


def _modules() -> list[Any]:
    """Return the modules that Inductor keeps; older releases keep them in a table."""
    cache = loaded("torch._inductor.codecache", "PyCodeCache")
    kept = getattr(cache, "modules", None)
    if kept is None:
        kept = dict(getattr(cache, "cache", None) or {}).values()
    unique = {id(module): module for module in kept}
    return list(unique.values())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # the cache of compiled code may be cleaned at any time
        return None
