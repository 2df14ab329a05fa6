"""What a commit's own `generate.py` can do, read from its source; no list of commits is kept.

The file is parsed, never imported or run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SCRIPT = "generate.py"


@dataclass(frozen=True)
class GenerateSource:
    """Facts of one version of `generate.py`.

    Attributes:
        options: names on its command line, without dashes.
        token_rule: the expression that it counts a sample's tokens by.
        size_rule: the expression for the bytes that its bandwidth is computed from; some versions
            count the embedding and some do not.
        precision: the dtype that it always runs in.
        always_compiled: functions that it compiles at import, so in the eager arm too.
        problem: why nothing could be read; the other fields are then empty.
    """

    options: frozenset[str] = frozenset()
    token_rule: str | None = None
    size_rule: str | None = None
    precision: str | None = None
    always_compiled: tuple[str, ...] = ()
    problem: str | None = None


def read_generate_source(checkout: Path) -> GenerateSource:
    """Read what the `generate.py` of a checkout can do."""
    path = checkout / SCRIPT
    try:
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        return GenerateSource(problem=f"{SCRIPT} cannot be read: {error.strerror}")
    except (SyntaxError, ValueError) as error:
        return GenerateSource(problem=f"{SCRIPT} is not Python: {error}")
    return GenerateSource(
        options=frozenset(_option_names(tree)),
        token_rule=_assigned(tree, "tokens_generated"),
        size_rule=_size_rule(tree),
        precision=_precision(tree),
        always_compiled=tuple(_compiled_at_import(tree)),
    )


def _option_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "add_argument":
            continue
        for argument in node.args:
            if isinstance(argument, ast.Constant) and str(argument.value).startswith("--"):
                yield str(argument.value).removeprefix("--")


def _assigned(tree: ast.Module, name: str) -> str | None:
    """Return the only expression that is assigned to a name; None for none or for several."""
    found = {
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    }
    return found.pop() if len(found) == 1 else None


def _size_rule(tree: ast.Module) -> str | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "_get_model_size":
            skips = "Embedding" in ast.unparse(node)
            return "_get_model_size, " + ("embeddings left out" if skips else "all parts")
    return _assigned(tree, "model_size")


def _precision(tree: ast.Module) -> str | None:
    value = _assigned(tree, "precision")
    return value.removeprefix("torch.") if value and value.startswith("torch.") else None


def _compiled_at_import(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        if ast.unparse(node.value.func) == "torch.compile":
            yield from (ast.unparse(target) for target in node.targets)
