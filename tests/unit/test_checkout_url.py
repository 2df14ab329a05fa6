"""Addresses of repositories: what is accepted, and what they are called in the cache."""

from __future__ import annotations

import pytest

from reprokit.envs.checkout_url import (
    check_repository_url,
    mirror_name,
    resolve_submodule_url,
    same_repository,
)
from reprokit.envs.redact import redact
from reprokit.errors import CheckoutError


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/pytorch-labs/gpt-fast",
        "https://host:8443/a/b.git",
        "ssh://git@host:2222/a/b.git",
        "ssh://host/a",
        "git@github.com:owner/repo.git",
    ],
)
def test_accepted(url: str) -> None:
    check_repository_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://host/a",
        "git://host/a",
        "ftp://host/a",
        "file:///a/b",
        "javascript:alert(1)",
        "ext::sh -c 'touch x'",
        "ext::touch",
        "fd::17/a",
        "transport::https://host/a",
        "--upload-pack=touch x",
        "-oProxyCommand=x:a",
        "https://-oProxyCommand=x/a",
        "ssh://-oProxyCommand=x/a",
        "ssh://-l@host/a",
        "-x@host:a",
        "https:///a",
        "https://host:notaport/a",
        "https://host/a\nb",
        "https://host/a b",
        "https://host/../../etc",
        "https://host/a?x=1",
        "https://host/a#frag",
        "https://user:token@host/a",
        "https://token@host/a",
        "ssh://git:secret@host/a",
        "/a/local/path",
        "../relative",
        "just-a-name",
    ],
)
def test_refused_without_showing_credentials(url: str) -> None:
    with pytest.raises(CheckoutError) as caught:
        check_repository_url(url)
    assert "token" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("url", ["/a/local/path", "file:///a/b"])
def test_local_only_when_asked(url: str) -> None:
    check_repository_url(url, allow_local=True)


@pytest.mark.parametrize("url", ["ext::touch x", "-u/x", "http://host/a"])
def test_local_does_not_mean_anything_goes(url: str) -> None:
    with pytest.raises(CheckoutError):
        check_repository_url(url, allow_local=True)


def test_names_are_safe_readable_and_different() -> None:
    urls = [
        "https://host/a/b", "https://host/a-b", "https://host/a/b.git", "ssh://git@host/a/b",
        "git@host:a/b", "https://host/" + "x" * 300, "https://host/../..", "https://host/ü",
    ]  # fmt: skip
    names = [mirror_name(url) for url in urls]
    assert len(set(names)) == len(urls)
    for name in names:
        assert name.replace("-", "").isalnum()
        assert name.isascii()
        assert len(name) < 100
    assert names[0].startswith("host-a-b-")


@pytest.mark.parametrize(
    ("parent", "url", "expected"),
    [
        ("https://h/a/b", "../c", "https://h/a/c"),
        ("https://h/a/b.git", "./c", "https://h/a/b.git/c"),
        ("git@h:a/b", "../c", "git@h:a/c"),
        ("/r/a", "../c", "/r/c"),
        ("https://h/a/b", "https://x/y", "https://x/y"),
        ("https://h/a/b", "../../../../c", "https://h/c"),
    ],
)
def test_relative_submodules(parent: str, url: str, expected: str) -> None:
    assert resolve_submodule_url(parent, url) == expected


def test_spelling_is_no_move() -> None:
    assert same_repository("https://Host/a/b", "https://host/a/b.git/")
    assert not same_repository("https://host/a/b", "https://host/c/b")
    assert not same_repository("https://host/a/b", "https://other/a/b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://u:p@h/a and http://t@h2/b", "see https://***@h/a and http://***@h2/b"),
        ("ssh://git@h/a", "ssh://git@h/a"),
        ("ssh://git:pw@h/a", "ssh://***@h/a"),
        ("https://u:p%40x@@h/a", "https://***@h/a"),
        ("https://h/a@b", "https://h/a@b"),
        ("git@h:a/b", "git@h:a/b"),
    ],
)
def test_redaction(text: str, expected: str) -> None:
    assert redact(text) == expected
