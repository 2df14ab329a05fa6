"""What must fit together in a claim beyond the shape of single values (`reprokit.claim.model`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from pydantic import JsonValue

from reprokit.adapter import Adapter, ChecksModel, Model, OptionError, installed_adapters
from reprokit.claim.draft import Draft, Surroundings
from reprokit.claim.expectation import expectation_problems
from reprokit.claim.model import BuiltinSource, GitSource, Provenance, Regime, StackSpec
from reprokit.claim.paths import file_complaint, relative_path_complaint
from reprokit.claim.problems import Complaint, Problem, nearest, suggestion
from reprokit.claim.repository import repository_complaint
from reprokit.claim.requirement import (
    exclude_newer_complaint,
    is_distribution_name,
    python_complaint,
    requirement_problems,
    torch_backend_complaint,
)
from reprokit.claim.sha import is_full_sha, sha_complaint
from reprokit.claim.sweeping import sweeping_problems
from reprokit.errors import UsageError

Adapters = Callable[[str], Adapter]

WEIGHTS = ("hub", "synthetic")
DTYPES = ("float32", "float16", "bfloat16")
_SHORT_DTYPES = {
    "fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16",
}  # fmt: skip
_MAKE_LOCK = "Commit the lock beside the claim, or leave `lock` out to resolve anew."

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")


def claim_problems(
    draft: Draft, adapter: Adapter | None, surroundings: Surroundings
) -> Iterator[Problem]:
    """Complain about everything in a claim that does not fit together."""
    if draft.source is not None:
        yield from _source_problems(draft.source, surroundings)
    yield from expectation_problems(draft)
    if draft.regime is not None:
        yield from _regime_problems(draft.regime)
    if draft.model is not None:
        yield from _model_problems(draft.model)
    if draft.stack is not None:
        yield from _stack_problems(draft.stack, surroundings)
    if adapter is not None:
        yield from _adapter_problems(draft, adapter)
        yield from sweeping_problems(draft, adapter)


def find_adapter(draft: Draft, adapters: Adapters) -> tuple[Adapter | None, list[Problem]]:
    """Load the adapter that a claim names, or say why it cannot be."""
    if draft.adapter is None:
        return None, []
    name = draft.adapter.name
    try:
        return adapters(name), []
    except UsageError as error:
        hint = suggestion(name, installed_adapters(), label="Installed") or error.hint
        return None, [Problem(("adapter", "name"), error.what, hint)]
    except (ImportError, AttributeError) as error:
        message = f"the adapter {name!r} is installed but cannot be loaded: {error}"
        return None, [Problem(("adapter", "name"), message, "Reinstall what provides it.")]


def _source_problems(
    source: GitSource | BuiltinSource, surroundings: Surroundings
) -> Iterator[Problem]:
    if isinstance(source, GitSource):
        complaint = repository_complaint(source.repo, allow_local=surroundings.allow_local)
        if complaint:
            yield complaint.at("source", "repo")
        if complaint := sha_complaint(source.commit):
            yield complaint.at("source", "commit")
    yield from _provenance_problems(source)


def _provenance_problems(source: Provenance) -> Iterator[Problem]:
    if source.document is not None:
        if complaint := relative_path_complaint(source.document):
            yield complaint.at("source", "document")
        return
    for key in ("section", "row", "column", "printed"):
        if getattr(source, key) is not None:
            message = f"{key!r} is given, but not the document that it is in"
            yield Problem(("source", key), message, "Add document: README.md.", key=True)


def _regime_problems(regime: Regime) -> Iterator[Problem]:
    if regime.device != "cpu":
        return
    for key in ("gpu", "sm", "vram_gb", "power_limit_w"):
        if getattr(regime, key) is not None:
            message = f"a regime on the CPU has no {key!r}"
            yield Problem(
                ("regime", key), message, f"Remove {key} or write device: cuda.", key=True
            )


def _model_problems(model: Model) -> Iterator[Problem]:
    if not _MODEL_ID.fullmatch(model.id) or ".." in model.id:
        message = f"{model.id!r} is not the name of a model"
        yield Problem(("model", "id"), message, "Write owner/name, or a name.")
    if model.dtype not in DTYPES:
        message = f"{model.dtype!r} is not a data type that can be measured"
        word = model.dtype.lower().removeprefix("torch.")
        yield Problem(
            ("model", "dtype"), message, suggestion(_SHORT_DTYPES.get(word, word), DTYPES)
        )
    if model.weights not in WEIGHTS:
        message = f"there are no weights {model.weights!r}"
        yield Problem(("model", "weights"), message, suggestion(model.weights, WEIGHTS))
    if model.revision is not None and not is_full_sha(model.revision):
        complaint = sha_complaint(model.revision) or Complaint("")
        yield Problem(
            ("model", "revision"),
            complaint.message,
            "Write the commit of the model's repository that was meant; names can move.",
        )


def _stack_problems(stack: StackSpec, surroundings: Surroundings) -> Iterator[Problem]:
    yield from requirement_problems(stack.requirements, "stack", "requirements")
    checks = (
        ("python", stack.python, python_complaint),
        ("exclude_newer", stack.exclude_newer, exclude_newer_complaint),
        ("torch_backend", stack.torch_backend, torch_backend_complaint),
        ("lock", stack.lock, lambda text: file_complaint(text, surroundings.folder, _MAKE_LOCK)),
    )
    for key, text, check in checks:
        if text is not None and (complaint := check(text)):
            yield complaint.at("stack", key)
    for index, name in enumerate(stack.build_from_source):
        if not is_distribution_name(name):
            message = f"{name!r} is not the name of a package"
            yield Problem(("stack", "build_from_source", index), message, "Without a version.")


def _adapter_problems(draft: Draft, adapter: Adapter) -> Iterator[Problem]:
    spec = draft.adapter
    if spec is None:
        return
    for key, arm in (("baseline", spec.baseline), ("subject", spec.subject)):
        if arm not in adapter.arms():
            message = f"the adapter {adapter.name!r} has no arm {arm!r}"
            yield Problem(("adapter", key), message, suggestion(arm, adapter.arms()))
    try:
        options = adapter.check_options(spec.options)
    except OptionError as error:
        yield _option_problem(error, spec.options)
    else:
        yield from _misfit_problems(draft.model, options, adapter)
    yield from _builtin_problems(draft, adapter)


def _misfit_problems(
    model: Model | None, options: Mapping[str, JsonValue], adapter: Adapter
) -> Iterator[Problem]:
    if isinstance(adapter, ChecksModel) and (misfit := adapter.misfit(model, options)):
        yield Problem(misfit.path, misfit.message, misfit.hint)


def _option_problem(error: OptionError, options: Mapping[str, JsonValue]) -> Problem:
    """Place an adapter's complaint; `known` may be the known keys, or the known values of one."""
    name = error.path[-1] if error.path else ""
    words = [word for word in (name, options.get(name)) if isinstance(word, str)]
    near = next((found for word in words if (found := nearest(word, error.known))), None)
    hint = f"Did you mean {near!r}?" if near else suggestion("", error.known)
    unknown_key = bool(error.known) and nearest(name, error.known) == near
    return Problem(("adapter", *error.path), error.message, hint, key=unknown_key)


def _builtin_problems(draft: Draft, adapter: Adapter) -> Iterator[Problem]:
    own = adapter.builtin_source()
    if isinstance(draft.source, BuiltinSource) and own is None:
        message = f"the adapter {adapter.name!r} has no benchmark of its own"
        hint = "Name the repository that it measures: source.repo and source.commit."
        yield Problem(("source", "builtin"), message, hint)
    elif isinstance(draft.source, BuiltinSource) and own is not None:
        yield from _builtin_name_problems(draft.source.builtin, (own.name, adapter.name), adapter)
    if isinstance(draft.source, GitSource) and own is not None:
        message = f"the adapter {adapter.name!r} runs its own benchmark, not a repository"
        yield Problem(("source", "repo"), message, f"Write source: {{builtin: {own.name}}}.")


def _builtin_name_problems(
    name: str, known: tuple[str, ...], adapter: Adapter
) -> Iterator[Problem]:
    """Complain about a benchmark that is not the adapter's: another one would be measured."""
    if name not in known:
        message = f"the adapter {adapter.name!r} has no built-in benchmark {name!r}"
        hint = suggestion(name, dict.fromkeys(known), label="It has")
        yield Problem(("source", "builtin"), message, hint)
