"""Gate 2: what was measured on, verified on the disk; what nobody told is open."""

from __future__ import annotations

from typing import Any

import pytest
from gated_run import TORCH, TRITON, judged, probed, sound_case
from scored_case import Case, broken, steady

from reprokit.records import GpuRecord, GpuState, Row, RowStatus
from reprokit.stack import Alteration
from reprokit.verdict.gate import GateVerdict

GPU = GpuRecord(
    state=GpuState.CLEAN, name="NVIDIA H200", sm="sm_90", memory_mib=143771, driver="580.1",
    cuda="13.0",
)  # fmt: skip


def told(gate: GateVerdict) -> tuple[str, str]:
    return gate.verdict, gate.evidence[0]


def attribution(case: Case | None = None, *, host: bool = False, **probe: Any) -> GateVerdict:
    facts: dict[str, Any] = {"probe": probed(**probe), "locked": not host}
    case = case or sound_case(ready={"point": facts}, invocations=2, samples=1)
    return judged(case)["environment_attribution"]


@pytest.mark.parametrize(
    ("probe", "host", "state", "says"),
    [
        ({"altered": ("lib/python3.11/site-packages/triton/a.py",)}, False, "fail", "triton/a.py"),
        ({"altered": ("torch/lib/libtorch.so",)}, True, "fail", "1 file of torch not as in its"),
        ({"altered": ("triton-3.3.1.dist-info/METADATA",)}, True, "fail", "1 file of triton not"),
        ({"missing": ("triton/b.py", "triton/c.py")}, True, "fail", "2 files of triton gone"),
        ({"altered": ("certifi/cacert.pem",)}, True, "pass", "Measured on a CPU"),
        ({"altered": ("triton_kernels/a.py",)}, True, "pass", "Measured on a CPU"),
        ({"unrecorded": ("triton/x.so",)}, True, "open", "1 file that no RECORD names"),
        ({"unverified": {"triton": "no_record"}}, True, "open", "it has no RECORD"),
        ({"unverified": {"torch": "editable"}}, True, "open", "it is an editable install"),
        ({"unverified": None}, True, "open", "does not say what could be compared"),
        ({"unverified": None}, False, "pass", "Measured on a CPU"),
        (
            {"distributions": (TORCH, TRITON.model_copy(update={"record_sha256": None}))},
            False,
            "open",
            "the triton 3.3.1 is not verified on disk: it has no RECORD",
        ),
        (
            {"distributions": (TORCH, TRITON.model_copy(update={"content_sha256": None}))},
            True,
            "open",
            "its files were not looked at",
        ),
        ({"distributions": (TORCH,)}, False, "open", "a triton is imported that no distribution"),
        ({"platform": {}}, False, "open", "The operating system could not be told."),
    ],
)
def test_what_is_on_the_disk_is_verified_or_not_passed(
    probe: dict[str, Any], host: bool, state: str, says: str
) -> None:
    gate = attribution(host=host, **probe)
    assert gate.verdict == state
    assert says.lower() in gate.evidence[0].lower()


def test_a_cpu_has_no_driver_and_an_environment_may_have_no_torch() -> None:
    gate = attribution(distributions=(), torch=None, triton=None)
    assert gate.verdict == "pass"
    assert any("are not applicable" in sentence for sentence in gate.evidence)
    assert "The environment holds no triton." in gate.evidence


def test_nothing_is_attributed_without_a_probe_or_a_measurement() -> None:
    unprobed = sound_case(ready={"point": {"probe": None}})
    assert told(judged(unprobed)["environment_attribution"]) == (
        "open",
        "The environment was never probed.",
    )
    failing = broken(lambda slot: True, RowStatus.ENVIRONMENT_FAILED, steady(1, 1))
    gate = judged(sound_case(behaviour=failing))["environment_attribution"]
    assert told(gate) == ("open", "Nothing was measured, so there is nothing to attribute.")


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ({"torch": "2.7.1+cpu", "triton": "3.3.1", "torch_git": "e" * 40}, "pass"),
        ({"triton": "3.4.0"}, "fail"),
        ({"torch": "2.8.0"}, "fail"),
        ({"torch_git": "f" * 40}, "fail"),
        ({"torch": 2.7}, "pass"),
    ],
)
def test_a_process_that_ran_other_versions_than_lie_on_the_disk_is_found(
    said: dict[str, Any], state: str
) -> None:
    case = sound_case(invocations=2, samples=1)
    rows = case.rows
    extra = {"versions": said}
    rows[3] = rows[3].model_copy(
        update={"evidence": rows[3].evidence.model_copy(update={"extra": extra})}
    )
    assert judged(case, rows=rows)["environment_attribution"].verdict == state


def test_files_changed_while_measuring_attribute_nothing() -> None:
    altered = {"point": Alteration(point="point", environment=("triton/a.py",))}
    gate = judged(sound_case(), altered=altered)["environment_attribution"]
    assert gate.verdict == "fail"
    assert "changed while measuring: triton/a.py" in gate.evidence[0]
    source = {"point": Alteration(point="point", source=("generate.py",))}
    assert judged(sound_case(), altered=source)["environment_attribution"].verdict == "pass"


def on_gpu(case: Case, *records: GpuRecord | None) -> list[Row]:
    """Let the rows have run on a GPU, with these records in turn."""
    return [
        row.model_copy(
            update={
                "gpu": records[index % len(records)],
                "evidence": row.evidence.model_copy(update={"device": "cuda:0"}),
            }
        )
        for index, row in enumerate(case.rows)
    ]


@pytest.mark.parametrize(
    ("records", "state", "says"),
    [
        ((GPU,), "pass", "The GPU is NVIDIA H200 (sm_90)"),
        ((GPU, GPU.model_copy(update={"driver": "570"})), "fail", "The driver is not one and the"),
        ((GPU, GPU.model_copy(update={"name": "A100"})), "fail", "The GPU is not one and the same"),
        ((GPU, GPU.model_copy(update={"memory_mib": 1})), "fail", "Its VRAM is not one and the"),
        ((GPU.model_copy(update={"driver": None}),), "open", "The driver could not be told"),
        ((GPU.model_copy(update={"memory_mib": None}),), "open", "Its VRAM could not be told"),
        ((None,), "open", "The GPU could not be told"),
    ],
)
def test_a_gpu_is_told_down_to_its_driver(
    records: tuple[GpuRecord | None, ...], state: str, says: str
) -> None:
    case = sound_case(invocations=2, samples=1)
    gate = judged(case, rows=on_gpu(case, *records))["environment_attribution"]
    assert gate.verdict == state
    assert any(says in sentence for sentence in gate.evidence)


def test_what_the_rows_did_not_see_of_a_gpu_the_probe_may_know() -> None:
    device = {"type": "cuda", "name": "A100", "sm": "sm_80", "memory_bytes": 80 * 2**30}
    torch = {"version": "2.7.1", "cuda": "12.6"}
    case = sound_case(ready={"point": {"probe": probed(device=device, torch=torch)}})
    only_driver = GpuRecord(state=GpuState.UNKNOWN, driver="580.1")
    gate = judged(case, rows=on_gpu(case, only_driver))["environment_attribution"]
    assert gate.verdict == "pass"
    for says in ("The GPU is A100 (sm_80).", "Its VRAM is 81920 MiB.", "CUDA is 12.6."):
        assert says in gate.evidence


def test_rows_of_two_kinds_of_device_belong_to_no_figure() -> None:
    case = sound_case()
    gpu = on_gpu(case, GPU)
    rows = [pair[index % 2] for index, pair in enumerate(zip(case.rows, gpu, strict=True))]
    gate = judged(case, rows=rows)["environment_attribution"]
    assert told(gate) == ("fail", "Rows that belong together ran on cpu and cuda.")
