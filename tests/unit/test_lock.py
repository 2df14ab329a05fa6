"""Locks: what is one, what is none, and a digest that only content changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from reprokit.envs.lock import Lock, LockError, Pin, parse_lock

A, B = "a" * 64, "b" * 64


def test_a_pip_style_lock_is_read() -> None:
    lock = parse_lock(
        "# made by a tool\n"
        f"Foo_Bar.baz==1.0 \\\n    --hash=sha256:{B} \\\n    --hash=sha256:{A}\n"
        f"    # via torch\n\ntorch==2.13.0+cpu --hash=sha256:{A}  # why\n"
    )
    assert lock.pins == (
        Pin(name="foo-bar-baz", version="1.0", hashes=(A, B)),
        Pin(name="torch", version="2.13.0+cpu", hashes=(A,)),
    )
    assert lock.version("FOO.bar_baz") == "1.0"
    assert lock.version("nothing") is None


def test_digest_ignores_order_comments_and_spelling() -> None:
    one = parse_lock(f"b==1 --hash=sha256:{A} --hash=sha256:{B}\nA_c==2 --hash=sha256:{A}\n")
    two = parse_lock(
        f"# x\na-c==2 \\\n --hash=sha256:{A}\nB==1 \\\n  --hash=sha256:{B} --hash=sha256:{A}"
    )
    assert one.sha256() == two.sha256()
    assert one.text() == two.text()


@pytest.mark.parametrize(
    "change",
    [
        f"b==2 --hash=sha256:{A}",
        f"b==1 --hash=sha256:{B}",
        f"c==1 --hash=sha256:{A}",
        f"b==1+cpu --hash=sha256:{A}",
        f"b==1 --hash=sha256:{A} --hash=sha256:{B}",
    ],
)
def test_digest_follows_content(change: str) -> None:
    assert parse_lock(change).sha256() != parse_lock(f"b==1 --hash=sha256:{A}").sha256()


def test_extras_say_nothing_in_a_whole_lock() -> None:
    assert parse_lock(f"a[x,y]==1 --hash=sha256:{A}").pins[0].name == "a"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "names no distribution"),
        ("# only a comment\n", 1, "names no distribution"),
        ("a==1\n", 1, "has no --hash"),
        (f"a==1 --hash=sha256:{A}\n--index-url https://x/\n", 2, "options are not allowed"),
        (f"\n\n-e .\na==1 --hash=sha256:{A}\n", 3, "options are not allowed"),
        ("-r other.txt\n", 1, "options are not allowed"),
        (f"a @ https://x/a.whl --hash=sha256:{A}\n", 1, "not `name==version"),
        (f"./a-1.whl --hash=sha256:{A}\n", 1, "not `name==version"),
        (f"a>=1 --hash=sha256:{A}\n", 1, "not `name==version"),
        (f"a==1.* --hash=sha256:{A}\n", 1, "not `name==version"),
        (f"a===1 --hash=sha256:{A}\n", 1, "not `name==version|no version"),
        (f"a==1; python_version > '3' --hash=sha256:{A}\n", 1, "name==version|may follow"),
        (f"a==one --hash=sha256:{A}\n", 1, "no version"),
        (f"a==1 --hash=md5:{A}\n", 1, "may follow"),
        (f"a==1 --hash=sha256:{A[1:]}\n", 1, "may follow"),
        (f"a==1 --hash=sha256:{A} --no-binary a\n", 1, "may follow"),
        (f"a==1 --hash=sha256:{A}\nA==2 --hash=sha256:{B}\n", 2, "named twice"),
        (f"a==1 --hash=sha256:{A} \\\n", 1, "nothing follows"),
        (f"a==1 \\\n--hash=sha256:{A} \\\n--index-url=https://x\n", 1, "may follow"),
    ],
)
def test_what_is_no_lock_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(LockError, match=words) as caught:
        parse_lock(text)
    assert caught.value.line == line


_names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,5})?", fullmatch=True)
_versions = st.from_regex(r"[1-9][0-9]?(\.[0-9]{1,2}){0,2}(\+cu[1-9]{2})?", fullmatch=True)
_hashes = st.sets(st.sampled_from([A, B, "0" * 64]), min_size=1)


@given(st.dictionaries(_names, st.tuples(_versions, _hashes), min_size=1, max_size=6))
def test_text_reads_back_as_the_same_lock(content: dict[str, tuple[str, set[str]]]) -> None:
    lock = Lock(
        pins=tuple(
            Pin(name=name, version=version, hashes=tuple(sorted(hashes)))
            for name, (version, hashes) in sorted(content.items())
        )
    )
    read = parse_lock(lock.text())
    again = parse_lock(read.text())
    assert again == read
    assert again.sha256() == read.sha256()
    assert {pin.name for pin in again.pins} == set(content)
    assert all(Version(pin.version) == Version(content[pin.name][0]) for pin in read.pins)
