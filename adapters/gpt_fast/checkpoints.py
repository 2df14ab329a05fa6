"""Where the checkpoint of a point comes from: random weights, a hub, or a file of the user's own.

A checkpoint is a folder `checkpoints/<model id>` with model.pth and tokenizer.model, as gpt-fast's
own scripts lay it out.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import JsonValue

from adapters.gpt_fast.generate_source import SCRIPT
from adapters.gpt_fast.options import Options
from adapters.models.hub import ORIGIN, fetch_step
from reprokit.adapter import AssetStep, Command, Model, PointContext, Setup
from reprokit.errors import UsageError

CHECKPOINT = "checkpoint"
"""Step whose folder holds `checkpoints/<model id>`."""

CONVERTER = "scripts/convert_hf_checkpoint.py"
TWO_WEIGHTS = {
    "message": "gpt_fast: synthetic weights and the option 'checkpoint' exclude each other",
    "hint": "Leave the option out, or set model.weights to hub.",
}

_WEIGHTS, _SHAPES, _SHAPES_FILE = "weights", "shapes", "shapes.json"
_SYNTHETIC = Path(__file__).with_name("synthetic.py")
_CONVERT = Path(__file__).with_name("convert.py")
_REVISION = re.compile(r"[0-9a-f]{40}")
_TOKENIZERS = ("tokenizer.model", "original/tokenizer.model")
_SAFETENSORS = ("*.safetensors", "*.safetensors.index.json")
_PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_OTHER_FORMATS = (
    "*/*.safetensors", "*/*.safetensors.index.json", "*/*.bin", "*/*.bin.index.json",
    "consolidated*",
)  # fmt: skip


def asset_steps(setup: Setup, point: PointContext, model: Model) -> tuple[AssetStep, ...]:
    """Name what must be made before the first launch; nothing for a checkpoint of the user's."""
    options = Options.model_validate(setup.options)
    if model.weights == "synthetic":
        if options.checkpoint is not None:
            raise UsageError(TWO_WEIGHTS["message"], hint=TWO_WEIGHTS["hint"])
        return _synthetic_steps(setup, point, model, options.prompt)
    if options.checkpoint is not None or _hub_fault(model) is not None:
        return ()
    return _hub_steps(point, model)


def checkpoint_file(setup: Setup, point: PointContext, model: Model) -> str:
    """Path of the model.pth that is measured."""
    below = Path(*_safe_parts(model.id)) / "model.pth"
    own = Options.model_validate(setup.options).checkpoint
    if own is not None and model.weights != "synthetic":
        return own
    if CHECKPOINT in point.assets:
        return str(Path(point.assets[CHECKPOINT]) / "checkpoints" / below)
    return str(Path("checkpoints") / below)


def checkpoint_faults(setup: Setup, point: PointContext, model: Model) -> tuple[str, ...]:
    """Say why the weights cannot be had, or would be taken for something else."""
    own = Options.model_validate(setup.options).checkpoint
    if model.weights != "synthetic" and own is not None:
        return ()
    fault = _hub_fault(model) if model.weights != "synthetic" else None
    if fault is not None:
        return (fault,)
    path = checkpoint_file(setup, point, model)
    return tuple(
        f"the path {path} holds {word!r}, which {SCRIPT} takes for quantized weights"
        for word in ("int8", "int4")
        if word in path
    )


def _synthetic_steps(
    setup: Setup, point: PointContext, model: Model, prompt: str
) -> tuple[AssetStep, ...]:
    """Name two steps: points whose models have equal shapes share the second one."""
    _safe_parts(model.id)
    tokenizer = _tokenizer_kind(point, model)
    script = _digest(_SYNTHETIC)
    # A torch that model.py cannot use refuses in its place, and must not do so for another one.
    shapes_key: dict[str, JsonValue] = {
        "model": model.id, "model.py": _digest(Path(point.source) / "model.py"), "script": script,
        "environment": point.environment,
    }  # fmt: skip
    key: dict[str, JsonValue] = {
        "model": model.id, "tokenizer": tokenizer, "prompt": prompt, "seed": setup.seed,
        "script": script,
    }  # fmt: skip
    asked = f"--model={model.id}"
    return (
        AssetStep(
            name=_SHAPES,
            key=shapes_key,
            command=_command(point, _SYNTHETIC, _SHAPES, asked),
            title=f"shapes of {model.id} by the commit's own model.py",
        ),
        AssetStep(
            name=CHECKPOINT,
            key=key,
            key_files={_SHAPES: _SHAPES_FILE},
            command=_command(
                point, _SYNTHETIC, CHECKPOINT, asked, f"--tokenizer={tokenizer}",
                f"--prompt={prompt}", f"--seed={setup.seed}",
            ),
            title=f"random weights and a tokenizer for {model.id}",
        ),
    )  # fmt: skip


def _hub_steps(point: PointContext, model: Model) -> tuple[AssetStep, ...]:
    """Name the download, and the conversion by the commit's own script."""
    assert model.revision is not None, "it was checked"
    safe = _reads_safetensors(point)
    wanted = _SAFETENSORS if safe else _PICKLES
    kind = "*.safetensors" if safe else "*.bin"
    download = fetch_step(
        point,
        name=_WEIGHTS,
        repository=model.id,
        revision=model.revision,
        patterns=(*wanted, *_TOKENIZERS, "config.json"),
        ignored=_OTHER_FORMATS,
        needs={
            kind: f"{CONVERTER} of this commit of gpt-fast reads no other format",
            "|".join(_TOKENIZERS): f"{SCRIPT} needs it",
        },
    )
    key: dict[str, JsonValue] = {
        "model": model.id,
        "model.py": _digest(Path(point.source) / "model.py"),
        "converter": _digest(Path(point.source) / CONVERTER),
        "script": _digest(_CONVERT),
    }
    convert = AssetStep(
        name=CHECKPOINT,
        key=key,
        key_files={_WEIGHTS: ORIGIN},
        # What a commit loads without asking for weights only may run code; torch can be told to.
        command=_command(
            point, _CONVERT, f"--model={model.id}", f"--script={CONVERTER}",
            TORCH_FORCE_WEIGHTS_ONLY_LOAD="1",
        ),
        title=f"{model.id} converted by {CONVERTER}",
    )  # fmt: skip
    return download, convert


def _hub_fault(model: Model) -> str | None:
    if model.weights != "hub":
        return f"weights {model.weights!r} are not known: set model.weights to hub or synthetic"
    if model.id.count("/") != 1:
        return (
            f"{model.id!r} is no repository of the hub: write owner/name, set "
            "model.weights=synthetic, or the adapter option `checkpoint` to a converted model.pth"
        )
    if model.revision is None or not _REVISION.fullmatch(model.revision):
        return (
            f"weights of {model.id} are asked for without the commit that is meant, and names can "
            "move: set model.revision to it (40 hexadecimal digits), model.weights=synthetic, or "
            "the adapter option `checkpoint` to a converted model.pth"
        )
    return None


def _reads_safetensors(point: PointContext) -> bool:
    try:
        return b"safetensors" in (Path(point.source) / CONVERTER).read_bytes()
    except OSError:
        return False


def _tokenizer_kind(point: PointContext, model: Model) -> str:
    """Follow the rule of gpt-fast's tokenizer.py; commits without it know SentencePiece only."""
    known = (Path(point.source) / "tokenizer.py").is_file()
    return "tiktoken" if known and "llama-3" in model.id.lower() else "sentencepiece"


def _command(point: PointContext, script: Path, *arguments: str, **variables: str) -> Command:
    return Command(
        argv=(point.python, "-s", str(script), *arguments), cwd=point.source, env=variables
    )


def _safe_parts(model_id: str) -> list[str]:
    parts = model_id.split("/")
    if any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts):
        raise UsageError(f"gpt_fast: {model_id!r} is no model id", hint="Write `owner/name`.")
    return parts


def _digest(path: Path) -> str | None:
    """SHA-256 of a file, None where the commit has no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
