"""All checks, one after the other."""

from __future__ import annotations

from reprokit.doctor.devices import check_gpu, check_sandbox
from reprokit.doctor.disk import check_cache, check_runs
from reprokit.doctor.network import check_index, check_token
from reprokit.doctor.records import Diagnosis
from reprokit.doctor.surroundings import Surroundings
from reprokit.doctor.tools import check_compiler, check_git, check_python, check_uv

_CHECKS = (
    check_python, check_uv, check_git, check_compiler, check_cache, check_runs, check_index,
    check_gpu, check_sandbox, check_token,
)  # fmt: skip


def examine(here: Surroundings) -> Diagnosis:
    """Look at everything that a run depends on; needs no claim and builds nothing."""
    return Diagnosis(checks=tuple(check(here) for check in _CHECKS))
