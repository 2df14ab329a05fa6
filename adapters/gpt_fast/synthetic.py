"""Builds a checkpoint with random weights and a tokenizer for gpt-fast, without any download.

Standalone: launched by path with the point's Python, the checkout as working directory and the
folder to fill in REPROKIT_ASSET_DIR; in two steps, so that commits whose models have equal shapes
share one checkpoint.

`shapes` asks the checkout's own model.py for the shapes of its parameters (shapes.json).
`checkpoint` makes the files that generate.py reads. Where model.py knows no such configuration, an
empty checkpoint is left, so that the unmodified generate.py fails in its own code and its own words
reach the verdict.

Weights are uniform with standard deviation 0.02 (norms are 1), drawn from torch's Mersenne Twister
as integers: the same bits in every release and on every processor, which `normal_` does not
promise. They are written one tensor at a time: the largest of them is all that must fit into the
memory. The tokenizer knows each word of the prompt as one token, like the real ones know common
words, and has a harmless text for every id of the vocabulary.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Python put this file's folder first; its neighbours must not shadow anyone's modules.
    del sys.path[0]

import argparse
import base64
import ctypes
import hashlib
import importlib
import io
import json
import os
import pickle
import re
import shutil
import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Shape = tuple[int, ...]

SHAPES, NOTE = "shapes.json", "synthetic.json"
STD = 0.02
DEFAULT_VOCABULARY = 32_000
_STEPS = 1 << 24
_AT_ONCE = 1 << 22
_BYTES = 2
_SPARE, _FULL = 256 << 20, 64 << 20
"""Bytes that stay free on the disk; fewer than the second at the end is a full disk."""
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


def shapes_of(name: str) -> dict[str, Any]:
    """Ask the checkout's model.py for the shapes of its parameters and its vocabulary size.

    `shapes` is None where it does not know the configuration; `note` has its words then.
    """
    import torch  # noqa: PLC0415

    sys.path.insert(0, str(Path.cwd()))
    try:
        transformer = importlib.import_module("model").Transformer
        with torch.device("meta"):
            model = transformer.from_name(name)
        shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
        vocabulary = int(model.config.vocab_size)
    except _REFUSALS as error:
        note = f"model.py gives no shapes for {name}: {type(error).__name__}: {error}"
        return {"shapes": None, "vocabulary": DEFAULT_VOCABULARY, "note": note}
    return {"shapes": shapes, "vocabulary": vocabulary, "note": None}


class _Storage:
    """Stands in the pickle for the bytes of one tensor, which the archive holds beside it."""

    def __init__(self, key: str, size: int) -> None:
        self.key, self.size = key, size


class _Tensor:
    """Unpickles as a tensor over a storage, though none was ever in memory whole."""

    def __init__(self, key: str, shape: Shape) -> None:
        self.storage, self.shape = _Storage(key, product(shape)), shape

    def __reduce__(self) -> tuple[Any, ...]:
        import torch  # noqa: PLC0415

        strides = [product(self.shape[at + 1 :]) for at in range(len(self.shape))]
        facts: tuple[object, ...] = (
            self.storage,
            0,
            self.shape,
            tuple(strides),
            False,
            OrderedDict(),
        )
        return torch._utils._rebuild_tensor_v2, facts  # noqa: SLF001


class _Pickler(pickle.Pickler):
    def persistent_id(self, found: object) -> object:
        """Name a storage as torch does."""
        import torch  # noqa: PLC0415

        if isinstance(found, _Storage):
            return ("storage", torch.BFloat16Storage, found.key, "cpu", found.size)
        return None


def write_weights(path: Path, shapes: dict[str, Shape], seed: int) -> int:
    """Write random bfloat16 weights in torch's own format; return the number of parameters.

    What `torch.save` writes of a dict of these tensors, through the same writer of torch.
    """
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)  # the threads below share the work
    names = sorted(shapes)
    index, tensors = (
        io.BytesIO(),
        {name: _Tensor(str(at), shapes[name]) for at, name in enumerate(names)},
    )
    _Pickler(index, protocol=2).dump(tensors)
    archive = torch._C.PyTorchFileWriter(str(path))  # noqa: SLF001
    try:
        archive.write_record("data.pkl", index.getvalue(), len(index.getvalue()))
        archive.write_record("byteorder", sys.byteorder.encode(), len(sys.byteorder))
        with ThreadPoolExecutor(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        ) as pool:
            for at, name in enumerate(names):
                content = _content(name, shapes[name], seed, pool)
                archive.write_record(f"data/{at}", content, len(content))
    finally:
        archive.write_end_of_file()  # an archive without an end aborts the process (a full disk)
    return sum(map(product, shapes.values()))


def _content(name: str, shape: Shape, seed: int, pool: ThreadPoolExecutor) -> bytes:
    """Return the bytes of a tensor: ones where it has one dimension, else uniform numbers."""
    import torch  # noqa: PLC0415

    flat = torch.empty(product(shape), dtype=torch.bfloat16)
    if len(shape) < 2:
        flat.fill_(1.0)
    else:
        seeds = (_seed(seed, name, part) for part in range(len(flat)))
        list(pool.map(_fill, flat.split(_AT_ONCE), seeds))
    return ctypes.string_at(flat.data_ptr(), len(flat) * _BYTES)


def _seed(seed: int, name: str, part: int) -> int:
    """Give every part of every tensor its own seed, so that threads cannot change the numbers."""
    text = f"{seed} {name} {part}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


def _fill(flat: torch.Tensor, seed: int) -> None:
    """Fill a flat tensor with uniform numbers of mean 0 and deviation STD."""
    import torch  # noqa: PLC0415

    drawn = torch.empty(flat.numel(), dtype=torch.int32)
    drawn.random_(0, _STEPS, generator=torch.Generator().manual_seed(seed))
    flat.copy_((drawn - _STEPS // 2).to(torch.float32) * (STD * 12**0.5 / _STEPS))


def product(shape: Iterable[int]) -> int:
    """Number of elements of a shape."""
    result = 1
    for length in shape:
        result *= length
    return result


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise SystemExit(
            f"{_too_full(folder)}: {(needed + _SPARE) / 1e9:.1f} GB are needed and "
            f"{free / 1e9:.1f} GB are free"
        )


def _too_full(folder: Path) -> str:
    return (
        f"the disk of {folder} is too full (free some space, or set REPROKIT_CACHE to a folder on "
        "another one)"
    )


def build(model: str, tokenizer: str, prompt: str, seed: int, target: Path) -> dict[str, object]:
    """Fill `target` with checkpoints/<model>/{model.pth, tokenizer.model}; return what was done."""
    found = json.loads((_asset("shapes") / SHAPES).read_text(encoding="utf-8"))
    folder = target / "checkpoints" / model
    folder.mkdir(parents=True)
    try:
        parameters = fill(folder, found, tokenizer, prompt, seed)
    except (RuntimeError, OSError) as error:
        if shutil.disk_usage(target).free < _FULL:
            raise SystemExit(_too_full(target)) from error
        raise
    return {
        "model": model, "seed": seed, "parameters": parameters, "vocabulary": found["vocabulary"],
        "dtype": "bfloat16", "std": STD, "tokenizer": tokenizer, "note": found["note"],
    }  # fmt: skip


def fill(folder: Path, found: dict[str, Any], tokenizer: str, prompt: str, seed: int) -> int:
    """Write model.pth and tokenizer.model; return the number of parameters."""
    shapes = {name: tuple(shape) for name, shape in (found["shapes"] or {}).items()}
    parameters = 0
    if found["shapes"] is None:
        (folder / "model.pth").touch()
    else:
        check_space(folder, _BYTES * sum(map(product, shapes.values())))
        parameters = write_weights(folder / "model.pth", shapes, seed)
    made = tiktoken_ranks if tokenizer == "tiktoken" else sentencepiece_model
    content = made(found["vocabulary"], prompt)
    (folder / "tokenizer.model").write_bytes(
        content if isinstance(content, bytes) else b"".join(content)
    )
    return parameters


def _asset(step: str) -> Path:
    return Path(json.loads(os.environ["REPROKIT_ASSETS"])[step])


def main() -> None:
    """Do the step that the command line names."""
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("step", choices=["shapes", "checkpoint"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", choices=["sentencepiece", "tiktoken"])
    parser.add_argument("--prompt")
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    target = Path(os.environ["REPROKIT_ASSET_DIR"])
    if asked.step == "shapes":
        name, done = SHAPES, shapes_of(asked.model.rpartition("/")[2])
    else:
        name = NOTE
        done = build(asked.model, asked.tokenizer, asked.prompt, asked.seed, target)
    text = json.dumps(done, indent=2, sort_keys=True)
    (target / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
