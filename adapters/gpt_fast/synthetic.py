"""Builds a checkpoint with random weights and a tokenizer for gpt-fast, without any download.

Standalone: launched by path with the point's Python, the checkout as working directory and the
folder to fill in REPROKIT_ASSET_DIR. The shapes come from the checkout's own model.py. Where that
knows no such configuration, an empty checkpoint is left with a note, so that the unmodified
generate.py fails in its own code and its own words reach the verdict.

Weights are uniform with standard deviation 0.02 (norms are 1), drawn from torch's Mersenne Twister
as integers: the same bits in every release and on every processor, which `normal_` does not
promise. The tokenizer knows each word of the prompt as one token, like the real ones know common
words, and has a harmless text for every id of the vocabulary.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Python put this file's folder first; its neighbours must not shadow anyone's modules.
    del sys.path[0]

import argparse
import base64
import importlib
import json
import os
import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STD = 0.02
DEFAULT_VOCABULARY = 32_000
_STEPS = 1 << 24
_AT_ONCE = 1 << 22
_TIKTOKEN_SPECIAL = 256
"""Tokens that gpt-fast's tiktoken wrapper adds above those of the file."""

_WORD = re.compile(r"\s?[^\W_]+|\s?[^\w\s]+|\s|_+")
_REFUSALS = (ImportError, AttributeError, AssertionError, LookupError, TypeError, ValueError)
"""What model.py raises for a configuration that it does not know, or a torch that it cannot use."""


def words_of(prompt: str) -> list[str]:
    """Split a prompt as tokenizers do: words with the space before them, and punctuation."""
    return list(dict.fromkeys(_WORD.findall(prompt)))


def sentencepiece_model(vocabulary: int, prompt: str) -> bytes:
    """Return a SentencePiece ModelProto (unigram, byte fallback) with exactly `vocabulary` ids.

    Laid out like Llama's: unknown, start, end, 256 bytes, then words. Field numbers are those of
    sentencepiece_model.proto.
    """
    pieces = [_piece("<unk>", 0.0, 2), _piece("<s>", 0.0, 3), _piece("</s>", 0.0, 3)]
    pieces += [_piece(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
    # The dummy prefix makes the first word of a text start with a space too.
    words = [" " + word if index == 0 else word for index, word in enumerate(words_of(prompt))]
    pieces += [_piece(word.replace(" ", "\u2581"), -1.0, 1) for word in dict.fromkeys(words)]
    # A space on its own; as three bytes it would come back as the mark that stands for it.
    pieces += [] if " " in words else [_piece("\u2581", -10.0, 1)]
    if len(pieces) > vocabulary:
        raise SystemExit(f"a vocabulary of {vocabulary} ids is too small for the prompt")
    pieces += [_piece(f"\u2581w{at:06d}", -20.0, 1) for at in range(len(pieces), vocabulary)]
    trainer = _number(3, 1) + _number(4, vocabulary) + _number(35, 1)
    normalizer = _field(1, b"identity") + _number(3, 1) + _number(4, 0) + _number(5, 1)
    return b"".join(pieces) + _field(2, trainer) + _field(3, normalizer)


def tiktoken_ranks(vocabulary: int, prompt: str) -> Iterator[bytes]:
    """Yield the lines of a tiktoken BPE file for a vocabulary of `vocabulary` ids.

    A word that is in the table as a whole is one token, so no merges are needed.
    """
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [word.encode() for word in words_of(prompt) if len(word.encode()) > 1]
    base = vocabulary - _TIKTOKEN_SPECIAL
    tokens += [f" w{at:06d}".encode() for at in range(len(tokens), base)]
    for rank, token in enumerate(tokens[:base]):
        yield base64.b64encode(token) + b" " + str(rank).encode() + b"\n"


def _piece(text: str, score: float, kind: int) -> bytes:
    score_field = _varint(2 << 3 | 5) + struct.pack("<f", score)
    return _field(1, _field(1, text.encode()) + score_field + _number(3, kind))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def shapes_of(name: str) -> tuple[dict[str, tuple[int, ...]], int]:
    """Ask the checkout's model.py for the shapes of its parameters and its vocabulary size."""
    import torch  # noqa: PLC0415

    sys.path.insert(0, str(Path.cwd()))
    transformer = importlib.import_module("model").Transformer
    with torch.device("meta"):
        model = transformer.from_name(name)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    return shapes, int(model.config.vocab_size)


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]], seed: int) -> int:
    """Write random bfloat16 weights in torch's own format; return the number of parameters.

    Tensors lie in files until they are saved, so that a model larger than the memory can be made.
    """
    import torch  # noqa: PLC0415

    generator = torch.Generator().manual_seed(seed)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        weights = {}
        for index, (key, shape) in enumerate(sorted(shapes.items())):
            file, size = Path(scratch) / str(index), _product(shape)
            flat = torch.from_file(str(file), shared=True, size=size, dtype=torch.bfloat16)
            _fill(flat, generator, constant=len(shape) < 2)
            weights[key] = flat.view(shape)
        torch.save(weights, path)
    return sum(_product(shape) for shape in shapes.values())


def _fill(flat: torch.Tensor, generator: torch.Generator, *, constant: bool) -> None:
    """Fill a flat tensor with ones, or with uniform numbers of mean 0 and deviation STD."""
    import torch  # noqa: PLC0415

    if constant:
        flat.fill_(1.0)
        return
    scale = STD * 12**0.5 / _STEPS
    for part in flat.split(_AT_ONCE):
        drawn = torch.empty(part.numel(), dtype=torch.int32)
        drawn.random_(0, _STEPS, generator=generator)
        part.copy_((drawn - _STEPS // 2).to(torch.float32) * scale)


def _product(shape: Iterable[int]) -> int:
    result = 1
    for length in shape:
        result *= length
    return result


def build(model: str, prompt: str, seed: int, target: Path) -> dict[str, object]:
    """Fill `target` with checkpoints/<model>/{model.pth, tokenizer.model}; return what was done."""
    folder = target / "checkpoints" / model
    folder.mkdir(parents=True)
    note, parameters = None, 0
    try:
        shapes, vocabulary = shapes_of(folder.name)
    except _REFUSALS as error:
        note = f"model.py gives no shapes for {model}: {type(error).__name__}: {error}"
        vocabulary = DEFAULT_VOCABULARY
        (folder / "model.pth").touch()
    else:
        parameters = write_weights(folder / "model.pth", shapes, seed)
    kind = "sentencepiece"
    # The rule of gpt-fast's tokenizer.py; commits without that file know SentencePiece only.
    if "llama-3" in model.lower() and Path("tokenizer.py").is_file():
        kind = "tiktoken"
        content = b"".join(tiktoken_ranks(vocabulary, prompt))
    else:
        content = sentencepiece_model(vocabulary, prompt)
    (folder / "tokenizer.model").write_bytes(content)
    return {
        "model": model, "seed": seed, "parameters": parameters, "vocabulary": vocabulary,
        "dtype": "bfloat16", "std": STD, "tokenizer": kind, "note": note,
    }  # fmt: skip


def main() -> None:
    """Build what the command line asks for and leave a description beside it."""
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    target = Path(os.environ["REPROKIT_ASSET_DIR"])
    done = build(arguments.model, arguments.prompt, arguments.seed, target)
    text = json.dumps(done, indent=2, sort_keys=True)
    (target / "synthetic.json").write_text(text + "\n", encoding="utf-8")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
