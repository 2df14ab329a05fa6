"""`--set model=NAME`: what it sets, what wins over it, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from claim_fakes import CLAIM, FakeAdapter, fake_adapters
from pydantic import JsonValue

from adapters.hf_harness import ADAPTER
from adapters.hf_harness.models import known_models
from adapters.hf_harness.slices import LONGEST, make_slice, slice_names
from reprokit.adapter import Adapter, Slice, Slices
from reprokit.claim.load import LoadedClaim, load_claim
from reprokit.claim.problems import InvalidClaimError
from reprokit.pipeline import Request, plan_claim

ROOT = Path(__file__).parents[2]
TR147 = ROOT / "claims" / "tr147"


class SlicingAdapter(FakeAdapter):
    """Knows one slice."""

    def slices(self) -> tuple[str, ...]:
        return ("small",)

    def slice(self, name: str, claim: Mapping[str, JsonValue]) -> Slice:
        assert name == "small"
        assert isinstance(claim, dict)
        changes: dict[str, JsonValue] = {
            "model.id": "little",
            "model.revision": None,
            "protocol.samples": 3,
            "cells.token_len": [1, 8],
            "sweep": None,
        }
        return Slice(changes=changes, device="cpu")


def slicing(name: str) -> Adapter:
    return SlicingAdapter(name) if name == "fake" else fake_adapters(name)


def load(folder: Path, text: str, *overrides: str) -> LoadedClaim:
    path = folder / "claim.yaml"
    path.write_text(text, encoding="utf-8")
    return load_claim(path, overrides=overrides, adapters=slicing)


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(InvalidClaimError) as raised:
        load(folder, text, *overrides)
    return str(raised.value)


MODEL = "model: {id: big, revision: 0123456789abcdef0123456789abcdef01234567}\n"


def test_a_name_sets_all_that_it_stands_for_and_lists_it(tmp_path: Path) -> None:
    loaded = load(tmp_path, CLAIM + MODEL, "model=small")
    assert loaded.claim.model is not None
    assert (loaded.claim.model.id, loaded.claim.model.revision) == ("little", None)
    assert loaded.claim.protocol.samples == 3
    assert loaded.claim.cells == {"token_len": (1, 8)}
    assert loaded.claim.sweep == {}
    assert loaded.device == "cpu"
    assert loaded.altered == (
        "model=small",
        "cells.token_len = [1,8] (model=small)",
        "model.id = little (model=small)",
        "model.revision = nothing (model=small)",
        "protocol.samples = 3 (model=small)",
        "sweep = nothing (model=small)",
    )


@pytest.mark.parametrize("order", [1, -1])
def test_another_set_wins_wherever_it_stands(tmp_path: Path, order: int) -> None:
    overrides = ("model=small", "protocol.samples=7", "cells.token_len.1=16")[::order]
    loaded = load(tmp_path, CLAIM, *overrides)
    assert loaded.claim.protocol.samples == 7
    assert loaded.claim.cells == {"token_len": (1, 16)}
    assert loaded.altered[:3] == overrides


def test_without_a_name_nothing_changes(tmp_path: Path) -> None:
    loaded = load(tmp_path, CLAIM + MODEL, "model.id=other")
    assert (loaded.device, loaded.altered) == (None, ("model.id=other",))
    assert load(tmp_path, CLAIM + MODEL, "model=null").claim.model is None


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("fake", ("model=smal",), "Did you mean 'small'? It has small."),
        ("fake", ("model=7",), "has no model '7'"),
        ("fake", ("model=small", "model=tiny"), "another model is set too: model=tiny"),
        ("builtin", ("model=small",), "the adapter 'builtin' has no models of its own"),
        ("none", ("model=small",), "the adapter of this claim is not known"),
        ("fake", ("model=small", "protocol.samples=0"), "--set protocol.samples=0: "),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(
    tmp_path: Path, name: str, overrides: tuple[str, ...], words: str
) -> None:
    assert words in refusal(tmp_path, CLAIM.replace("name: fake", f"name: {name}"), *overrides)


def test_a_fault_in_what_a_slice_set_names_the_option(tmp_path: Path) -> None:
    class Wrong(SlicingAdapter):
        def slice(self, name: str, claim: Mapping[str, JsonValue]) -> Slice:
            return Slice(changes={"protocol.samples": 0})

    path = tmp_path / "claim.yaml"
    path.write_text(CLAIM + "protocol: {samples: 4}\n", encoding="utf-8")
    with pytest.raises(InvalidClaimError) as raised:
        load_claim(path, overrides=("model=small",), adapters=Wrong)
    assert raised.value.problems[0].place == "--set model=small"


def test_a_slice_mends_a_claim_that_is_not_whole(tmp_path: Path) -> None:
    loaded = load(tmp_path, CLAIM + "cells: 3\nmodel: 5\n", "model=small")
    assert loaded.claim.cells == {"token_len": (1, 8)}


def test_the_harness_offers_its_models() -> None:
    assert isinstance(ADAPTER, Slices)
    assert set(slice_names()) == {"tiny", *known_models()} - {"qwen2.5-7b-awq"}


def test_another_model_changes_the_model_alone() -> None:
    claim: dict[str, JsonValue] = {
        "model": {"id": "qwen2.5-7b", "weights": "hub", "revision": "0" * 40},
        "cells": {"token_len": [512], "model": ["a", "b"]},
    }
    found = make_slice("qwen2.5-0.5b", claim)
    assert found.device is None
    assert found.changes == {
        "model.id": "qwen2.5-0.5b", "model.weights": "synthetic", "model.revision": None,
        "cells.model": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ([1, 8, 32, 128, 512], [1, 8]),
        ([512], [128]),
        ([64, 512], [64, 128]),
        ([64, 128, 256], [64, 128]),
        ([256, 512], [64, 128]),
        ([1, 512], [1, 128]),
        ([128, 4096], [64, 128]),
        (["no number"], []),
    ],
)
def test_token_lengths_are_shortened_and_stay_several(
    asked: list[JsonValue], kept: list[int]
) -> None:
    found = make_slice("tiny", {"cells": {"token_len": asked}}).changes
    assert found["cells.token_len"] == kept


@pytest.mark.parametrize("claim", [{}, {"cells": 3, "model": [], "protocol": "x", "expect": None}])
def test_a_slice_of_a_claim_that_says_nothing(claim: dict[str, JsonValue]) -> None:
    assert make_slice("tiny", claim).changes["model.id"] == "tiny-llama"


def test_every_claim_of_the_harness_has_a_slice_for_a_cpu() -> None:
    """Including those decided along an axis, whatever it is."""
    kinds: dict[tuple[str, str | None], Path] = {}
    for path in sorted(TR147.glob("v*/*.yaml")):
        axis = re.search(r"^  axis: (\w+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        kinds[path.parent.name, axis and axis[1]] = path
    assert {axis for _, axis in kinds} >= {None, "model", "phase", "token_len", "triton"}
    for path in kinds.values():
        loaded, plan = plan_claim(Request(claim=path, overrides=("model=tiny",)))
        assert plan.setup.device == "cpu"
        assert plan.setup.model is not None
        assert plan.setup.model.weights == "synthetic"
        assert loaded.claim.regime is not None
        assert loaded.claim.regime.device == "cuda", "the regime is the claim's, not the slice's"
        assert len(plan.invocations) <= 170
        models = {str(cell.axes.get("model", "tiny-llama")) for cell in plan.cells}
        assert all(model.startswith("tiny-") for model in models)
        assert all(int(cell.axes["token_len"]) <= LONGEST for cell in plan.cells)


def test_a_device_asked_for_wins_over_the_slice() -> None:
    path = min(TR147.glob("v4c/*.yaml"))
    _, plan = plan_claim(Request(claim=path, overrides=("model=tiny",), device="cuda"))
    assert plan.setup.device == "cuda"
