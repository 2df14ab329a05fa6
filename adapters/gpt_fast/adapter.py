"""How gpt-fast's `generate.py` is asked, and how its files become samples."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from adapters.gpt_fast.generate_source import SCRIPT, GenerateSource, read_generate_source
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
from reprokit.records import Scalar

EAGER, COMPILED = "eager", "compiled"
CHECKPOINT_ASSET = "checkpoint"
PROFILE = "profile"
"""The script adds ".json" to it itself."""

_SYNTHETIC_SCRIPT = Path(__file__).with_name("synthetic.py")
_BATCH_AXIS = "batch"
_NO_MODEL = {
    "message": "gpt_fast needs a model",
    "hint": "Give the claim a `model:` with the id of a configuration that model.py knows.",
}
_TWO_WEIGHTS = {
    "message": "gpt_fast: synthetic weights and the option 'checkpoint' exclude each other",
    "hint": "Leave the option out, or set model.weights to hub.",
}


class GptFast:
    """Runs a commit's own `generate.py`, unmodified, in the point's environment.

    In the compiled arm one sample more than asked for is run, under the script's own profiler: it
    proves what executed and is never a row.
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
            return Misfit(path=("adapter", OPTIONS_KEY, "checkpoint"), **_TWO_WEIGHTS)
        return None

    def builtin_source(self) -> Path | None:
        """Return None: the claim's repository is what is run."""
        return None

    def assets(self, setup: Setup, point: PointContext) -> tuple[AssetStep, ...]:
        """Name the synthetic checkpoint, where the weights are synthetic."""
        model, options = _model(setup), Options.model_validate(setup.options)
        if model.weights != "synthetic":
            return ()
        if options.checkpoint is not None:
            raise UsageError(_TWO_WEIGHTS["message"], hint=_TWO_WEIGHTS["hint"])
        _safe_parts(model.id)
        key: dict[str, JsonValue] = {
            "model": model.id,
            "model.py": _digest(Path(point.source) / "model.py"),
            "tokenizer.py": _digest(Path(point.source) / "tokenizer.py"),
            "script": _digest(_SYNTHETIC_SCRIPT),
            "prompt": options.prompt,
            "seed": setup.seed,
        }
        command = Command(
            argv=(
                point.python, "-s", str(_SYNTHETIC_SCRIPT),
                f"--model={model.id}", f"--prompt={options.prompt}", f"--seed={setup.seed}",
            ),
            cwd=point.source,
        )  # fmt: skip
        title = f"random weights and a tokenizer for {model.id}"
        return (AssetStep(name=CHECKPOINT_ASSET, key=key, command=command, title=title),)

    def command(self, setup: Setup, point: PointContext, invocation: Invocation) -> Command:
        """Say how to launch one `generate.py`, with only those options that the commit knows."""
        source = read_generate_source(Path(point.source))
        asked = _asked(setup, invocation)
        wanted = {
            "prompt": asked.options.prompt,
            "num_samples": asked.printed,
            "max_new_tokens": asked.options.max_new_tokens,
            "batch_size": asked.batch_size,
            "top_k": asked.options.top_k,
            "temperature": asked.options.temperature,
            "checkpoint_path": _checkpoint(setup, point),
            "device": setup.device,
        }
        if asked.compiled:
            wanted["profile"] = str(Path(invocation.directory) / PROFILE)
        argv = [point.python, "-s", SCRIPT]
        argv += [f"--{name}={value}" for name, value in wanted.items() if name in source.options]
        argv += [f"--{flag}" for flag in asked.flags() if flag in source.options]
        return Command(
            argv=tuple(argv),
            cwd=point.source,
            unsupported=_unsupported(setup, point, asked, source),
        )

    def read(self, setup: Setup, point: PointContext, invocation: Invocation) -> Reading:
        """Read the log and, in the compiled arm, the trace of the profiled sample."""
        directory = Path(invocation.directory)
        return read_samples(
            _asked(setup, invocation),
            source=read_generate_source(Path(point.source)),
            stdout=directory / "stdout.log",
            trace=directory / f"{PROFILE}.json",
        )


def _model(setup: Setup) -> Model:
    if setup.model is None:
        raise UsageError(_NO_MODEL["message"], hint=_NO_MODEL["hint"])
    return setup.model


def _asked(setup: Setup, invocation: Invocation) -> Asked:
    options = Options.model_validate(setup.options)
    batch = invocation.cell.get(_BATCH_AXIS, options.batch_size)
    if fault := count_complaint(batch, 1):
        raise UsageError(f"gpt_fast: batch {fault}")
    return Asked(
        options=options,
        batch_size=int(batch),
        samples=setup.samples,
        compiled=setup.arms[invocation.arm] == COMPILED,
        device=setup.device,
        synthetic=_model(setup).weights == "synthetic",
    )


def _checkpoint(setup: Setup, point: PointContext) -> str:
    model, options = _model(setup), Options.model_validate(setup.options)
    below = Path(*_safe_parts(model.id)) / "model.pth"
    if model.weights == "synthetic":
        return str(Path(point.assets[CHECKPOINT_ASSET]) / "checkpoints" / below)
    return options.checkpoint or str(Path("checkpoints") / below)


def _safe_parts(model_id: str) -> list[str]:
    parts = model_id.split("/")
    if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
        raise UsageError(f"gpt_fast: {model_id!r} is no model id", hint="Write `owner/name`.")
    return parts


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
    if "num_samples" not in source.options:
        reasons.append(f"{at} has no --num_samples option")
    if source.precision is not None and model.dtype != source.precision:
        reasons.append(f"{at} always runs in {source.precision}, and {model.dtype} is asked for")
    if model.weights == "synthetic":
        reasons += _misread(_checkpoint(setup, point))
    elif asked.options.checkpoint is None:
        reasons.append(
            f"weights {model.weights!r} are not downloaded by this version of reprokit: set "
            "model.weights=synthetic, or the adapter option `checkpoint` to a converted model.pth"
        )
    return "; ".join(reasons) or None


def _misread(checkpoint: str) -> list[str]:
    """Find words in a path that the script takes for the format of the weights inside."""
    return [
        f"the path {checkpoint} holds {word!r}, which {SCRIPT} takes for quantized weights"
        for word in ("int8", "int4")
        if word in checkpoint
    ]


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, None where the commit has no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
