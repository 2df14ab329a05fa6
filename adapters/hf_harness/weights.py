"""Whose weights a model has, and how those of the hub come to this machine.

The weights of a hub repository move with its branches, so they are fetched at a commit or not at
all. They are fetched once, while a run is prepared, in the point's environment; measuring needs no
network.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from adapters.hf_harness.models import known_models, positions_complaint
from adapters.models.hub import fetch_step
from reprokit.adapter import AssetStep, Model, PointContext, Setup

WEIGHTS_ASSET = "weights"
"""Key of the folder in `PointContext.assets`; the harness's `weights_dir`."""

PATTERNS = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json")

_IGNORED = ("*/*", "consolidated*")
"""Other formats of the same weights lie in folders, or under this name."""

_NEEDS = {
    "config.json": "it is no transformers model",
    "*.safetensors": "other formats can run code when they are read and are not fetched. Name a "
    "commit that has them, or set model.weights=synthetic",
}
_BYTES_OF_A_WEIGHT = 2


def asset_steps(setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
    """Name the download, where the weights are the hub's and their commit is known."""
    model = setup.model
    if model is None or model.weights != "hub":
        return ()
    repository, revision = repository_of(model.id), model.revision
    if repository is None or revision is None:
        return ()
    step = fetch_step(
        point,
        name=WEIGHTS_ASSET,
        repository=repository,
        revision=revision,
        patterns=PATTERNS,
        ignored=_IGNORED,
        needs=_NEEDS,
        about_bytes=_about_bytes(model),
    )
    return (step,)


def model_complaint(setup: Setup, spec: Mapping[str, JsonValue]) -> str | None:
    """Say why the harness cannot have the model of a spec; None where nothing is known against it.

    Args:
        setup: of the plan; its model decides whose weights are measured.
        spec: what one invocation is asked for; a cell axis may name another model than the claim.
    """
    assert setup.model is not None
    name = str(spec["model"])
    if setup.model.weights == "hub":
        return _hub_complaint(setup.model, name)
    known = known_models()
    if name not in known:
        return f"the harness has no model {name!r}; it has {', '.join(sorted(known))}"
    if "quantized" in known[name]:
        return (
            f"{name} is quantized ({known[name]['quantized']}), and random weights have no "
            "calibrated scales: set model.weights=hub and model.revision"
        )
    return None


def never_measurable(setup: Setup, spec: Mapping[str, JsonValue]) -> str | None:
    """Say why no stack can measure a spec: there is no such model, or it is too small for it.

    What other weights or a revision would put right is left to `model_complaint`.
    """
    assert setup.model is not None
    name = str(spec["model"])
    if name not in known_models():
        hub = setup.model.weights == "hub" and repository_of(name) is not None
        return None if hub else model_complaint(setup, spec)
    return positions_complaint(spec)


def repository_of(model_id: str) -> str | None:
    """Name the hub repository of a model: that of models.json, or the id itself if it is one."""
    entry = known_models().get(model_id)
    if entry is not None:
        repository = entry["repo"]
        return None if repository is None else str(repository)
    return model_id if model_id.count("/") == 1 else None


def _hub_complaint(model: Model, name: str) -> str | None:
    if name != model.id:
        return (
            f"weights of {name} from the hub are asked for by a cell, and a claim pins the "
            f"revision of one model, {model.id}: set model.weights=synthetic, or write one claim "
            "for each model"
        )
    if repository_of(name) is None:
        if name in known_models():
            return f"the hub has no weights of {name}: set model.weights=synthetic"
        return f"{name!r} is no repository of the hub: write owner/name, or model.weights=synthetic"
    if model.revision is None:
        return (
            f"weights of {repository_of(name)} from the hub are asked for without a revision, and "
            "names can move: set model.revision to the commit (40 hexadecimal digits) that was "
            "meant, or model.weights=synthetic"
        )
    return None


def _about_bytes(model: Model) -> int | None:
    entry = known_models().get(model.id)
    if entry is None or "quantized" in entry:
        return None
    return int(entry["parameters"]) * _BYTES_OF_A_WEIGHT
