"""Converts downloaded weights with the checkout's own script, unmodified.

Standalone: launched by path with the point's Python, the checkout as working directory, the folder
to fill in REPROKIT_ASSET_DIR, and the download in REPROKIT_ASSETS under "weights". It gets no
token and needs no network. The script runs in this process as if it had been launched itself; it
finds the download as links in the folder that it fills.
"""

from __future__ import annotations

import argparse
import builtins
import hashlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from types import ModuleType

ORIGIN, NOTE = "reprokit-weights.json", "converted.json"
OUTPUT, TOKENIZER = "model.pth", "tokenizer.model"
_INDEXES = {
    "model.safetensors": "model.safetensors.index.json",
    "pytorch_model.bin": "pytorch_model.bin.index.json",
}
_SPARE, _FULL = 256 << 20, 64 << 20
"""Bytes that must be free beside the result; fewer than the second at the end is a full disk."""


def main() -> None:
    """Convert what the command line names."""
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser(prog="convert")
    parser.add_argument("--model", required=True)
    parser.add_argument("--script", required=True)
    asked = parser.parse_args()
    download = Path(json.loads(os.environ["REPROKIT_ASSETS"])["weights"])
    target = Path(os.environ["REPROKIT_ASSET_DIR"])
    convert(asked.model, Path(asked.script).resolve(), download, target)


def convert(model: str, script: Path, download: Path, target: Path) -> None:
    """Fill `target` with checkpoints/<model>/{model.pth, tokenizer.model} and a note on both."""
    origin = json.loads((download / ORIGIN).read_text(encoding="utf-8"))
    size = sum(each["size"] for each in origin["files"].values())
    check_space(target, size)
    folder = target / "checkpoints" / model
    links = _linked(download, origin["files"], folder)
    made = _index(folder)
    try:
        run_script(script, [f"--checkpoint_dir={folder}"])
    except Exception:
        if shutil.disk_usage(target).free < _FULL:
            traceback.print_exc()
            sys.exit(f"the disk of {target} is full: about {size / 1e9:.1f} GB are needed")
        raise
    for link in [*links, *made]:
        if link.is_symlink() or link.name.endswith(".index.json"):
            link.unlink()
    _bring_tokenizer(download, folder)
    _note(target, folder, model, script, origin)


def check_space(folder: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold; a conversion is about as large as its input."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        sys.exit(
            f"the disk of {folder} is too full for the conversion: {(needed + _SPARE) / 1e9:.1f} "
            f"GB are needed and {free / 1e9:.1f} GB are free; free some, or put the cache "
            "elsewhere with REPROKIT_CACHE"
        )


def run_script(script: Path, arguments: list[str]) -> None:
    """Run a script in this process as Python runs the one that it is given."""
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=builtins)
    sys.modules["__main__"] = main
    sys.argv = [str(script), *arguments]
    sys.path[0] = str(script.parent)
    exec(compile(script.read_bytes(), str(script), "exec"), main.__dict__)  # noqa: S102


def _linked(download: Path, names: list[str], folder: Path) -> list[Path]:
    """Link the files into the folder, but the tokenizer: some scripts write over it."""
    links = {folder / name: download / name for name in names if name != TOKENIZER}
    for link, file in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return list(links)


def _index(folder: Path) -> list[Path]:
    """Write the index that the script asks for where a model is small enough to have none."""
    made = []
    for weights, index in _INDEXES.items():
        path = folder / index
        if (folder / weights).exists() and not path.exists():
            path.write_text(json.dumps({"weight_map": {"all": weights}}), encoding="utf-8")
            made.append(path)
    return made


def _bring_tokenizer(download: Path, folder: Path) -> None:
    """Put the tokenizer beside the weights, where no script has done it."""
    if not (folder / OUTPUT).is_file():
        sys.exit(f"the script left no {OUTPUT}")
    for name in (TOKENIZER, f"original/{TOKENIZER}"):
        if not (folder / TOKENIZER).exists() and (download / name).is_file():
            shutil.copyfile(download / name, folder / TOKENIZER)
    if not (folder / TOKENIZER).is_file():
        sys.exit(f"the repository has no {TOKENIZER}")


def _note(target: Path, folder: Path, model: str, script: Path, origin: dict[str, object]) -> None:
    names = (OUTPUT, TOKENIZER)
    facts = {
        "model": model,
        "repo": origin["repo"],
        "revision": origin["revision"],
        "converter_sha256": _sha256(script),
        "files": {name: _sha256(folder / name) for name in names},
    }
    text = json.dumps(facts, indent=1, sort_keys=True)
    (target / NOTE).write_text(text + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


if __name__ == "__main__":
    main()
