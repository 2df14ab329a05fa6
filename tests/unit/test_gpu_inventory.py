"""Which GPU a benchmark is pinned to: the one it would have used, of those it may see."""

from __future__ import annotations

from typing import Any

import pytest

from reprokit.gpu.inventory import FoundGpu, Inventory, choose, could_be
from reprokit.gpu.lock import unknown_gpu


def gpu(number: int, name: str = "NVIDIA A100", *, mig: bool = False) -> FoundGpu:
    facts: dict[str, Any] = {key: None for key in FoundGpu.model_fields if key != "unknown"}
    facts |= {"uuid": f"GPU-{number}000", "name": name, "memory_mib": 80000, "mig": mig}
    return FoundGpu(**facts)


ALIKE = Inventory(gpus=(gpu(0), gpu(1), gpu(2)))
MIXED = Inventory(gpus=(gpu(0, "NVIDIA T400"), gpu(1), gpu(2)))


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (None, ("GPU-0000", "GPU-1000", "GPU-2000")),
        ("1", ("GPU-1000",)),
        ("2,0", ("GPU-2000", "GPU-0000")),
        ("GPU-1", ("GPU-1000",)),
        ("0,7,1", ("GPU-0000",)),
        ("0,0,1", ("GPU-0000",)),
        ("1, -1, 2", ("GPU-1000",)),
    ],
)
def test_what_the_user_shows_is_read_as_cuda_reads_it(
    named: str | None, chosen: tuple[str, ...]
) -> None:
    environ = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert choose(ALIKE, {"name": "NVIDIA A100"}, environ).uuids == chosen


@pytest.mark.parametrize("named", ["", "-1", "GPU-9", "NoDevFiles", "GPU-", "²", "٣"])
def test_nothing_shown_is_nothing_chosen(named: str) -> None:
    found = choose(ALIKE, {}, {"CUDA_VISIBLE_DEVICES": named})
    assert (found.uuids, (found.why or "").partition(":")[0]) == ((), "no_gpu")


def test_a_mixed_machine_keeps_to_the_gpu_that_the_environment_would_use() -> None:
    assert choose(MIXED, {"name": "NVIDIA A100"}, {}).uuids == ("GPU-1000", "GPU-2000")
    assert (choose(MIXED, {"name": "NVIDIA H100"}, {}).why or "").startswith("other_gpu")
    assert choose(MIXED, {}, {}).uuids == ("GPU-0000",), "never two kinds side by side"


def test_numbers_on_a_mixed_machine_count_only_in_the_order_of_the_bus() -> None:
    device, named = {"name": "NVIDIA A100"}, {"CUDA_VISIBLE_DEVICES": "1"}
    assert (choose(MIXED, device, named).why or "").startswith("order_unknown")
    ordered = {**named, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert choose(MIXED, device, ordered).uuids == ("GPU-1000",)


def test_divided_gpus_are_not_pinned_to() -> None:
    divided = Inventory(gpus=(gpu(0, mig=True),))
    assert (choose(divided, {}, {}).why or "").startswith("mig")
    named = {"CUDA_VISIBLE_DEVICES": "MIG-1234"}
    assert (choose(ALIKE, {}, named).why or "").startswith("mig")


def test_where_none_can_be_chosen_all_that_it_could_be_are_held() -> None:
    everything = ("GPU-0000", "GPU-1000", "GPU-2000")
    cuda, named = {"type": "cuda"}, "CUDA_VISIBLE_DEVICES"
    assert could_be(MIXED, cuda, {named: "1"}) == everything, "which one 1 is, is not known"
    assert could_be(MIXED, cuda, {}) == everything
    assert could_be(MIXED, cuda, {named: ""}) == ()
    assert could_be(ALIKE, cuda, {named: "MIG-1, MIG-2"}) == ("MIG-1",)
    blind = Inventory(why="no_nvml: none")
    assert could_be(blind, cuda, {}) == (unknown_gpu(),)
    assert could_be(blind, {"type": "unknown"}, {}) == could_be(blind, {}, {}) == (unknown_gpu(),)
    assert could_be(blind, {"type": "cpu"}, {}) == ()


def test_no_driver_is_said() -> None:
    assert choose(Inventory(why="no_nvml: none"), {}, {}).why == "no_nvml: none"
