"""How the internal harness is asked: by specs, as JSON on its command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from adapters.hf_harness.batch import batch_arguments
from adapters.hf_harness.options import (
    AXES,
    DTYPES,
    MODES,
    Options,
    check_options,
    complaint_about,
)
from adapters.hf_harness.result import read_result
from adapters.hf_harness.slices import make_slice, slice_names
from adapters.hf_harness.weights import (
    WEIGHTS_ASSET,
    asset_steps,
    model_complaint,
    never_measurable,
)
from reprokit.adapter import (
    AssetStep,
    Command,
    Invocation,
    Launch,
    Misfit,
    Model,
    PointContext,
    Reading,
    Setup,
    Slice,
)
from reprokit.errors import UsageError
from reprokit.records import Arm, Scalar

RESULT = "result.jsonl"
REFUSAL = "spec.SpecError"
"""Class of the exception by which the harness says that it cannot measure what is asked."""
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

    def never_measurable(self, setup: Setup, cell: Mapping[str, Scalar]) -> str | None:
        """Say that there is no such model, or that it has too few positions."""
        return never_measurable(setup, make_spec(setup, None, Arm.SUBJECT, cell))

    def slices(self) -> tuple[str, ...]:
        """Name the models of `--set model=NAME`."""
        return slice_names()

    def slice(self, name: str, claim: Mapping[str, JsonValue]) -> Slice:
        """Say what a name means in a claim."""
        return make_slice(name, claim)

    def builtin_source(self) -> Path | None:
        """Return the harness's directory, which lies beside the adapters when installed too."""
        return _HARNESS

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        """Name the hub's weights, where they are asked for; random ones are made by the harness."""
        return asset_steps(setup, point)

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch the harness."""
        spec = make_spec(setup, point, invocation.arm, invocation.cell)
        return Command(
            argv=(
                point.python, "-s", point.source,
                f"--spec={json.dumps(spec, sort_keys=True)}",
                f"--out={Path(invocation.directory) / RESULT}",
            ),
            cwd=invocation.directory,
            unsupported=_unsupported(setup, spec),
        )  # fmt: skip

    def subject_axes(self) -> frozenset[str]:
        """Name the compile mode: eager is eager whatever the subject's is."""
        return frozenset({"compile_mode"})

    def process_key(self, setup: Setup, arm: Arm, cell: Mapping[str, Scalar]) -> str:
        """Let cells of one model, dtype and mode share a process.

        One that cannot be measured is never in a process with one that can: it would end it.
        """
        spec = make_spec(setup, None, arm, cell)
        key = " ".join(str(spec[name]) for name in ("model", "dtype", "mode"))
        return key if _unsupported(setup, spec) is None else f"{key} unsupported"

    def shared_command(self, setup: Setup, point: PointContext, launch: Launch) -> Command:
        """Say how to launch a process that measures several cells one after the other."""
        asked = [make_spec(setup, point, each.arm, each.cell) for each in launch.invocations]
        places = [each.directory for each in launch.invocations]
        complaints = (_unsupported(setup, spec) for spec in asked)
        return Command(
            argv=(point.python, "-s", point.source, *batch_arguments(asked, places)),
            cwd=launch.directory,
            unsupported=next((each for each in complaints if each is not None), None),
        )

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        """Read the result file; what the harness refused is no crash of what it measures."""
        spec = make_spec(setup, point, invocation.arm, invocation.cell)
        reading = read_result(Path(invocation.directory) / RESULT, spec=spec)
        if reading.failure is None or reading.failure.exception != REFUSAL:
            return reading
        refused = f"the harness refused it: {reading.failure.message}"
        return reading.model_copy(update={"unsupported": refused})


def make_spec(
    setup: Setup, point: PointContext | None, arm: Arm, cell: Mapping[str, Scalar]
) -> dict[str, JsonValue]:
    """Put options, model, cell and arm together into the harness's spec.

    Without a point nothing is known of where weights lie.

    Raises:
        UsageError: the claim has no model, or a cell axis has a value that cannot be measured.
    """
    if setup.model is None:
        raise UsageError(_NO_MODEL["message"], hint=_NO_MODEL["hint"])
    axes = dict(cell)
    for name, value in axes.items():
        complaint = complaint_about(name, value)
        if complaint is not None:
            raise UsageError(f"hf_harness: the cell axis {complaint}")
    mode = setup.arms[arm]
    subject_mode = axes.pop("compile_mode", None)
    if subject_mode is not None and arm is Arm.SUBJECT:
        mode = str(subject_mode)
    return {
        **Options.model_validate(setup.options).model_dump(mode="json"),
        "model": setup.model.id,
        "dtype": setup.model.dtype,
        **axes,
        "mode": mode,
        "device": setup.device,
        "warmup": setup.warmup,
        "samples": setup.samples,
        "seed": setup.seed,
        "weights": setup.model.weights,
        "weights_dir": None if point is None else point.assets.get(WEIGHTS_ASSET),
    }


def _unsupported(setup: Setup, spec: Mapping[str, JsonValue]) -> str | None:
    """Say why the harness cannot measure this; None where nothing is known against it."""
    complaint = model_complaint(setup, spec)
    if complaint is not None:
        return complaint
    if spec["dtype"] not in DTYPES:
        return f"the harness has no dtype {spec['dtype']!r}; it has {', '.join(DTYPES)}"
    return None
