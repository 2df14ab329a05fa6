from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprokit.claim.problems import InvalidClaimError
from reprokit.claim.source import LARGEST_BYTES, parse_document, read_document


def problems_of(text: str) -> list[str]:
    try:
        document = parse_document(text, "c.yaml")
    except InvalidClaimError as error:
        return [str(problem) for problem in error.problems]
    if not document.problems:
        return []
    return [str(problem) for problem in document.invalid(document.problems).problems]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("3", 3),
        ("-3", -3),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("3.10", 3.1),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("3.6.0", "3.6.0"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2025-08-15", "2025-08-15"),
        ("0b11", "0b11"),
        ('"3.10"', "3.10"),
        ("'no'", "no"),
        ('""', ""),
        ("'~'", "~"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, read: object) -> None:
    document = parse_document(f"a: {written}\n", "c.yaml")
    assert document.data == {"a": read}
    assert type(document.data["a"]) is type(read)


def test_every_key_and_value_knows_its_place() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - {c: [y,  z]}\n", "c.yaml")
    assert str(document.keys[("b", 1, "c")]) == "4:6"
    assert str(document.values[("b", 1, "c", 1)]) == "4:14"
    assert document.raw == {("a",): "1"}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3:1", "given twice, first at 1:1"),
        ("x: {a: 1, a: 2}\n", "c.yaml:1:11", "given twice"),
        ("a: &x 1\n", "c.yaml:1:4", "anchors (&x)"),
        ("a: 1\nb: *a\n", "c.yaml:2:4", "aliases"),
        ("a: !!python/object:os.system x\n", "c.yaml:1:4", "tags"),
        ("a: !!str 1\n", "c.yaml:1:4", "tags"),
        ("a: ! 1\n", "c.yaml:1:4", "tags"),
        ("<<: {a: 1}\n", "c.yaml:1:1", "merge keys"),
        ("1: a\n", "c.yaml:1:1", "is not text"),
        ("null: a\n", "c.yaml:1:1", "is not text"),
        (".inf: a\n", "c.yaml:1:1", "is not text"),
        ("? [a]\n: b\n", "c.yaml:1:3", "a key must be text"),
        ("? {a: b}\n: b\n", "c.yaml:1:3", "a key must be text"),
        ("? !x a\n: b\n", "c.yaml:1:3", "not allowed on keys"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1", "second document"),
        ("%YAML 1.1\n---\na: 1\n", "c.yaml:2:1", "YAML 1.2"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "c.yaml:2:1", "%TAG"),
        ("a: [1,\n", "c.yaml:2:1", "not valid YAML"),
        ('a: "x\n', "c.yaml:2:1", "not valid YAML"),
        ("a: b: c\n", "c.yaml:1:5", "not valid YAML"),
        ("\ta: 1\n", "c.yaml:1:1", "not valid YAML"),
        ('a: "\\U00110000"\n', "c.yaml:1:1", "not valid YAML"),
        ("", "c.yaml:1:1", "empty"),
        ("# only a comment\n", "c.yaml:1:1", "empty"),
        ("~\n", "c.yaml:1:1", "empty"),
        ("- a\n", "c.yaml:1:1", "a claim is a mapping"),
        ("text\n", "c.yaml:1:1", "a claim is a mapping"),
        ("a: b\x07\n", "c.yaml:1:5", "U+0007"),
        ("# \u202e reversed\na: b\n", "c.yaml:1:3", "U+202E"),
        ('a: "\\x00"\n', "c.yaml:1:4", "U+0000"),
        ('a: "\\ud800"\n', "c.yaml:1:4", "U+D800"),
        ('"\\e": x\n', "c.yaml:1:1", "U+001B"),
        ("a: .inf\n", "c.yaml:1:4", "no number"),
        ("a: .nan\n", "c.yaml:1:4", "no number"),
        ("a: 1e999\n", "c.yaml:1:4", "too large"),
        (f"a: {'9' * 5000}\n", "c.yaml:1:4", "5000 digits"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(text: str, place: str, words: str) -> None:
    (only,) = problems_of(text)
    assert only.startswith(f"{place}: ")
    assert words in only


def test_all_problems_of_a_file_are_found_in_its_order() -> None:
    found = problems_of("a: *x\nb: &y 1\nb: !t 2\n3: c\nd: .inf\n")
    assert [line.split(": ")[0] for line in found] == [
        "c.yaml:1:4",
        "c.yaml:2:4",
        "c.yaml:3:1",
        "c.yaml:3:4",
        "c.yaml:4:1",
        "c.yaml:5:4",
    ]


def test_a_value_of_a_refused_key_goes_nowhere() -> None:
    document = parse_document("a: {x: 1}\na: {y: [2, {z: 3}]}\nb: 4\n", "c.yaml")
    assert document.data == {"a": {"x": 1}, "b": 4}


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? "])
def test_absurd_nesting_is_refused_at_once(opening: str) -> None:
    (only,) = problems_of("a:\n  " + opening * 100_000)
    assert "nested more than" in only or "must be text" in only


def test_a_bomb_of_aliases_does_not_explode() -> None:
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert any("aliases" in line for line in problems_of("l0: &l0 [x, x]\n" + layers))


def test_too_many_values_are_refused() -> None:
    (only,) = problems_of("a: [" + "x," * 30_000 + "]\n")
    assert "more than 20000 values" in only


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab: -[]{},#&*!|>'\"%@`\\x0\n\t?~<.1"), max_size=60))
def test_any_text_is_a_document_or_an_error_with_a_place(text: str) -> None:
    for line in problems_of(text):
        assert line.startswith("c.yaml:")


class TestReading:
    def test_reads_a_file_with_a_byte_order_mark_and_carriage_returns(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9\r\n")
        assert read_document(path).data == {"a": 1, "b": "é"}

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidClaimError, match=r"none\.yaml:1:1: there is no such file"):
            read_document(tmp_path / "none.yaml")

    def test_a_link_that_leads_nowhere_says_where_it_leads(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").symlink_to("gone.yaml")
        with pytest.raises(InvalidClaimError, match=r"symbolic link to 'gone\.yaml'"):
            read_document(tmp_path / "c.yaml")

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real.yaml").write_text("a: 1\n")
        (tmp_path / "c.yaml").symlink_to("real.yaml")
        assert read_document(tmp_path / "c.yaml").data == {"a": 1}

    def test_a_loop_of_links(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to("b")
        (tmp_path / "b").symlink_to("a")
        with pytest.raises(InvalidClaimError, match=r"a:1:1: "):
            read_document(tmp_path / "a")

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidClaimError, match="a directory"):
            read_document(tmp_path)

    def test_a_named_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InvalidClaimError, match="not a regular file"):
            read_document(tmp_path / "pipe")

    def test_a_device_is_not_read(self) -> None:
        with pytest.raises(InvalidClaimError, match="not a regular file"):
            read_document(Path(os.devnull))

    def test_a_name_with_a_null_byte(self) -> None:
        with pytest.raises(InvalidClaimError):
            read_document(Path("a\0b"))

    def test_a_file_that_is_too_large(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_bytes(b"a: 1\n" + b"#" * LARGEST_BYTES)
        with pytest.raises(InvalidClaimError, match="larger than 1 MiB"):
            read_document(path)

    def test_what_is_not_utf_8_says_where(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_bytes("a: 1\nb: é".encode("latin-1"))
        with pytest.raises(InvalidClaimError, match=r"c\.yaml:2:4: byte 0xe9 is not UTF-8"):
            read_document(path)

    def test_utf_16_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_bytes("a: 1\n".encode("utf-16"))
        with pytest.raises(InvalidClaimError, match="not UTF-8"):
            read_document(path)
