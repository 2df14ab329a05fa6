"""What must fit together in a claim. Each mistake is the only one in an otherwise valid claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_fakes import BUILTIN_SOURCE, CLAIM, COMMIT, GIT_SOURCE, OTHER, changed, load_text

from reprokit.claim.problems import InvalidClaimError

GAIN = "{kind: gain, metric: tokps, at_least: 0}"
STACK = '  python: "3.11"\n'
TRITON = '["3.3.1", "3.6.0"]'
BUILTIN = changed(GIT_SOURCE, BUILTIN_SOURCE).replace("name: fake", "name: builtin")
BUILTIN = BUILTIN.replace(f"  sha: {{here: {COMMIT}, there: {OTHER}}}\n", "")


def value_claim(rest: str, printed: str | None = None) -> str:
    text = changed(GAIN, f"{{kind: value, metric: tokps, unit: tok/s, {rest}}}")
    if printed is not None:
        with_figure = f'commit: {COMMIT}, document: README.md, printed: "{printed}"}}'
        text = text.replace(f"commit: {COMMIT}}}", with_figure)
    return text


def source_with(rest: str) -> str:
    return changed(f"commit: {COMMIT}}}", f"commit: {COMMIT}, {rest}}}")


VALID = {
    "cells": CLAIM + "cells: {phase: [prefill], token_len: [1, 8, any], batch: [1]}\n",
    "value": value_claim("value: 104.9", "104.9"),
    "value in another unit": value_claim("value: 1400, margin: 1.1", "1.4k"),
    "value with bands": value_claim('value: 5, bands: {a: ">= 5", b: "3..5", c: "< 3"}'),
    "gain between": changed("at_least: 0", "at_least: -2, at_most: -2"),
    "equivalence": changed(GAIN, "{kind: equivalence, metric: wall_ms, margin: 1.1}"),
    "stability": changed(GAIN, "{kind: stability, equals: 0}"),
    "invariance": changed(GAIN, f"{{kind: invariance, axis: sha, of: {GAIN}}}"),
    "flip": changed(GAIN, f"{{kind: flip, axis: triton, of: {GAIN}}}"),
    "flip over cells": changed(GAIN, f"{{kind: flip, axis: batch, of: {GAIN}}}")
    + "cells: {batch: [1, 8]}\n",
    "builtin": BUILTIN,
    "subject as baseline": changed("subject: compiled", "subject: eager"),
    "exclusion by label": CLAIM + "exclude: [{when: {sha: there, triton: 3.6.0}, reason: x}]\n",
    "exclusion by value": CLAIM + f"exclude: [{{when: {{sha: {OTHER}}}, reason: x}}]\n",
    "exclusion of a cell": CLAIM
    + "cells: {batch: [1, 8]}\nexclude: [{when: {batch: 8}, reason: x}]\n",
    "lock": changed(STACK, "  lock: locks/small.txt\n"),
    "markers": changed(
        "numpy]", "\"numpy<2; python_version<'3.12'\", \"numpy>=2; python_version>='3.12'\"]"
    ),
    "swept cells": changed(f"triton: {TRITON}", "token_len: [1, 8]"),
    "labelled versions": changed(TRITON, '{old: "3.3.1", new: "3.6.0"}'),
    "builtin by the adapter's name": BUILTIN.replace("{builtin: harness}", "{builtin: builtin}"),
    "package with a dot": changed("triton:", "zope.interface:"),
    "package like another one": changed("numpy]", "flash-attn, cublas-cu11]").replace(
        f"triton: {TRITON}", f"flash-attn-3: {TRITON}\n  cublas-cu12: {TRITON}"
    ),
    "package named as a field": changed("numpy]", "schema]").replace("triton:", "schema:"),
    "synthetic model": CLAIM + "model: {id: stories15M, weights: synthetic}\n",
    "hub model": CLAIM + f"model: {{id: a/b, revision: {COMMIT}, dtype: bfloat16}}\n",
    "cpu": CLAIM + "regime: {device: cpu, batch: 1}\n",
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_valid_claims_are_accepted(tmp_path: Path, text: str) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "small.txt").touch()
    assert load_text(tmp_path, text).claim.id == "small"


WRONG = {
    "http": (changed("https:", "http:"), "source.repo", "not authenticated"),
    "short sha": (changed(f"commit: {COMMIT}", "commit: 01234ab"), "source.commit", "short SHA"),
    "sha as number": (
        changed(f"commit: {COMMIT}", f"commit: {'1' * 40}"), "source.commit", "number",
    ),
    "document": (source_with("document: ../x"), "source.document", "'..'"),
    "printed without document": (source_with('printed: "1"'), "source.printed", "document"),
    "row without document": (source_with("row: {a: b}"), "source.row", "document"),
    "metric": (changed("tokps", "tokp"), "expect.metric", "no metric 'tokp'"),
    "unit": (
        changed(GAIN, "{kind: value, metric: latency_ms, value: 1, unit: s}"),
        "expect.unit",
        "measured in 'ms'",
    ),
    "no bound": (changed(", at_least: 0", ""), "expect", "needs a bound"),
    "bounds": (changed("at_least: 0", "at_least: 2, at_most: 1"), "expect.at_least", "more than"),
    "gain of all": (changed("at_least: 0", "at_least: 100"), "expect.at_least", "no time"),
    "stability of nothing": (changed(GAIN, "{kind: stability}"), "expect", "exactly one"),
    "stability of two": (
        changed(GAIN, "{kind: stability, equals: 0, at_most: 1}"), "expect", "both are",
    ),
    "band": (value_claim("value: 5, bands: {a: high}"), "expect.bands.a", "not a band"),
    "overlap": (
        value_claim('value: 5, bands: {a: ">= 5", b: "3..6"}'), "expect.bands.b", "overlap",
    ),
    "band named null": (
        value_claim('value: 5, bands: {"null": ">= 5"}'), "expect.bands.null", "can be named",
    ),
    "printed otherwise": (value_claim("value: 105", "104.9"), "expect.value", "does not say so"),
    "printed ten times": (value_claim("value: 1049", "104.9"), "expect.value", "does not say so"),
    "printed no number": (value_claim("value: 105", "OOM"), "expect.value", "no number"),
    "margin": (value_claim("value: 5, margin: 1.03", "5"), "expect.margin", "rounding"),
    "margin of one": (value_claim("value: 5, margin: 1.0"), "expect.margin", "greater than 1"),
    "inner metric": (
        changed(GAIN, "{kind: flip, axis: sha, of: {kind: equivalence, metric: ms}}"),
        "expect.of.metric",
        "no metric 'ms'",
    ),
    "unknown axis": (
        changed(GAIN, f"{{kind: flip, axis: torch, of: {GAIN}}}"), "expect.axis", "not an axis",
    ),
    "axis of one value": (
        changed(GAIN, f"{{kind: flip, axis: triton, of: {GAIN}}}").replace(TRITON, '["3.3.1"]'),
        "expect.axis",
        "one value",
    ),
    "cpu with gpu": (CLAIM + "regime: {device: cpu, sm: sm_80}\n", "regime.sm", "has no 'sm'"),
    "sm": (CLAIM + "regime: {sm: '80'}\n", "regime.sm", "compute capability"),
    "model id": (CLAIM + "model: {id: ../x}\n", "model.id", "not the name of a model"),
    "model path": (CLAIM + "model: {id: a/b/c}\n", "model.id", "not the name of a model"),
    "weights": (CLAIM + "model: {id: a, weights: random}\n", "model.weights", "no weights"),
    "revision": (CLAIM + "model: {id: a, revision: main}\n", "model.revision", "not the full SHA"),
    "dtype": (CLAIM + "model: {id: a, dtype: 'a b'}\n", "model.dtype", "data type"),
    "lock that is not there": (
        changed(STACK, "  lock: locks/none.txt\n"), "stack.lock", "does not exist",
    ),
    "lock that is a folder": (changed(STACK, "  lock: ./..x\n"), "stack.lock", "is not a file"),
    "another builtin": (
        BUILTIN.replace("{builtin: harness}", "{builtin: harnes}"),
        "source.builtin",
        "no built-in benchmark 'harnes'",
    ),
    "sweep field": (changed("triton:", "title:"), "sweep.title", "a field of the claim"),
    "sweep field below": (
        changed("triton:", "protocol.samples:"), "samples", "a field of the claim",
    ),
    "sweep protocol": (changed("triton:", "warmup:"), "sweep.warmup", "not an axis"),
    "sweep misspelled package": (
        changed("triton:", "nummpy:"), "sweep.nummpy", "nor a package that the claim requires",
    ),
    "sweep swapped letters": (changed("triton:", "torhc:"), "sweep.torhc", "neither an axis"),
    "sweep misspelled axis": (changed("triton:", "pythn:"), "sweep.pythn", "neither an axis"),
    "sweep axis with a number": (changed("triton:", "python3:"), "python3", "neither an axis"),
    "sweep axis in capitals": (changed("  sha:", "  SHA:"), "sweep.SHA", "neither an axis"),
    "sweep axis with a dash": (changed("triton:", "token-len:"), "token-len", "neither an axis"),
    "requirement": (changed("numpy]", '"-r x"]'), "stack.requirements[1]", "an option"),
    "twice": (changed("numpy]", "Torch]"), "stack.requirements[1]", "required twice"),
    "twice by dash": (
        changed("numpy]", "a-b, a_b>2]"), "stack.requirements[2]", "required twice",
    ),
    "python": (changed('"3.11"', "py311"), "stack.python", "not a version of Python"),
    "lock": (changed(STACK, "  lock: /tmp/x\n"), "stack.lock", "not a relative path"),
    "newer": (changed(STACK, "  exclude_newer: 2025-08-15\n"), "stack.exclude_newer", "UTC"),
    "backend": (changed(STACK, "  torch_backend: cuda\n"), "stack.torch_backend", "PyTorch build"),
    "source build": (
        changed(STACK, "  build_from_source: ['a==1']\n"), "stack.build_from_source[0]", "package",
    ),
    "option": (
        changed("subject: compiled", "subject: compiled, options: {tokns: 1}"),
        "adapter.options.tokns",
        "no option",
    ),
    "builtin with git adapter": (
        changed(GIT_SOURCE, BUILTIN_SOURCE).replace("name: fake", "name: fake").replace(
            f"  sha: {{here: {COMMIT}, there: {OTHER}}}\n", ""),
        "source.builtin",
        "no benchmark of its own",
    ),
    "git with builtin adapter": (
        changed("name: fake", "name: builtin"), "source.repo", "its own benchmark",
    ),
    "builtin with sha": (
        BUILTIN.replace("sweep:\n", f"sweep:\n  sha: [{COMMIT}]\n"), "sweep.sha", "no commits",
    ),
    "cell axis": (CLAIM + "cells: {dtype: [a]}\n", "cells.dtype", "has no axis 'dtype'"),
    "stack axis as cell": (CLAIM + "cells: {torch: [a]}\n", "cells.torch", "environment"),
    "cell value": (CLAIM + "cells: {phase: [prefil]}\n", "cells.phase[0]", "does not know"),
    "cell value as text": (CLAIM + "cells: {batch: ['8']}\n", "cells.batch[0]", "a number"),
    "cell value as truth": (CLAIM + "cells: {batch: [true]}\n", "cells.batch[0]", "does not know"),
    "cell value twice": (CLAIM + "cells: {batch: [8, 8]}\n", "cells.batch[1]", "twice"),
    "sweep short sha": (changed(OTHER, "fedcba9"), "sweep.sha.there", "short SHA"),
    "sweep same sha": (changed(OTHER, COMMIT), "sweep.sha.there", "the same as 'here'"),
    "sweep same version": (
        changed(TRITON, '["3.6", "3.6.0"]'), "sweep.triton.3.6.0", "the same as '3.6'",
    ),
    "sweep case": (changed("there:", "Here:"), "sweep.sha.Here", "only in case"),
    "sweep label": (changed("there:", '"a,b":'), "sweep.sha.a,b", "cannot be a label"),
    "sweep specifier": (changed(TRITON, '["3.x"]'), "sweep.triton.3.x", "not a version"),
    "sweep same axis": (
        changed(f"triton: {TRITON}", f"flash-attn: {TRITON}\n  flash_attn: {TRITON}"),
        "sweep.flash_attn",
        "the same axis",
    ),
    "sweep no axis": (changed("triton:", "device:"), "sweep.device", "not an axis"),
    "sweep no package": (changed("triton:", "tri ton:"), "sweep.tri ton", "neither"),
    "sweep cell axis": (changed("triton:", "compile_mode:"), "sweep.compile_mode", "has no axis"),
    "sweep labelled cell": (
        changed(f"triton: {TRITON}", "token_len: {short: 1}"), "sweep.token_len.short", "no labels",
    ),
    "exclude axis": (
        CLAIM + "exclude: [{when: {tritn: 3.6.0}, reason: x}]\n",
        "exclude[0].when.tritn",
        "not an axis",
    ),
    "exclude value": (
        CLAIM + "exclude: [{when: {triton: 3.7.0}, reason: x}]\n",
        "exclude[0].when.triton",
        "not a value",
    ),
    "exclude number": (
        CLAIM + "exclude: [{when: {triton: 3.6}, reason: x}]\n",
        "exclude[0].when.triton",
        "expected text",
    ),
    "exclude nothing": (CLAIM + "exclude: [{when: {}, reason: x}]\n", "exclude[0].when", "empty"),
    "timeout": (CLAIM + "protocol: {timeout_s: 1e9}\n", "protocol.timeout_s", "at most 604800"),
    "level": (CLAIM + "protocol: {level: 95}\n", "protocol.level", "less than 1"),
    "title": (changed("A small claim", '""'), "title", "must not be empty"),
    "title of lines": (changed("A small claim", '"a\\nb"'), "title", "one line"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "path", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_told(tmp_path: Path, text: str, path: str, words: str) -> None:
    (tmp_path / "..x").mkdir()
    with pytest.raises(InvalidClaimError) as raised:
        load_text(tmp_path, text)
    (only,) = raised.value.problems
    assert words in only.message
    line, column = map(int, only.place.rsplit(":", 2)[1:])
    key = path.partition("[")[0].rpartition(".")[2] if "triton." not in path else ""
    assert key in text.splitlines()[line - 1]
    assert 1 <= column <= len(text.splitlines()[line - 1])


def test_local_repositories_are_a_choice_of_the_caller(tmp_path: Path) -> None:
    text = changed("https://example.com/a/b", "file:///srv/a")
    assert load_text(tmp_path, text, allow_local=True).claim.id == "small"
    with pytest.raises(InvalidClaimError, match="a path of one machine"):
        load_text(tmp_path, text)


def test_a_lock_may_not_leave_the_folder_of_its_claim(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "locks").symlink_to(tmp_path)
    text = changed(STACK, "  lock: locks/x.txt\n")
    with pytest.raises(InvalidClaimError, match="symbolic link"):
        load_text(folder, text)
    (folder / "locks").unlink()
    (folder / "locks").mkdir()
    (folder / "locks" / "x.txt").touch()
    assert load_text(folder, text).lock() == folder / "locks" / "x.txt"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (CLAIM + "model: {id: a, dtype: bf16}\n", "bfloat16"),
        (CLAIM + "model: {id: a, dtype: torch.half}\n", "float16"),
        (CLAIM + "model: {id: a, dtype: FP32}\n", "float32"),
        (changed("triton:", "nump:"), "numpy"),
        (changed("triton:", "phases:"), "phase"),
        (BUILTIN.replace("{builtin: harness}", "{builtin: hraness}"), "harness"),
    ],
)
def test_what_was_meant_is_suggested(tmp_path: Path, text: str, meant: str) -> None:
    with pytest.raises(InvalidClaimError) as raised:
        load_text(tmp_path, text)
    (only,) = raised.value.problems
    assert f"Did you mean {meant!r}?" in only.hint


def test_what_was_set_on_the_command_line_is_told_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidClaimError) as raised:
        load_text(tmp_path, CLAIM, overrides=("stack.lock=none.txt",))
    (only,) = raised.value.problems
    assert only.place == "--set stack.lock=none.txt"
