"""How the internal harness is asked: one spec per invocation, as JSON on its command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from adapters.hf_harness.options import (
    AXES,
    DTYPES,
    HARNESS_MODES,
    HARNESS_PHASES,
    MODES,
    Options,
    check_options,
    complaint_about,
)
from adapters.hf_harness.result import read_result
from reprokit.adapter import (
    AssetStep,
    Command,
    Invocation,
    Misfit,
    Model,
    PointContext,
    Reading,
    Setup,
)
from reprokit.errors import UsageError
from reprokit.records import Arm, Scalar

RESULT = "result.jsonl"
_HARNESS = Path(__file__).resolve().parents[2] / "internal_harness"
_NO_MODEL = {
    "message": "hf_harness needs a model",
    "hint": "Name one that it can build: model: {id: tiny-llama, weights: synthetic}.",
}


class HfHarness:
    """Runs the harness by path in the point's environment; the spec has everything it needs."""

    name = "hf_harness"
    title = "internal harness: prefill and decode of a transformers model"

    def arms(self) -> tuple[str, ...]:
        """Name the compile modes; eager is the one that does not compile."""
        return MODES

    def cell_axes(self) -> Mapping[str, tuple[Scalar, ...] | None]:
        """Name what may vary inside an environment."""
        return AXES

    def check_options(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Fill in the defaults; `OptionError` for a wrong option."""
        return check_options(options)

    def cell_fault(self, axis: str, value: Scalar) -> str | None:
        """Say what is wrong with a value of a cell axis."""
        return complaint_about(axis, value)

    def misfit(self, model: Model | None, options: Mapping[str, JsonValue]) -> Misfit | None:  # noqa: ARG002
        """Ask for a model; whether the harness can build it, `command` says."""
        return None if model is not None else Misfit(path=("model",), **_NO_MODEL)

    def builtin_source(self) -> Path | None:
        """Return the harness's directory, which lies beside the adapters when installed too."""
        return _HARNESS

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:  # noqa: ARG002
        """Return nothing: models are built in the process that measures them."""
        return ()

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch the harness."""
        spec = make_spec(setup, invocation)
        return Command(
            argv=(
                point.python, "-s", point.source,
                f"--spec={json.dumps(spec, sort_keys=True)}",
                f"--out={Path(invocation.directory) / RESULT}",
            ),
            cwd=invocation.directory,
            unsupported=_unsupported(setup, spec),
        )  # fmt: skip

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:  # noqa: ARG002
        """Read the result file."""
        return read_result(Path(invocation.directory) / RESULT, spec=make_spec(setup, invocation))


def make_spec(setup: Setup, invocation: Invocation) -> dict[str, JsonValue]:
    """Put options, model, cell and arm together into the harness's spec.

    Raises:
        UsageError: the claim has no model, or a cell axis has a value that cannot be measured.
    """
    if setup.model is None:
        raise UsageError(_NO_MODEL["message"], hint=_NO_MODEL["hint"])
    cell = dict(invocation.cell)
    for name, value in cell.items():
        complaint = complaint_about(name, value)
        if complaint is not None:
            raise UsageError(f"hf_harness: the cell axis {complaint}")
    mode = setup.arms[invocation.arm]
    subject_mode = cell.pop("compile_mode", None)
    if subject_mode is not None and invocation.arm is Arm.SUBJECT:
        mode = str(subject_mode)
    return {
        **Options.model_validate(setup.options).model_dump(mode="json"),
        "model": setup.model.id,
        "dtype": setup.model.dtype,
        **cell,
        "mode": mode,
        "device": setup.device,
        "warmup": setup.warmup,
        "samples": setup.samples,
        "seed": setup.seed,
    }


def _unsupported(setup: Setup, spec: Mapping[str, JsonValue]) -> str | None:
    """Say why the harness cannot measure this; None where nothing is known against it."""
    assert setup.model is not None
    if setup.model.weights != "synthetic":
        return (
            f"the harness builds models with random weights only, and {setup.model.weights!r} are "
            "asked for: set model.weights=synthetic"
        )
    known = json.loads((_HARNESS / "models.json").read_text(encoding="utf-8"))
    if spec["model"] not in known:
        return f"the harness has no model {spec['model']!r}; it has {', '.join(sorted(known))}"
    for name, can in (("phase", HARNESS_PHASES), ("mode", HARNESS_MODES), ("dtype", DTYPES)):
        if spec[name] not in can:
            return f"the harness has no {name} {spec[name]!r}; it has {', '.join(can)}"
    return None
