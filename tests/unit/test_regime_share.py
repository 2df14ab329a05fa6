"""Shares of the memory's ceiling, and GPUs by name: facts of datasheets, known answers."""

from __future__ import annotations

from typing import Any

import pytest

from reprokit.records import Arm, Evidence, GpuRecord, GpuState, Row, RowStatus
from reprokit.regime.gpus import PUBLISHED, names_gpu, published_gbps
from reprokit.regime.share import bandwidth_share, bytes_per_token

LLAMA_7B = 13.2e9


def row(tokps: float | None = 200.0, *, gpu: GpuRecord | None = None, **extra: Any) -> Row:
    values = {} if tokps is None else {"tokps": tokps}
    bandwidth = extra.pop("bandwidth_gbps", None)
    if bandwidth is not None:
        values["bandwidth_gbps"] = bandwidth
    return Row(
        id="r", point="p", cell="all", arm=Arm.SUBJECT, invocation=0, iteration=0,
        status=RowStatus.OK, values=values, evidence=Evidence(extra=extra), gpu=gpu,
    )  # fmt: skip


def record(name: str | None = "NVIDIA H200", **changes: Any) -> GpuRecord:
    return GpuRecord(
        state=GpuState.UNKNOWN, name=name, uuid="GPU-1",
        **{"copy_gbps": 4000.0, "power_limit_w": 700.0, **changes},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "power_w", "gbps"),
    [
        ("NVIDIA H200", None, 4800),
        ("A100-SXM4-80GB", None, 2039),
        ("NVIDIA A100 80GB PCIe", None, 1935),
        ("A100-80GB", 330.0, 2039),
        ("H100", 700.0, 3350),
        ("NVIDIA GeForce RTX 4090", None, 1008),
        ("Tesla V100-SXM2-16GB", None, 900),
        ("V100", None, 900),
        ("RTX 4080 Laptop GPU", None, 432),
    ],
)
def test_published_bandwidths(name: str, power_w: float | None, gbps: float) -> None:
    assert published_gbps(name, power_w) == gbps


@pytest.mark.parametrize(
    ("name", "power_w", "why"),
    [
        ("A100-80GB", None, "may be any of"),
        ("A100-80GB", 250.0, "may be any of"),
        ("A100", 400.0, "may be any of"),
        ("NVIDIA X9000", None, "no published bandwidth"),
        ("", None, "no published bandwidth"),
        (None, None, "not named"),
    ],
)
def test_what_cannot_be_told_is_said(name: str | None, power_w: float | None, why: str) -> None:
    assert why in str(published_gbps(name, power_w))


def test_every_published_name_finds_its_own_figure() -> None:
    for each in PUBLISHED:
        assert published_gbps(each.name, each.most_w) == each.gbps, each.name


def test_a_variant_is_another_product() -> None:
    assert not names_gpu("RTX 4080", "NVIDIA GeForce RTX 4080 Laptop GPU")
    assert not names_gpu("RTX 3090", "NVIDIA GeForce RTX 3090 Ti")
    assert not names_gpu("NVIDIA", "NVIDIA H200"), "the maker's name alone names nothing"


@pytest.mark.parametrize(
    ("claimed", "measured", "same"),
    [
        ("H100-SXM5-80GB", "NVIDIA H100 80GB HBM3", True),
        ("H100 SXM", "NVIDIA H100 80GB HBM3", True),
        ("H100-SXM5-80GB", "NVIDIA H100 PCIe", False),
        ("H200 SXM5 141GB", "NVIDIA H200", True),
        ("H200 SXM", "NVIDIA H200 NVL", False),
        ("H200 NVL 141 GB", "NVIDIA H200 NVL", True),
        ("A100 SXM 80GB", "NVIDIA A100-SXM4-80GB", True),
        ("A100-SXM4-80GB", "NVIDIA A100-SXM4-40GB", False),
        ("A100-SXM4-80GB", "NVIDIA A100-SXM4-80GB MIG 1g.10gb", False),
        ("A40", "NVIDIA A40-48Q", False),
        ("A100", "GRID A100-10C", False),
        ("A40-48Q", "NVIDIA A40-48Q", True),
    ],
)
def test_names_that_people_and_drivers_write(claimed: str, measured: str, same: bool) -> None:
    assert names_gpu(claimed, measured) is same


def test_the_claim_of_gpt_fast_on_an_h200() -> None:
    rows = [row(200.0, gpu=record(), bandwidth_gbps=200.0 * LLAMA_7B / 1e9)]
    found = bandwidth_share(
        rows, batch=1, claimed_tokps=104.9, claimed_gpu="A100-80GB", claimed_power_w=330.0
    )
    assert found is not None
    assert found.bytes_per_token == pytest.approx(LLAMA_7B)
    assert found.mbu == pytest.approx(LLAMA_7B * 200 / 4000e9)
    assert found.mbu_of_peak == pytest.approx(0.55)
    assert found.claimed_mbu_of_peak == pytest.approx(LLAMA_7B * 104.9 / 2039e9)
    assert found.kept == pytest.approx(0.55 / (LLAMA_7B * 104.9 / 2039e9))
    assert found.unknown == {}


def test_bytes_of_the_internal_harness_are_of_a_step_and_shared_by_its_batch() -> None:
    assert bytes_per_token([row(floor={"bytes": 4e9})], 4) == 1e9
    assert bytes_per_token([row(floor={"bytes": 0}), row(floor=None), row()], 1) is None
    assert bytes_per_token([row(None, bandwidth_gbps=5.0)], 1) is None


def test_what_is_missing_is_null_with_its_reason() -> None:
    nothing = record(None, copy_gbps=None)
    found = bandwidth_share(
        [row(None, gpu=nothing)], batch=1, claimed_tokps=None, claimed_gpu=None,
        claimed_power_w=None,
    )  # fmt: skip
    assert found is not None
    assert (found.mbu, found.mbu_of_peak, found.claimed_mbu_of_peak, found.kept) == (None,) * 4
    assert set(found.unknown) == {
        "tokps", "bytes_per_token", "copy_gbps", "claimed_tokps", "peak_gbps", "claimed_peak_gbps",
    }  # fmt: skip


def test_rows_of_no_gpu_have_no_share() -> None:
    rows = [row()]
    assert (
        bandwidth_share(rows, batch=1, claimed_tokps=1.0, claimed_gpu="H200", claimed_power_w=None)
        is None
    )


def test_the_claims_own_gpu_has_one_ceiling_for_both() -> None:
    a100 = record("NVIDIA A100-SXM4-80GB", power_limit_w=330.0)
    found = bandwidth_share(
        [row(104.9, gpu=a100, bandwidth_gbps=1397.0)], batch=1, claimed_tokps=104.9,
        claimed_gpu="A100-80GB", claimed_power_w=None,
    )  # fmt: skip
    assert found is not None
    assert found.kept == pytest.approx(1.0)
