from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from claim_fakes import BUILTIN_SOURCE, CLAIM, COMMIT, GIT_SOURCE, OTHER, changed, load_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprokit.claim.load import LoadedClaim
from reprokit.errors import PlanError
from reprokit.plan import Design, Plan
from reprokit.records import Arm
from reprokit.sweep import make_plan

RAW = "a1" * 20
CELLS = CLAIM + "cells: {phase: [prefill, kv_decode], token_len: [1, 8, 64]}\n"
TORCH = changed('triton: ["3.3.1", "3.6.0"]', 'torch: ["2.6.0", "2.7.1"]')


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedClaim:
    return load_text(tmp_path, CLAIM)


def test_without_a_sweep_there_is_the_stack_of_the_claim(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=())
    (point,) = plan.points
    assert point.id == "base"
    assert (point.commit, point.python) == (COMMIT, "3.11")
    assert point.requirements == ("torch==2.7.1", "numpy")
    assert point.overrides == ()
    assert [cell.id for cell in plan.cells] == ["all"]
    assert (plan.axes, plan.base) == ({}, {})
    assert len(plan.invocations) == 2 * 5
    assert plan.claim_digest == loaded.claim.digest()


def test_axes_take_the_values_of_the_claim(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=("sha,triton",))
    assert plan.axes == {"sha": ("here", "there"), "triton": ("3.3.1", "3.6.0")}
    assert plan.base == {"sha": "here"}, "the claim sets no version of triton"
    found = {point.id: (point.commit, point.overrides) for point in plan.points}
    assert found == {
        "sha-here_triton-3.3.1": (COMMIT, ("triton==3.3.1",)),
        "sha-here_triton-3.6.0": (COMMIT, ("triton==3.6.0",)),
        "sha-there_triton-3.3.1": (OTHER, ("triton==3.3.1",)),
        "sha-there_triton-3.6.0": (OTHER, ("triton==3.6.0",)),
    }
    assert plan.points[1].requirements == ("torch==2.7.1", "numpy", "triton==3.6.0")
    assert plan.notes == ()


def test_values_on_the_command_line_come_before_those_of_the_claim(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=("sha", "triton=3.4.0,3.6"))
    assert plan.axes["triton"] == ("3.4.0", "3.6.0")  # 3.6 is what the claim calls 3.6.0
    assert plan.base == {"sha": "here"}


@pytest.mark.parametrize(
    ("value", "label", "commit"),
    [
        ("there", "there", OTHER),
        (OTHER, "there", OTHER),
        (OTHER.upper(), "there", OTHER),
        (RAW, RAW[:10], RAW),
    ],
)
def test_a_commit_is_named_by_label_or_in_full(
    loaded: LoadedClaim, value: str, label: str, commit: str
) -> None:
    plan = make_plan(loaded, sweeps=(f"sha={value}",))
    assert plan.axes == {"sha": (label,)}
    assert plan.points[0].commit == commit


def test_commits_with_the_same_beginning_keep_apart(loaded: LoadedClaim) -> None:
    twin = RAW[:-1] + "0"
    plan = make_plan(loaded, sweeps=(f"sha={RAW},{twin}",))
    assert len({point.id for point in plan.points}) == 2
    assert [point.commit for point in plan.points] == [RAW, twin]


def test_the_base_is_the_value_that_the_claim_pins(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, TORCH)
    assert make_plan(loaded, sweeps=("torch",)).base == {"torch": "2.7.1"}
    assert make_plan(loaded, sweeps=("torch=2.9.0,2.8.0",)).base == {}
    assert make_plan(loaded, sweeps=("python=3.12,3.11",)).base == {"python": "3.11"}


def test_a_package_axis_replaces_the_version_and_nothing_else(tmp_path: Path) -> None:
    text = changed(
        "[torch==2.7.1, numpy]",
        "[\"Torch[opt]>=2 ; python_version < '3.13'\", 'torchvision==0.22', numpy]",
    )
    (point,) = make_plan(load_text(tmp_path, text), sweeps=("torch=2.8.0+cpu",)).points
    assert point.requirements == (
        'Torch[opt]==2.8.0+cpu; python_version < "3.13"',
        "torchvision==0.22",
        "numpy",
    )
    assert point.overrides == ("torch==2.8.0+cpu",)


def test_a_package_that_the_claim_does_not_name_is_added_and_noted(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=("Flash_Attn=2.0",))
    (point,) = plan.points
    assert point.requirements[-1] == "flash-attn==2.0"
    assert plan.notes == ("Flash_Attn is not among the claim's requirements; the sweep adds it",)
    assert make_plan(loaded, sweeps=("numpy=2.0",)).notes == ()


def test_the_python_axis_sets_the_python(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=("python=3.10,3.12",))
    assert [point.python for point in plan.points] == ["3.10", "3.12"]
    assert all(point.overrides == () for point in plan.points)


def test_cells_of_the_claim_are_always_there(tmp_path: Path) -> None:
    plan = make_plan(load_text(tmp_path, CELLS), sweeps=("sha",))
    assert len(plan.cells) == 6
    assert {tuple(cell.axes.values()) for cell in plan.cells} == set(
        itertools.product(("prefill", "kv_decode"), (1, 8, 64))
    )
    assert plan.axes == {"sha": ("here", "there")}
    assert len(plan.invocations) == 2 * 6 * 2 * 5


def test_a_cell_axis_can_be_swept(tmp_path: Path) -> None:
    plan = make_plan(load_text(tmp_path, CELLS), sweeps=("token_len=8,512,sha=here",))
    assert plan.axes == {"token_len": (8, 512), "sha": ("here",)}
    assert plan.base == {"sha": "here"}
    assert [list(cell.axes.items()) for cell in plan.cells] == [
        [("phase", "prefill"), ("token_len", 8)],
        [("phase", "kv_decode"), ("token_len", 8)],
        [("phase", "prefill"), ("token_len", 512)],
        [("phase", "kv_decode"), ("token_len", 512)],
    ]
    assert [point.axes for point in plan.points] == [{"sha": "here"}]


def test_a_cell_axis_of_the_sweep_has_values_of_its_kind(tmp_path: Path) -> None:
    text = changed('triton: ["3.3.1", "3.6.0"]', "batch: [1, 8]")
    plan = make_plan(load_text(tmp_path, text), sweeps=("batch",))
    assert [cell.axes for cell in plan.cells] == [{"batch": 1}, {"batch": 8}]
    assert plan.points[0].id == "base"


def test_one_at_a_time_departs_from_the_base_once(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, CELLS)
    plan = make_plan(
        loaded, sweeps=("sha,triton=3.4.0,3.5.0,3.6.0,batch=1,8",), design="one-at-a-time"
    )
    pairs = {(each.point, plan.cell(each.cell).axes["batch"]) for each in plan.invocations}
    assert pairs == {
        ("sha-here_triton-3.4.0", 1),
        ("sha-here_triton-3.4.0", 8),
        ("sha-there_triton-3.4.0", 1),
        ("sha-here_triton-3.5.0", 1),
        ("sha-here_triton-3.6.0", 1),
    }
    assert plan.design == "one-at-a-time"


EXCLUDE = CLAIM + "exclude: [{when: {sha: there, triton: 3.6.0}, reason: it never worked}]\n"


def test_excluded_combinations_are_kept_with_their_reason(tmp_path: Path) -> None:
    plan = make_plan(load_text(tmp_path, EXCLUDE), sweeps=("sha,triton",))
    assert len(plan.points) == 3
    (excluded,) = plan.excluded
    assert excluded.axes == {"sha": "there", "triton": "3.6.0"}
    assert excluded.reason == "it never worked"


@pytest.mark.parametrize("sweeps", [("triton",), ("sha=here", "triton")])
def test_an_exclusion_holds_for_axes_at_their_base_too(
    tmp_path: Path, sweeps: tuple[str, ...]
) -> None:
    text = CLAIM + f"exclude: [{{when: {{sha: {COMMIT}, triton: 3.6.0}}, reason: x}}]\n"
    plan = make_plan(load_text(tmp_path, text), sweeps=sweeps)
    assert [point.axes["triton"] for point in plan.points] == ["3.3.1"]
    assert len(plan.excluded) == 1


def test_an_exclusion_of_a_cell_leaves_the_point(tmp_path: Path) -> None:
    text = CELLS + "exclude: [{when: {sha: there, token_len: 64}, reason: too long}]\n"
    plan = make_plan(load_text(tmp_path, text), sweeps=("sha",))
    assert len(plan.points) == 2
    pairs = {(each.point, each.cell) for each in plan.invocations}
    assert len(pairs) == 2 * 6 - 2
    (excluded,) = plan.excluded
    assert excluded.axes == {"sha": "there", "token_len": 64}


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="every combination") as raised:
        make_plan(load_text(tmp_path, EXCLUDE), sweeps=("sha=there", "triton=3.6.0"))
    assert "it never worked" in raised.value.hint


@pytest.mark.parametrize(
    ("sweeps", "words"),
    [
        (("torch",), "Axes of the claim: sha (here, there); triton (3.3.1, 3.6.0)."),
        (("torch",), "--sweep torch=VALUE,VALUE"),
        (("tritn",), "Did you mean 'triton'?"),
        (("token_len",), "no values for the axis 'token_len'"),
        (("dtype=a",), "no axis 'dtype'"),
        (("device=cpu",), "--device"),
        (("tri ton=3",), "neither an axis"),
        (("triton=latest",), "'latest' is not a version"),
        (("triton=3.6,3.6.0",), "the same value"),
        (("sha=here," + COMMIT,), "the same value"),
        (("sha=fedcba9",), "Labels in the claim: here, there."),
        (("sha=main",), "Branches and tags can move"),
        (("batch=2",), "does not know 2"),
        (("batch=eight",), "does not know 'eight'"),
        (("token_len=1,1",), "the same value"),
        (("token_len=.inf",), "no number"),
        (("python=py311",), "not a version of Python"),
    ],
)
def test_what_cannot_be_planned_says_what_to_do(
    loaded: LoadedClaim, sweeps: tuple[str, ...], words: str
) -> None:
    with pytest.raises(PlanError) as raised:
        make_plan(loaded, sweeps=sweeps)
    assert words in str(raised.value)


def test_a_built_in_benchmark_has_no_commits(tmp_path: Path) -> None:
    text = changed(GIT_SOURCE, BUILTIN_SOURCE).replace("name: fake", "name: builtin")
    loaded = load_text(tmp_path, text.replace(f"  sha: {{here: {COMMIT}, there: {OTHER}}}\n", ""))
    with pytest.raises(PlanError, match="built in"):
        make_plan(loaded, sweeps=("sha=" + RAW,))
    assert make_plan(loaded, sweeps=("triton",)).points[0].commit is None


@pytest.mark.parametrize(("axes", "size"), [(2, 46), (12, 20), (200, 20)])
def test_an_absurd_sweep_is_refused_before_it_is_written_out(
    loaded: LoadedClaim, axes: int, size: int
) -> None:
    values = ",".join(str(number) for number in range(size))
    sweeps = tuple(f"package{number}={values}" for number in range(axes))
    with pytest.raises(PlanError, match="more than 100,000"):
        make_plan(loaded, sweeps=sweeps)


def test_an_axis_of_absurdly_many_values_is_refused(loaded: LoadedClaim) -> None:
    values = ",".join(str(number) for number in range(100_000))
    with pytest.raises(PlanError, match="100,000 values are more than 500"):
        make_plan(loaded, sweeps=(f"numpy={values}",))


def test_one_at_a_time_makes_large_sweeps_small(loaded: LoadedClaim) -> None:
    sweeps = tuple(f"package{number}=1,2,3" for number in range(20))
    plan = make_plan(loaded, sweeps=sweeps, design="one-at-a-time")
    assert len(plan.points) == 1 + 20 * 2


def test_long_names_of_points_stay_unique(loaded: LoadedClaim) -> None:
    sweeps = tuple(f"a-package-with-a-long-name-{number}=1.0,2.0" for number in range(4))
    plan = make_plan(loaded, sweeps=sweeps)
    assert len({point.id for point in plan.points}) == 16
    assert all(len(point.id) < 100 for point in plan.points)


def test_the_setup_is_that_of_the_claim(tmp_path: Path) -> None:
    text = (
        changed("subject: compiled", "subject: compiled, options: {tokens: 3}")
        + "protocol: {samples: 7, warmup: 1, invocations: 2, timeout_s: 9, seed: 5}\n"
        + "model: {id: a/b}\n"
    )
    plan = make_plan(load_text(tmp_path, text, overrides=("model.dtype=float16",)), sweeps=())
    assert plan.setup.arms == {Arm.BASELINE: "eager", Arm.SUBJECT: "compiled"}
    assert plan.setup.options == {"tokens": 3}
    assert plan.setup.model is not None
    assert plan.setup.model.dtype == "float16"
    assert (plan.setup.samples, plan.setup.warmup, plan.setup.seed) == (7, 1, 5)
    assert (plan.timeout_s, plan.seed, len(plan.invocations)) == (9, 5, 4)
    assert plan.altered == ("model.dtype=float16",)
    assert make_plan(load_text(tmp_path, CLAIM), sweeps=()).setup.options == {"tokens": 10}


@pytest.mark.parametrize(
    ("regime", "device", "planned", "altered"),
    [
        ("", None, "cpu", ()),
        ("", "cpu", "cpu", ()),
        ("", "cuda", "cuda", ("device=cuda",)),
        ("regime: {gpu: A100}\n", None, "cuda", ()),
        ("regime: {gpu: A100}\n", "cpu", "cpu", ("device=cpu",)),
        ("regime: {device: cpu}\n", None, "cpu", ()),
    ],
)
def test_the_device_is_that_of_the_regime_or_a_recorded_departure(
    tmp_path: Path, regime: str, device: str | None, planned: str, altered: tuple[str, ...]
) -> None:
    plan = make_plan(load_text(tmp_path, CLAIM + regime), sweeps=(), device=device)
    assert (plan.setup.device, plan.altered) == (planned, altered)


def test_an_unknown_device_is_refused(loaded: LoadedClaim) -> None:
    with pytest.raises(PlanError, match="no device 'tpu'"):
        make_plan(loaded, sweeps=(), device="tpu")


def test_the_seed_of_the_order_does_not_touch_the_seed_of_the_weights(
    loaded: LoadedClaim,
) -> None:
    plan = make_plan(loaded, sweeps=(), seed=7)
    assert (plan.seed, plan.setup.seed) == (7, 42)


_AXES = st.fixed_dictionaries(
    {},
    optional={
        "sha": st.sampled_from(["here", "here,there", f"there,{RAW}"]),
        "triton": st.sampled_from(["3.3.1", "3.3.1,3.6.0", "3.1,3.2,3.3"]),
        "numpy": st.sampled_from(["1.26.4,2.0.0"]),
        "batch": st.sampled_from(["1", "1,8"]),
        "token_len": st.sampled_from(["1,2", "8,16,many"]),
    },
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    axes=_AXES,
    design=st.sampled_from(["full", "one-at-a-time"]),
    rounds=st.integers(1, 3),
    exclude=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_every_launch_is_planned_exactly_once(
    tmp_path: Path, axes: dict[str, str], design: Design, rounds: int, exclude: bool, seed: int
) -> None:
    text = (EXCLUDE + CELLS[len(CLAIM) :]) if exclude else CELLS
    loaded = load_text(tmp_path, text + f"protocol: {{invocations: {rounds}, samples: 2}}\n")
    sweeps = tuple(f"{name}={values}" for name, values in axes.items())
    plan = make_plan(loaded, sweeps=sweeps, design=design, seed=seed)

    launches = [(each.point, each.cell, each.arm, each.index) for each in plan.invocations]
    pairs = {(point, cell) for point, cell, _, _ in launches}
    expected = {(*pair, arm, index) for pair in pairs for arm in Arm for index in range(rounds)}
    assert set(launches) == expected
    assert len(launches) == len(expected)
    if not plan.excluded and design == "full":
        assert len(pairs) == len(plan.points) * len(plan.cells)
    assert {point for point, _ in pairs} == {point.id for point in plan.points}
    assert {cell for _, cell in pairs} == {cell.id for cell in plan.cells}

    ids = [each.id for each in plan.invocations]
    assert len(set(ids)) == len(ids)
    assert len({name.casefold() for name in ids}) == len(ids)
    rows = plan.row_ids()
    assert len(set(rows)) == len(rows) == 2 * len(ids)
    assert len({point.identity() for point in plan.points}) == len(plan.points)

    block = len(plan.invocations) // rounds
    for index in range(rounds):
        part = plan.invocations[index * block : (index + 1) * block]
        assert {each.index for each in part} == {index}

    assert make_plan(loaded, sweeps=sweeps, design=design, seed=seed) == plan
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_another_seed_is_another_order_of_the_same_launches(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, CELLS)
    first = make_plan(loaded, sweeps=("sha,triton",), seed=1)
    second = make_plan(loaded, sweeps=("sha,triton",), seed=2)
    assert [each.id for each in first.invocations] != [each.id for each in second.invocations]
    assert {each.id for each in first.invocations} == {each.id for each in second.invocations}


def test_the_order_is_the_same_on_every_machine(loaded: LoadedClaim) -> None:
    plan = make_plan(loaded, sweeps=("sha",), seed=42)
    assert [each.id for each in plan.invocations[:4]] == [
        "sha-there__all__baseline__00",
        "sha-here__all__subject__00",
        "sha-there__all__subject__00",
        "sha-here__all__baseline__00",
    ]
