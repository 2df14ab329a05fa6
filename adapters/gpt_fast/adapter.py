"""How gpt-fast's `generate.py` is asked, and how its files become samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from adapters.gpt_fast.checkpoints import (
    TWO_WEIGHTS,
    asset_steps,
    checkpoint_faults,
    checkpoint_file,
)
from adapters.gpt_fast.generate_source import SCRIPT, GenerateSource, read_generate_source
from adapters.gpt_fast.launched import LAUNCHED, read_launched
from adapters.gpt_fast.options import OPTIONS_KEY, Options, check_options, count_complaint
from adapters.gpt_fast.samples import Asked, read_samples
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
from reprokit.records import Phases, Scalar

EAGER, COMPILED = "eager", "compiled"
PROFILE = "profile"
"""The script adds ".json" to it itself."""

_LAUNCH = Path(__file__).with_name("launch.py")
_STAND_INS = Path(__file__).with_name("stand_ins")
_HARNESS = Path(__file__).resolve().parents[2] / "internal_harness"
_BATCH_AXIS = "batch"
_NO_MODEL = {
    "message": "gpt_fast needs a model",
    "hint": "Give the claim a `model:` with the id of a configuration that model.py knows.",
}


class GptFast:
    """Runs a commit's own `generate.py`, unmodified, in the point's environment.

    In the compiled arm one sample more than asked for is run, under the script's own profiler: it
    proves what executed and is never a row. The script runs inside of `launch.py`, which looks at
    the machine only when it has ended.
    """

    name = "gpt_fast"
    title = "gpt-fast: generate.py, unmodified"

    def arms(self) -> tuple[str, ...]:
        """Name the arms: as it is, and with --compile."""
        return (EAGER, COMPILED)

    def cell_axes(self) -> Mapping[str, tuple[Scalar, ...] | None]:
        """Only the batch size varies inside an environment."""
        return {_BATCH_AXIS: None}

    def check_options(self, options: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Fill in the defaults of the script's own command line; `OptionError` for a wrong one."""
        return check_options(options)

    def cell_fault(self, axis: str, value: Scalar) -> str | None:
        """Say what is wrong with a batch size."""
        fault = count_complaint(value, 1)
        return None if fault is None else f"gpt_fast: {axis} {fault}"

    def misfit(self, model: Model | None, options: Mapping[str, JsonValue]) -> Misfit | None:
        """Ask for a model, and for one source of its weights."""
        if model is None:
            return Misfit(path=("model",), **_NO_MODEL)
        if model.weights == "synthetic" and options["checkpoint"] is not None:
            return Misfit(path=("adapter", OPTIONS_KEY, "checkpoint"), **TWO_WEIGHTS)
        return None

    def builtin_source(self) -> Path | None:
        """Return None: the claim's repository is what is run."""
        return None

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        """Name what makes the checkpoint: random weights, or a download and its conversion."""
        return asset_steps(setup, point, _model(setup))

    def dispensable(self, setup: Setup) -> Mapping[str, str]:
        """Name what only real weights need, and what synthetic ones have a stand-in for."""
        if _model(setup).weights != "synthetic":
            return {}
        read = "the synthetic tokenizer is read by a stand-in"
        unused = "only the conversion of real weights needs it"
        return {
            "sentencepiece": read, "tiktoken": read, "safetensors": unused, "blobfile": unused,
            "huggingface-hub": unused,
        }  # fmt: skip

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch one `generate.py`, with only those options that the commit knows."""
        return _launch(setup, point, invocation, phases=False)

    def phase_command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch one `generate.py` whose prefill and decode are timed apart."""
        return _launch(setup, point, invocation, phases=True)

    def read_phases(self, setup: Setup, point: PointContext, invocation: Invocation) -> Phases:
        """Read the timed phases."""
        del setup, point
        return read_launched(Path(invocation.directory) / LAUNCHED).phases

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        """Read the log and, in the compiled arm, the trace of the profiled sample."""
        directory = Path(invocation.directory)
        return read_samples(
            _asked(setup, invocation),
            source=read_generate_source(Path(point.source)),
            stdout=directory / "stdout.log",
            trace=directory / f"{PROFILE}.json",
            launched=read_launched(directory / LAUNCHED),
        )


def _launch(setup: Setup, point: PointContext, invocation: Invocation, *, phases: bool) -> Command:
    source = read_generate_source(Path(point.source))
    asked = _asked(setup, invocation)
    directory = Path(invocation.directory)
    checkpoint = checkpoint_file(setup, point, _model(setup))
    wanted = {
        "prompt": asked.options.prompt,
        "num_samples": asked.samples if phases else asked.printed,
        "max_new_tokens": asked.options.max_new_tokens,
        "batch_size": asked.batch_size,
        "top_k": asked.options.top_k,
        "temperature": asked.options.temperature,
        "checkpoint_path": checkpoint,
        "device": setup.device,
    }
    if asked.compiled and not phases:
        wanted["profile"] = str(directory / PROFILE)
    argv = [
        point.python, "-s", str(_LAUNCH), f"--report={directory / LAUNCHED}",
        f"--harness={_HARNESS}", f"--weights={checkpoint}", f"--device={setup.device}",
        f"--steps={asked.options.max_new_tokens}",
    ]  # fmt: skip
    argv += [f"--stand-ins={_STAND_INS}"] if asked.synthetic else []
    argv += ["--phases"] if phases else []
    argv.append(SCRIPT)
    argv += [f"--{name}={value}" for name, value in wanted.items() if name in source.options]
    argv += [f"--{flag}" for flag in asked.flags() if flag in source.options]
    return Command(
        argv=tuple(argv),
        cwd=point.source,
        unsupported=_unsupported(setup, point, asked, source),
    )


def _model(setup: Setup) -> Model:
    if setup.model is None:
        raise UsageError(_NO_MODEL["message"], hint=_NO_MODEL["hint"])
    return setup.model


def _asked(setup: Setup, invocation: Invocation) -> Asked:
    model, options = _model(setup), Options.model_validate(setup.options)
    batch = invocation.cell.get(_BATCH_AXIS, options.batch_size)
    if fault := count_complaint(batch, 1):
        raise UsageError(f"gpt_fast: batch {fault}")
    return Asked(
        options=options,
        batch_size=int(batch),
        samples=setup.samples,
        compiled=setup.arms[invocation.arm] == COMPILED,
        device=setup.device,
        weights=model.weights,
        origin=_origin(model, options),
    )


def _origin(model: Model, options: Options) -> dict[str, JsonValue]:
    """Name the commit that weights from a hub were converted from; nothing of a user's own file."""
    if model.weights != "hub" or options.checkpoint is not None:
        return {}
    return {"weights": {"repo": model.id, "revision": model.revision}}


def _needed(options: Options) -> Iterator[str]:
    """Name what a commit must be able to be told; its own defaults need not be."""
    yield from ("num_samples", "max_new_tokens", "prompt", "checkpoint_path")
    own = Options()
    yield from (
        name for name in ("top_k", "temperature") if getattr(options, name) != getattr(own, name)
    )


def _unsupported(
    setup: Setup, point: PointContext, asked: Asked, source: GenerateSource
) -> str | None:
    """Say why this commit cannot do what is asked; None when nothing in its source shows that."""
    at = f"{SCRIPT} at {(point.commit or 'this checkout')[:7]}"
    if source.problem is not None:
        return f"{at}: {source.problem}"
    model = _model(setup)
    reasons = []
    if setup.device != "cuda" and "device" not in source.options:
        reasons.append(f"{at} has no --device option and always uses cuda")
    if asked.batch_size != 1 and "batch_size" not in source.options:
        reasons.append(f"{at} has no --batch_size option")
    reasons += [
        f"{at} has no --{flag} option" for flag in asked.flags() if flag not in source.options
    ]
    reasons += [
        f"{at} has no --{name} option"
        for name in _needed(asked.options)
        if name not in source.options
    ]
    if source.precision is not None and model.dtype != source.precision:
        reasons.append(f"{at} always runs in {source.precision}, and {model.dtype} is asked for")
    reasons += checkpoint_faults(setup, point, model)
    return "; ".join(reasons) or None
