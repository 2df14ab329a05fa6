"""The environment of a benchmark: an allow-list, never the shell's own variables unseen.

A variable left over in a shell can switch compilation off, move a cache or hand a token to code
that somebody else wrote. What is not on the list is not inherited; of what was left out, the names
that could have changed a measurement are kept, never the values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from reprokit.records import Record

_INHERITED = frozenset({
    # who and where
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR",
    # toolchains, which inductor and Triton call
    "CC", "CXX", "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH",
    "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SDKROOT", "DEVELOPER_DIR",
    # devices
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_HOME", "CUDA_PATH",
    "CUDA_MPS_PIPE_DIRECTORY", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ROCM_HOME",
    "ROCM_PATH",
    # what the owner of a shared machine sets so that its GPUs and links are left alone
    "NCCL_NVLS_ENABLE", "NCCL_P2P_DISABLE", "NCCL_SOCKET_IFNAME", "NVSHMEM_DISABLE_NVLS",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST",
    # threads, which a person sets on purpose; spec.json has their values
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    # models already on the disk
    "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TORCH_HOME", "XDG_CACHE_HOME",
})  # fmt: skip
_INHERITED_PREFIXES = ("LC_", "NVIDIA_", "SSL_CERT_")

_SECRET = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(^|_)(API_?)?KEYS?($|_)", re.IGNORECASE
)
_MATTERS = re.compile(
    r"^(TORCH|PYTORCH_|TRITON_|CUDA_|CUBLAS_|CUDNN_|NCCL_|HIP_|HSA_|ROC|MIOPEN_|AMD_|XLA_|"
    r"OMP_|GOMP_|KMP_|MKL_|OPENBLAS_|ATEN_|HF_|TRANSFORMERS_|HUGGINGFACE_|ACCELERATE_|"
    r"PYTHON|LD_|DYLD_|MALLOC_|GLIBC_|TOKENIZERS_|PIP_|UV_|VIRTUAL_ENV$|CONDA_PREFIX$|"
    r"CFLAGS$|CXXFLAGS$|LDFLAGS$|CPPFLAGS$)"
)
"""Names that may change what is measured, so a reader must know that they were set and left out."""

_FIXED = {
    # `run` needs no network, and a benchmark that tries to reach one must not wait for it.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONNOUSERSITE": "1",
    # What a process printed before it died must be in its log.
    "PYTHONUNBUFFERED": "1",
}


class ChildEnvironment(Record):
    """The variables of a benchmark, and the names of those left out that could have mattered."""

    variables: dict[str, str]
    removed: tuple[str, ...]


def child_environment(environ: Mapping[str, str], *, added: Mapping[str, str]) -> ChildEnvironment:
    """Choose what a benchmark inherits; `added` wins over everything else.

    Pure: reads nothing but its arguments. `removed` is sorted and holds names only.
    """
    inherited = {name: value for name, value in environ.items() if _is_inherited(name, value)}
    variables = {**inherited, **_FIXED, **added}
    removed = [
        name.encode(errors="backslashreplace").decode()  # a record holds nothing but text
        for name in environ
        if name not in variables and (_MATTERS.match(name) or _SECRET.search(name))
    ]
    return ChildEnvironment(variables=variables, removed=tuple(sorted(removed)))


def point_variables(
    environ: Mapping[str, str],
    *,
    python: Path,
    bytecode: Path,
    compile_cache: Path,
    overlay: Path | None = None,
) -> dict[str, str]:
    """Name the variables that give a stack point its own interpreter and caches.

    Args:
        environ: where PATH is taken from.
        python: the point's interpreter; its folder comes first in PATH, so that a benchmark
            that calls `python` or `ninja` by name gets the point's.
        bytecode: folder outside the environment, which must stay as it was verified.
        compile_cache: the point's own folder for compiled kernels.
        overlay: packages that come before those of the interpreter, in every child process too.
    """
    programs = [str(python.parent), environ.get("PATH", os.defpath)]
    first = {}
    if overlay is not None:
        programs.insert(0, str(overlay / "bin"))
        first["PYTHONPATH"] = str(overlay)
    return {
        **first,
        "PATH": os.pathsep.join(programs),
        "PYTHONPYCACHEPREFIX": str(bytecode),
        "TORCHINDUCTOR_CACHE_DIR": str(compile_cache / "inductor"),
        "TRITON_CACHE_DIR": str(compile_cache / "triton"),
    }


def _is_inherited(name: str, value: str) -> bool:
    if _SECRET.search(name) or not _is_text(value) or not _is_text(name):
        return False
    return name in _INHERITED or name.startswith(_INHERITED_PREFIXES)


def _is_text(value: str) -> bool:
    """Tell bytes that are no UTF-8 (surrogates) from text: they cannot be recorded as JSON."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
