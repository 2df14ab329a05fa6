"""What every adapter obeys. Written against the protocol: a third party may run it on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reprokit.adapter import (
    Adapter,
    ChecksCells,
    ChecksModel,
    Command,
    Invocation,
    Model,
    OptionError,
    PointContext,
    Reading,
    Setup,
    installed_adapters,
    load_adapter,
)
from reprokit.errors import UsageError
from reprokit.records import Arm
from reprokit.stack import CELL_AXES

# The tests' scripted adapter plays faults that these tests forbid.
ADAPTERS = sorted(name for name in installed_adapters() if name != "scripted")
HOSTILE = (b"", b"\n", b"\x00\xff\xfe", b"{", b"null\n" * 100, b"[" * 20_000, b"x" * 1_000_000)


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return load_adapter(request.param)


def setup_of(adapter: Adapter, options: dict[str, Any] | None = None) -> Setup:
    arms = adapter.arms()
    return Setup(
        model=Model(id="tiny-llama", dtype="bfloat16", weights="synthetic"),
        arms={Arm.BASELINE: arms[0], Arm.SUBJECT: arms[-1]},
        options=adapter.check_options(options or {}),
        device="cpu", samples=2, warmup=0, seed=1,
    )  # fmt: skip


def point_of(adapter: Adapter, setup: Setup, tmp_path: Path) -> PointContext:
    checkout = tmp_path / "checkout"
    checkout.mkdir(exist_ok=True)
    source = adapter.builtin_source() or checkout
    bare = PointContext(point="p", python="/env/bin/python", source=str(source), commit="a" * 40)
    steps = adapter.assets(setup, bare)
    return bare.model_copy(update={"assets": {step.name: f"/assets/{step.name}" for step in steps}})


def invocation_of(tmp_path: Path, arm: Arm) -> Invocation:
    folder = tmp_path / "invocation"
    folder.mkdir(exist_ok=True)
    return Invocation(id="i", arm=arm, cell={}, directory=str(folder))


def test_the_builtin_ones_are_installed() -> None:
    assert {"gpt_fast", "hf_harness"} <= set(installed_adapters())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        load_adapter("no_such_adapter")
    assert "gpt_fast" in caught.value.hint


def test_it_is_an_adapter_with_a_name_a_title_and_two_arms(adapter: Adapter) -> None:
    assert isinstance(adapter, Adapter)
    assert installed_adapters()[adapter.name]
    assert adapter.title
    assert len(set(adapter.arms())) == len(adapter.arms()) >= 2
    assert set(adapter.cell_axes()) <= CELL_AXES


def test_every_value_that_an_axis_lists_has_no_fault(adapter: Adapter) -> None:
    for axis, legal in adapter.cell_axes().items():
        if isinstance(adapter, ChecksCells):
            assert [adapter.cell_fault(axis, value) for value in legal or ()] == [None] * len(
                legal or ()
            )
            assert adapter.cell_fault(axis, -1)
            assert adapter.cell_fault(axis, -1) == adapter.cell_fault(axis, -1)


def test_a_misfit_lies_in_the_claim_and_nothing_fails_for_it(adapter: Adapter) -> None:
    options = adapter.check_options({})
    if isinstance(adapter, ChecksModel):
        assert adapter.misfit(Model(id="tiny-llama", weights="synthetic"), options) is None
        misfit = adapter.misfit(None, options)
        assert misfit is None or misfit.path[0] in {"model", "adapter"}


def test_options_are_filled_in_once_and_for_all(adapter: Adapter) -> None:
    filled = adapter.check_options({})
    assert adapter.check_options(filled) == filled


def test_an_unknown_option_is_refused_with_the_known_ones(adapter: Adapter) -> None:
    with pytest.raises(OptionError) as caught:
        adapter.check_options({"no_such_option": 1})
    assert caught.value.path == ("options", "no_such_option")
    assert set(caught.value.known) == set(adapter.check_options({}))


@pytest.mark.parametrize("arm", list(Arm))
def test_a_command_is_a_pure_function_and_starts_the_points_python(
    adapter: Adapter, arm: Arm, tmp_path: Path
) -> None:
    setup = setup_of(adapter)
    point = point_of(adapter, setup, tmp_path)
    asked = invocation_of(tmp_path, arm)
    command = adapter.command(setup, point, asked)
    assert isinstance(command, Command)
    assert command == adapter.command(setup, point, asked)
    assert command.argv[0] == point.python
    assert list(Path(asked.directory).iterdir()) == []
    # The environment is the runner's: isolated mode would ignore its bytecode folder.
    assert "-I" not in command.argv


def test_asset_steps_are_pure_and_named_once(adapter: Adapter, tmp_path: Path) -> None:
    setup = setup_of(adapter)
    point = point_of(adapter, setup, tmp_path)
    steps = adapter.assets(setup, point)
    assert steps == adapter.assets(setup, point)
    assert len({step.name for step in steps}) == len(steps)
    assert all(step.key and step.title for step in steps)


@pytest.mark.parametrize("arm", list(Arm))
def test_an_empty_directory_gives_no_sample_and_a_reason(
    adapter: Adapter, arm: Arm, tmp_path: Path
) -> None:
    setup = setup_of(adapter)
    point = point_of(adapter, setup, tmp_path)
    reading = adapter.read(setup, point, invocation_of(tmp_path, arm))
    assert reading.samples == ()
    assert reading.problem or reading.failure


@pytest.mark.parametrize("data", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("arm", list(Arm))
def test_reading_never_raises_and_repeats_itself(
    adapter: Adapter, arm: Arm, data: bytes, tmp_path: Path
) -> None:
    setup = setup_of(adapter)
    point = point_of(adapter, setup, tmp_path)
    asked = invocation_of(tmp_path, arm)
    for name in ("stdout.log", "stderr.log", "result.jsonl", "profile.json"):
        (Path(asked.directory) / name).write_bytes(data)
    reading = adapter.read(setup, point, asked)
    assert isinstance(reading, Reading)
    assert reading.samples == ()
    assert adapter.read(setup, point, asked) == reading
    assert Reading.model_validate_json(reading.model_dump_json()) == reading
