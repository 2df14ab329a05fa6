from __future__ import annotations

import re
from pathlib import Path

import pytest
from claim_fakes import CLAIM, COMMIT, OTHER, changed, fake_adapters, load_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprokit.claim.load import load_claim
from reprokit.claim.model import ExpectGain, GitSource
from reprokit.claim.problems import InvalidClaimError
from reprokit.errors import ClaimError, ExitCode


def complaints(folder: Path, text: str, **options: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return place (without the file), message and hint of every problem."""
    with pytest.raises(InvalidClaimError) as raised:
        load_text(folder, text, overrides=options.get("overrides", ()))
    return [
        (problem.place.replace(f"{folder / 'claim.yaml'}:", ""), problem.message, problem.hint)
        for problem in raised.value.problems
    ]


def test_a_valid_claim_is_loaded(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, CLAIM)
    assert loaded.claim.id == "small"
    assert isinstance(loaded.claim.source, GitSource)
    assert isinstance(loaded.claim.expect, ExpectGain)
    assert loaded.claim.sweep == {
        "sha": {"here": COMMIT, "there": OTHER},
        "triton": {"3.3.1": "3.3.1", "3.6.0": "3.6.0"},
    }
    assert loaded.text == CLAIM
    assert loaded.path == tmp_path / "claim.yaml"
    assert loaded.altered == ()
    assert loaded.adapter.name == "fake"
    assert loaded.lock() is None


def test_the_digest_is_that_of_the_statement_not_of_its_layout(tmp_path: Path) -> None:
    once = load_text(tmp_path, CLAIM).claim.digest()
    other = "# note\n" + CLAIM.replace('["3.3.1", "3.6.0"]', "\n    - 3.3.1\n    - 3.6.0")
    assert load_text(tmp_path, other).claim.digest() == once
    assert load_text(tmp_path, changed("at_least: 0", "at_least: 1")).claim.digest() != once


def test_claim_errors_end_with_the_exit_code_for_usage(tmp_path: Path) -> None:
    with pytest.raises(ClaimError) as raised:
        load_claim(tmp_path / "none.yaml")
    assert raised.value.exit_code is ExitCode.USAGE
    assert raised.value.what.startswith(f"{tmp_path / 'none.yaml'}:1:1: ")


@pytest.mark.parametrize(
    ("old", "new", "place", "message", "hint"),
    [
        ("title:", "titel:", "3:1", "unknown key 'titel'", "Did you mean 'title'?"),
        ("at_least:", "atleast:", "5:37", "unknown key 'atleast' in 'expect'", "'at_least'"),
        ("baseline:", "zzzz:", "6:23", "unknown key 'zzzz' in 'adapter'", "Known here: name, "),
        ('python: "3.11"', "python: 3.10", "8:11", "found the number 3.10", 'quotes: "3.10"'),
        ('python: "3.11"', "python: true", "8:11", "found true", 'quotes: "true"'),
        ('python: "3.11"', "python: [a]", "8:11", "expected text, found a list", ""),
        ("[torch==2.7.1, numpy]", "torch", "9:17", "expected a list", "[torch]"),
        ("[torch==2.7.1, numpy]", "[]", "9:17", "must not be empty", ""),
        ("[torch==2.7.1, numpy]", "[torch, {a: b}]", "9:25", "found a mapping", ""),
        ('["3.3.1", "3.6.0"]', '["3.3.1", 3.10]', "12:21", "expected text", 'quotes: "3.10"'),
        ('["3.3.1", "3.6.0"]', "{a: 3.10}", "12:15", "expected text", 'quotes: "3.10"'),
        ('["3.3.1", "3.6.0"]', "[3.3.1, 3.3.1]", "12:19", "given twice", ""),
        ('["3.3.1", "3.6.0"]', "[3.3.1, [3]]", "12:19", "expected one value", ""),
        ('["3.3.1", "3.6.0"]', "[]", "12:11", "has no values", ""),
        ('["3.3.1", "3.6.0"]', "3.3.1", "12:11", "expected a mapping", ""),
        ("small", "Small", "2:5", "'Small' is not lower-case", ""),
        ("small", "../up", "2:5", "is not lower-case", ""),
        ("schema: reprokit/claim/v1", "schema: reprokit/claim/v9", "1:9", "not one of", "v1"),
        ("kind: gain", "kind: gian", "5:16", "there is no kind 'gian'", "Did you mean 'gain'?"),
        ("kind: gain, ", "", "5:1", "key 'kind' is missing", "One of: value, gain"),
        ("repo:", "url:", "4:1", "neither 'repo' nor 'builtin'", ""),
        ("name: fake", "name: fak", "6:17", "no adapter 'fak'", ""),
        ("subject: compiled", "subject: compile", "6:49", "no arm 'compile'", "'compiled'"),
    ],
)
def test_each_mistake_is_told_once_where_it_is(
    tmp_path: Path, old: str, new: str, place: str, message: str, hint: str
) -> None:
    found = complaints(tmp_path, changed(old, new))
    if len(found) == 2:  # a key that is missing because it was mistyped beyond recognition
        found = [each for each in found if "is missing" not in each[1]]
    ((at, what, advice),) = found
    assert at == place
    assert message in what
    assert hint in advice


def test_a_mistyped_key_is_not_told_as_missing_too(tmp_path: Path) -> None:
    ((_, message, _),) = complaints(tmp_path, changed("commit:", "comit:"))
    assert message == "unknown key 'comit' in 'source'"


def test_a_missing_key_is_placed_at_its_mapping(tmp_path: Path) -> None:
    found = complaints(tmp_path, changed(f", commit: {COMMIT}}}", "}"))
    assert found == [("4:1", "key 'commit' is missing in 'source'", "")]


def test_a_missing_section_is_told(tmp_path: Path) -> None:
    text = re.sub(r"expect:.*\n", "", CLAIM)
    assert [message for _, message, _ in complaints(tmp_path, text)] == ["key 'expect' is missing"]


def test_a_source_is_one_of_two(tmp_path: Path) -> None:
    ((_, _, hint),) = complaints(tmp_path, changed("commit:", "builtin: x, commit:"))
    assert "not both" in hint


@pytest.mark.parametrize("kind", ["value", "equivalence", "invariance"])
def test_only_the_branch_that_the_kind_names_complains(tmp_path: Path, kind: str) -> None:
    text = changed("kind: gain, metric: tokps, at_least: 0", f"kind: {kind}, zzz: 1")
    messages = [message for _, message, _ in complaints(tmp_path, text)]
    assert "unknown key 'zzz' in 'expect'" in messages
    assert all("kind" not in message for message in messages)
    assert all("'expect'" in message for message in messages)


def test_the_inner_conclusion_is_told_by_its_kind_too(tmp_path: Path) -> None:
    text = changed(
        "{kind: gain, metric: tokps, at_least: 0}",
        "{kind: flip, axis: sha, of: {kind: value, metric: tokps, value: -1, unit: tok/s}}",
    )
    assert complaints(tmp_path, text) == [
        ("5:73", "expect.of.value: must be greater than 0, found -1", "")
    ]


def test_mistakes_everywhere_are_told_together(tmp_path: Path) -> None:
    text = (
        CLAIM.replace("small", "Small")
        .replace("https://", "http://")
        .replace(COMMIT, COMMIT[:7], 1)
        .replace("tokps", "tokpps")
        .replace("baseline: eager", "baseline: eagre")
        .replace('"3.11"', "3.11")
        .replace("torch==", "torch=")
        .replace('"3.6.0"', '"3.x"')
    ) + "protocol: {samples: 0, samples: 1}\nregime: &r {gpu: 5}\n"
    places = [place for place, _, _ in complaints(tmp_path, text)]
    assert places == [
        "2:5", "4:16", "4:50", "5:30", "6:33", "8:11", "9:18", "12:21", "13:21", "13:24", "14:9",
        "14:18",
    ]  # fmt: skip


def test_an_alias_is_told_once_and_its_value_not_at_all(tmp_path: Path) -> None:
    found = complaints(tmp_path, changed('"3.11"', "*version"))
    assert [message for _, message, _ in found] == ["aliases (*name) are not allowed in a claim"]


@pytest.mark.parametrize("escape", ["\\ud800", "\\0", "\\e[31m"])
def test_control_characters_reach_neither_the_claim_nor_the_terminal(
    tmp_path: Path, escape: str
) -> None:
    ((place, message, _),) = complaints(tmp_path, changed("A small claim", f'"{escape}"'))
    assert place == "3:8"
    assert "control character" in message
    assert message.isprintable()


def test_very_many_mistakes_are_cut_short(tmp_path: Path) -> None:
    text = CLAIM + "".join(f"zz{number}: 1\n" for number in range(200))
    with pytest.raises(InvalidClaimError) as raised:
        load_text(tmp_path, text)
    assert len(raised.value.problems) == 200
    assert str(raised.value).endswith("... and 150 more")


class TestOverrides:
    def test_a_value_is_set_and_recorded(self, tmp_path: Path) -> None:
        loaded = load_text(
            tmp_path, CLAIM, overrides=("protocol.samples=3", "expect.at_least=-2.5")
        )
        assert loaded.claim.protocol.samples == 3
        assert isinstance(loaded.claim.expect, ExpectGain)
        assert loaded.claim.expect.at_least == -2.5
        assert loaded.altered == ("protocol.samples=3", "expect.at_least=-2.5")
        assert loaded.claim.digest() != load_text(tmp_path, CLAIM).claim.digest()

    @pytest.mark.parametrize("written", ["3.10", '"3.10"', "'3.10'"])
    def test_text_is_read_as_text_where_text_is_needed(self, tmp_path: Path, written: str) -> None:
        loaded = load_text(tmp_path, CLAIM, overrides=(f"stack.python={written}",))
        assert loaded.claim.stack.python == "3.10"

    def test_text_inside_a_union_too(self, tmp_path: Path) -> None:
        text = changed("{kind: gain, metric: tokps, at_least: 0}",
                       "{kind: value, metric: tokps, value: 5, unit: x}")  # fmt: skip
        found = complaints(tmp_path, text, overrides=("expect.unit=7",))
        assert [each[1] for each in found] == ["tokps is measured in 'tok/s', not in '7'"]

    def test_a_place_in_a_list(self, tmp_path: Path) -> None:
        loaded = load_text(tmp_path, CLAIM, overrides=("stack.requirements.0=torch==2.8.0",))
        assert loaded.claim.stack.requirements == ("torch==2.8.0", "numpy")

    def test_an_override_mends_what_is_wrong_in_the_file(self, tmp_path: Path) -> None:
        text = CLAIM + "protocol: {samples: 0}\n"
        loaded = load_text(tmp_path, text, overrides=("protocol.samples=2",))
        assert loaded.claim.protocol.samples == 2

    def test_null_takes_a_value_away(self, tmp_path: Path) -> None:
        assert (
            load_text(tmp_path, CLAIM, overrides=("stack.python=null",)).claim.stack.python is None
        )

    @pytest.mark.parametrize(
        ("override", "words"),
        [
            ("protocol.sampels=3", "unknown key 'sampels'"),
            ("protcol.samples=3", "unknown key 'protcol'"),
            ("protocol.samples=0", "must be at least 1, found 0"),
            ("protocol.samples=many", "expected a whole number"),
            ("adapter.options.toknes=3", "fake has no option 'toknes'"),
            ("adapter.subject=fast", "no arm 'fast'"),
            ("stack.requirements.2=x", "is a list of 2"),
            ("stack.requirements.-1=x", "is a list of 2"),
            ("id.x=1", "single value"),
            ("protocol.samples", "does not say what"),
            ("=3", "does not say what"),
            ("protocol..samples=3", "does not say what"),
            ("", "does not say what"),
            ("stack.requirements=[torch]", "only single values"),
            ("protocol.level=.nan", "no number"),
            ("title=a\x1bb", "U+001B"),
            ("a\udcff.b=1", "U+DCFF"),
            ("protocol.seed=1234567890123456789", "19 digits"),
        ],
    )
    def test_a_wrong_override_is_told_as_such(
        self, tmp_path: Path, override: str, words: str
    ) -> None:
        ((place, message, _),) = complaints(tmp_path, CLAIM, overrides=(override,))
        assert place == "--set " + re.sub(r"[\x1b\udcff]", "?", override)
        assert words in message

    def test_setting_a_value_twice_is_a_mistake(self, tmp_path: Path) -> None:
        twice = ("protocol.samples=3", "protocol.samples=4")
        ((place, message, _),) = complaints(tmp_path, CLAIM, overrides=twice)
        assert place == "--set protocol.samples=4"
        assert "--set protocol.samples=3" in message


_PIECES = st.sampled_from(
    ["{}", "[]", "x", "1", "~", "{str: 1}", "[[1]]", "{kind: value}", "&a 1", "*a", '"', "{a: [b]}"]
)
_KEYS = st.sampled_from(
    [
        "source", "expect", "expect.of", "regime", "model", "adapter", "adapter.options", "cells",
        "cells.batch", "protocol", "stack", "stack.requirements", "sweep", "sweep.sha",
        "sweep.sha.here", "exclude", "schema", "title",
    ]
)  # fmt: skip


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(mangled=st.dictionaries(_KEYS, _PIECES, min_size=1, max_size=4))
def test_a_mangled_claim_is_loaded_or_told_and_nothing_else(
    tmp_path: Path, mangled: dict[str, str]
) -> None:
    sections: dict[str, str] = {}
    for line in CLAIM.splitlines():
        if not line.startswith(" "):
            name, _, rest = line.partition(":")
            sections[name] = rest
        else:
            sections[name] += "\n" + line
    for keys, piece in mangled.items():
        section, _, below = keys.partition(".")
        nested = piece
        for key in reversed(below.split(".")) if below else ():
            nested = f"{{{key}: {nested}}}"
        sections[section] = " " + nested
    text = "".join(f"{name}:{rest}\n" for name, rest in sections.items())
    path = tmp_path / "claim.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        load_claim(path, adapters=fake_adapters)
    except ClaimError as error:
        told = str(error)
    else:
        return
    assert told.startswith(f"{path}:")
