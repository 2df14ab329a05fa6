"""Names of axes that can only be a mistake, and values that only an adapter can judge."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_fakes import CLAIM, FakeAdapter, changed, load_text

from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.errors import ClaimError, PlanError
from reprokit.records import Scalar
from reprokit.sweep import make_plan


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedClaim:
    return load_text(tmp_path, CLAIM)


@pytest.mark.parametrize(
    ("sweep", "hint"),
    [
        ("protocol.samples=3", "--set protocol.samples=VALUE"),
        ("title=a", ""),
        ("warmup=1", "--set protocol.warmup=N"),
        ("numpyy=2.0", "Did you mean 'numpy'?"),
        ("trition=3.3.1", "Did you mean 'triton'?"),
        ("tokenlen=3", "Did you mean 'token_len'?"),
        ("python3=3.11", "Did you mean 'python'?"),
    ],
)
def test_a_name_that_can_only_be_a_mistake_is_no_package(
    loaded: LoadedClaim, sweep: str, hint: str
) -> None:
    with pytest.raises(PlanError) as raised:
        make_plan(loaded, sweeps=(sweep,))
    assert hint in raised.value.hint


class _Counts(FakeAdapter):
    """Says which token lengths can be asked for, of which no list can name all."""

    def cell_fault(self, axis: str, value: Scalar) -> str | None:
        return None if type(value) is int and value > 0 else f"{axis}: not {value!r}"


@pytest.mark.parametrize("text", ["0", "-64", "'64'", "64.5", "true", "abc"])
def test_an_adapter_judges_values_that_no_list_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "claim.yaml"
    path.write_text(CLAIM)
    counted = load_claim(path, adapters=lambda _: _Counts())
    with pytest.raises(PlanError, match="--sweep token_len"):
        make_plan(counted, sweeps=(f"token_len=64,{text}",))
    assert make_plan(counted, sweeps=("token_len=64,65",)).axes == {"token_len": (64, 65)}
    for section in ("cells", "sweep"):
        path.write_text(
            CLAIM + f"cells: {{token_len: [64, {text}]}}\n" if section == "cells"
            else changed('triton: ["3.3.1", "3.6.0"]', f"token_len: [64, {text}]")
        )  # fmt: skip
        with pytest.raises(ClaimError, match=r"claim.yaml:\d+:\d+: token_len"):
            load_claim(path, adapters=lambda _: _Counts())
