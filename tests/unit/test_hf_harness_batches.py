"""Cells that share a process of the harness: which may, and how it is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.hf_harness import ADAPTER, adapter
from reprokit.adapter import Invocation, Launch, Model, PointContext, Setup
from reprokit.records import Arm


def setup() -> Setup:
    return Setup(
        model=Model(id="tiny-llama", weights="synthetic"),
        arms={Arm.BASELINE: "eager", Arm.SUBJECT: "default"},
        options=ADAPTER.check_options({}), device="cpu", samples=2, warmup=1, seed=42,
    )  # fmt: skip


def point() -> PointContext:
    source = str(ADAPTER.builtin_source())
    return PointContext(point="p", python="/env/bin/python", source=source, commit=None)


def make_spec(asked: Invocation) -> dict[str, Any]:
    return adapter.make_spec(setup(), point(), asked.arm, asked.cell)


def test_cells_of_one_model_and_dtype_share_a_process() -> None:
    def key(arm: Arm = Arm.SUBJECT, **cell: Any) -> str:
        return ADAPTER.process_key(setup(), arm, cell)  # type: ignore[attr-defined,no-any-return]

    assert key(phase="prefill", token_len=4) == key(phase="e2e_kv", compile_mode="default")
    assert key(dtype="float16") != key()
    assert key(model="no-such") != key()


def test_a_cell_that_cannot_be_measured_never_ends_the_process_of_one_that_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def complaint(plan: Setup, spec: dict[str, Any]) -> str | None:
        return "too long" if spec["token_len"] > 100 else None

    monkeypatch.setattr(adapter, "_unsupported", complaint)
    keys = [
        ADAPTER.process_key(setup(), Arm.SUBJECT, {"token_len": length})  # type: ignore[attr-defined]
        for length in (8, 16, 200, 400)
    ]
    assert keys[0] == keys[1] != keys[2] == keys[3]


def test_a_shared_process_is_told_every_spec_in_full(tmp_path: Path) -> None:
    """Put together again, common part and differences are what a process of its own is told."""
    import batch

    count = 100
    cells: list[dict[str, Any]] = [{"token_len": 1 + index} for index in range(count)]
    places = [tmp_path / ("x" * 200) / ("y" * 200) / str(index) for index in range(count)]
    for place in places:
        place.mkdir(parents=True)
    invocations = tuple(
        Invocation(id=str(index), arm=Arm.SUBJECT, cell=cell, directory=str(places[index]))
        for index, cell in enumerate(cells)
    )
    launch = Launch(id="l", directory=str(tmp_path), invocations=invocations)
    command = ADAPTER.shared_command(setup(), point(), launch)  # type: ignore[attr-defined]
    assert command.argv[:3] == ("/env/bin/python", "-s", str(ADAPTER.builtin_source()))
    assert command.cwd == str(tmp_path)
    assert max(len(argument) for argument in command.argv) < 128 * 1024
    texts = [argument.removeprefix("--batch=") for argument in command.argv[3:]]
    entries = batch.load_entries(texts)
    assert [entry.spec for entry in entries] == [make_spec(one) for one in invocations]
    assert [entry.directory for entry in entries] == places


def test_paths_of_any_length_fit_into_the_arguments(tmp_path: Path) -> None:
    """Linux takes 128 KiB in an argument, and 4096 bytes in a path."""
    invocations = tuple(
        Invocation(
            id=str(number), arm=Arm.SUBJECT, cell={"token_len": 1 + number},
            directory=f"/{'x' * 4080}/{number}",
        )
        for number in range(100)
    )  # fmt: skip
    launch = Launch(id="l", directory=str(tmp_path), invocations=invocations)
    command = ADAPTER.shared_command(setup(), point(), launch)  # type: ignore[attr-defined]
    assert max(len(argument) for argument in command.argv) < 128 * 1024
    told = [json.loads(each.removeprefix("--batch=")) for each in command.argv[3:]]
    assert [each["directory"] for part in told for each in part["entries"]] == [
        each.directory for each in invocations
    ]
