"""Single values of a claim: URLs, paths, requirements, versions, SHAs, bands, printed figures."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprokit.claim.bands import band_of, parse_band
from reprokit.claim.paths import inside_complaint, relative_path_complaint
from reprokit.claim.printed import rounding_half_width
from reprokit.claim.problems import dotted, nearest, suggestion
from reprokit.claim.repository import repository_complaint
from reprokit.claim.requirement import (
    exclude_newer_complaint,
    python_complaint,
    requirement_complaint,
    torch_backend_complaint,
    version_complaint,
)
from reprokit.claim.sha import sha_complaint


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/pytorch-labs/gpt-fast",
        "https://github.com/pytorch-labs/gpt-fast.git",
        "https://example.com:8443/a/b~c/d",
        "https://[2001:db8::1]/a/b",
        "ssh://git@example.com/a/b",
        "ssh://git@example.com:2222/a/b",
        "ssh://example.com/a/b",
        "git@github.com:pytorch-labs/gpt-fast.git",
    ],
)
def test_public_repository_urls_are_accepted(url: str) -> None:
    assert repository_complaint(url) is None
    assert repository_complaint(url, allow_local=True) is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "empty"),
        ("http://github.com/a/b", "not authenticated"),
        ("git://github.com/a/b", "not authenticated"),
        ("ftp://example.com/a", "not a transport"),
        ("git+ssh://example.com/a", "not a transport"),
        ("HTTPS://github.com/a/b", "lower case"),
        ("ext::sh -c touch% /tmp/x", "contains ' '"),
        ("ext::sh", "transport helper"),
        ("fd::17", "transport helper"),
        ("https::https://x/y", "transport helper"),
        ("-u", "begins with '-'"),
        ("--upload-pack=touch", "begins with '-'"),
        ("https://example.com/a b", "contains ' '"),
        ("https://example.com/a\nb", "contains '\\n'"),
        ("https://example.com/a%0ahost=evil", "contains %0a"),
        ("https://example.com\\@evil.com/a", "contains '\\\\'"),
        ("https://user:secret@example.com/a", "credentials"),
        ("https://token@example.com/a", "credentials"),
        ("ssh://git:secret@example.com/a", "credentials"),
        ("ssh://-oProxyCommand=touch/a", "not a host name"),
        ("ssh://-x@example.com/a", "not a user name"),
        ("https:///a/b", "not a host name"),
        ("https://example.com", "no repository"),
        ("https://example.com/", "no repository"),
        ("https://example.com:port/a", "not a URL"),
        ("https://[::1/a", "not a URL"),
        ("https://example.com/a?b=c", "query"),
        ("https://example.com/a#main", "fragment"),
        ("-oProxyCommand=x:a/b", "begins with '-'"),
        ("git@-oProxyCommand=x:a/b", "not a host name"),
        ("-x@example.com:a/b", "begins with '-'"),
        ("git@example.com:-a", "begins with '-'"),
        ("C:/a/b", "another machine"),
        ("github.com:a/b", "another machine"),
        ("https://host/../../etc", "out of its own path"),
        ("https://host/%2e%2e/x", "out of its own path"),
        ("https://host/a%2F..%2F%2E./x", "out of its own path"),
        ("ssh://git@host/%2e%2E/x", "out of its own path"),
        ("git@host:../../x", "out of its own path"),
        ("git@host:a/../x", "out of its own path"),
        ("../a", "not a repository URL"),
        ("a/b", "not a repository URL"),
        ("~/a", "not a repository URL"),
    ],
)
def test_other_repository_urls_are_refused_always(url: str, words: str) -> None:
    for allow_local in (False, True):
        complaint = repository_complaint(url, allow_local=allow_local)
        assert complaint is not None
        assert words in complaint.message


def test_credentials_are_not_repeated_in_the_message() -> None:
    complaint = repository_complaint("https://user:secret@example.com/a")
    assert complaint is not None
    assert "secret" not in complaint.message + complaint.hint


@pytest.mark.parametrize("url", ["file:///srv/a", "/srv/a.git"])
def test_local_repositories_only_when_allowed(url: str) -> None:
    assert repository_complaint(url, allow_local=True) is None
    complaint = repository_complaint(url)
    assert complaint is not None
    assert "allow" in complaint.hint


@pytest.mark.parametrize("url", ["file://host/srv/a", "file://a"])
def test_file_urls_name_an_absolute_path_of_this_machine(url: str) -> None:
    assert repository_complaint(url, allow_local=True) is not None


@pytest.mark.parametrize(
    "path", ["README.md", "docs/a b.md", "./README.md", "a/..b/c", ".github/x"]
)
def test_relative_paths_are_accepted(path: str, tmp_path: Path) -> None:
    assert relative_path_complaint(path) is None
    assert inside_complaint(path, tmp_path) is None


@pytest.mark.parametrize(
    "path",
    ["", " ", ".", "..", "../a", "a/../../b", "a/..", "/etc/passwd", "~/a", "C:/a", "C:\\a", "a\\b",
     "-rf", "a/", "a/.", "a\nb", "a\0b"],
)  # fmt: skip
def test_other_paths_are_refused(path: str, tmp_path: Path) -> None:
    assert relative_path_complaint(path) is not None
    assert inside_complaint(path, tmp_path) is not None


def test_a_path_may_not_leave_its_folder_by_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "in").symlink_to(folder)
    assert inside_complaint("in/a.txt", folder) is None
    assert inside_complaint("out/a.txt", folder) is not None
    assert relative_path_complaint("out/a.txt") is None


@pytest.mark.parametrize(
    "line",
    ["torch", "torch==2.7.1", "torch == 2.7.1", "numpy<2,>=1.26", "x[a,b]~=1.0",
     "y!=3;python_version>'3'", "torch==2.11.0+cu130", "a-b_c.d", "x>=1 ; sys_platform == 'linux'"],
)  # fmt: skip
def test_requirements_are_accepted(line: str) -> None:
    assert requirement_complaint(line) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "not a requirement"),
        ("torch=2.7.1", "not a requirement"),
        ("torch 2.7.1", "not a requirement"),
        ("torch==", "not a requirement"),
        ("-r more.txt", "an option"),
        ("-e .", "an option"),
        ("--index-url https://x", "an option"),
        ("--hash=sha256:00", "an option"),
        ("torch @ https://x/y.whl", "a URL"),
        ("torch@file:///x", "a URL"),
        ("torch @ x.whl", "a URL"),
        ("git+https://x/y", "a URL"),
        ("./here", "a path"),
        ("/there", "a path"),
        ("dist/x-1.whl", "a path"),
        ("torch==2.7.1 # why", "more than one"),
        ("torch\nnumpy", "more than one"),
        ("torch==${V}", "more than one"),
        ("torch==2.7.1 --hash=x", "not a requirement"),
    ],
)
def test_other_requirement_lines_are_refused(line: str, words: str) -> None:
    complaint = requirement_complaint(line)
    assert complaint is not None
    assert words in complaint.message


def test_a_single_equals_sign_gets_its_own_advice() -> None:
    complaint = requirement_complaint("torch=2.7.1")
    assert complaint is not None
    assert "'=='" in complaint.hint


@pytest.mark.parametrize("text", ["3.6.0", "3.6", "2.11.0+cu130", "1!2.0rc1.post2.dev3"])
def test_versions_are_accepted(text: str) -> None:
    assert version_complaint(text) is None


@pytest.mark.parametrize("text", ["", "latest", "3.x", "==3.6", ">=3", "3.6.*", "3.6,3.7", "a b"])
def test_other_versions_are_refused(text: str) -> None:
    assert version_complaint(text) is not None


@pytest.mark.parametrize("text", ["3.11", "3.11.9", ">=3.11", ">=3.11,<3.13", "~=3.11.2"])
def test_pythons_are_accepted(text: str) -> None:
    assert python_complaint(text) is None


@pytest.mark.parametrize(
    "text", ["", "3", "311", "py311", "python3.11", "/usr/bin/python", "3.11 --x", "--help", "2.7"]
)
def test_other_pythons_are_refused(text: str) -> None:
    assert python_complaint(text) is not None


@pytest.mark.parametrize("text", ["2025-08-15T00:00:00Z", "2025-08-15T23:59:59.5Z"])
def test_moments_in_utc_are_accepted(text: str) -> None:
    assert exclude_newer_complaint(text) is None


@pytest.mark.parametrize(
    "text",
    ["2025-08-15", "2025-08-15T00:00:00", "2025-08-15T00:00:00+02:00", "2025-02-30T00:00:00Z",
     "2025-08-15 00:00:00Z", "yesterday", "30 days", ""],
)  # fmt: skip
def test_other_moments_are_refused(text: str) -> None:
    assert exclude_newer_complaint(text) is not None


def test_a_bare_date_is_told_why_it_will_not_do() -> None:
    complaint = exclude_newer_complaint("2025-08-15")
    assert complaint is not None
    assert "2025-08-15T00:00:00Z" in complaint.hint
    assert "time zone" in complaint.hint


@pytest.mark.parametrize("text", ["auto", "cpu", "cu126", "cu130", "rocm6.3", "rocm6.2.4", "xpu"])
def test_torch_builds_are_accepted(text: str) -> None:
    assert torch_backend_complaint(text) is None


@pytest.mark.parametrize("text", ["", "cuda", "cu", "cu12.6", "CPU", "gpu", "cpu --x", "rocm"])
def test_other_torch_builds_are_refused(text: str) -> None:
    assert torch_backend_complaint(text) is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("d2c5d82", "short SHA of 7 digits"),
        ("D" * 40, "upper-case"),
        ("a" * 64, "SHA-256"),
        ("a" * 41, "not the full SHA"),
        ("main", "not the full SHA"),
        ("v1.0", "not the full SHA"),
        ("", "not the full SHA"),
        ("-" * 40, "not the full SHA"),
        ("a" * 40 + "\n", "not the full SHA"),
    ],
)
def test_only_a_full_sha_names_a_commit(text: str, words: str) -> None:
    assert sha_complaint("a1" * 20) is None
    complaint = sha_complaint(text)
    assert complaint is not None
    assert words in complaint.message


class TestBands:
    @pytest.mark.parametrize(
        ("text", "inside", "outside"),
        [
            (">= 90", [90, 1e9], [89.999]),
            ("> 90", [90.001], [90]),
            ("<=5", [5, -3], [5.001]),
            ("< 5", [4.999], [5]),
            ("80..90", [80, 89.999], [90, 79.999]),
            (" 0.5 .. 1e1 ", [0.5, 9], [10]),
            ("-3..-1", [-3, -2], [-1]),
        ],
    )
    def test_a_band_holds_what_it_says(
        self, text: str, inside: list[float], outside: list[float]
    ) -> None:
        band = parse_band(text)
        assert all(value in band for value in inside)
        assert not any(value in band for value in outside)
        not_a_number = float("nan")
        assert not_a_number not in band

    @pytest.mark.parametrize(
        "text",
        ["", "90", "== 90", "=> 90", ">= 90 tok/s", "90..80", "80..80", "80...90", "80-90", ">= x",
         ">= 1e999", ">= nan", ">= 90, < 95", "80.."],
    )  # fmt: skip
    def test_other_text_is_no_band(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"."):
            parse_band(text)

    def test_the_band_of_a_value_is_named(self) -> None:
        bands = {"strong": ">= 90", "weak": "50..90"}
        assert band_of(bands, 106.74) == "strong"
        assert band_of(bands, 90) == "strong"
        assert band_of(bands, 89.99) == "weak"
        assert band_of(bands, 3) is None
        assert band_of({}, 3) is None

    _bands = st.one_of(
        st.builds("{} {}".format, st.sampled_from([">", ">=", "<", "<="]), st.integers(0, 9)),
        st.builds(lambda low, size: f"{low}..{low + size}", st.integers(0, 9), st.integers(1, 5)),
    )

    @given(_bands, _bands)
    def test_bands_overlap_when_a_number_lies_in_both(self, first: str, second: str) -> None:
        one, other = parse_band(first), parse_band(second)
        points = [number / 2 for number in range(-2, 40)]
        shared = any(point in one and point in other for point in points)
        assert one.overlaps(other) == other.overlaps(one) == shared


class TestPrintedFigures:
    @pytest.mark.parametrize(
        ("printed", "half"),
        [
            ("104.9", "0.05"),
            ("105", "0.5"),
            ("1,397.31", "0.005"),
            ("1,397", "0.5"),
            ("12,5", "0.05"),
            ("104.90 tok/s", "0.005"),
            ("**104.9**", "0.05"),
            ("~48.4x", "0.05"),
            ("1.05e2", "0.5"),
            (".5", "0.05"),
            ("Llama-2: 7.25", "0.005"),
            ("int8 155.58", "0.005"),
            ("OOM", None),
            ("", None),
            ("14.2 ± 0.35", None),
            ("1.2.3", None),
        ],
    )
    def test_half_of_the_last_digit(self, printed: str, half: str | None) -> None:
        assert rounding_half_width(printed) == (None if half is None else Decimal(half))

    @pytest.mark.parametrize(
        ("printed", "value", "half"),
        [
            ("14.2 ± 0.35", 14.2, "0.05"),
            ("14.2 ± 0.35", 0.35, "0.005"),
            ("1.397 s", 1397.0, "0.5"),
            ("1.2k", 1200.0, "50"),
            ("1,397", 1397.0, "0.5"),
            ("1,397", 1.397, "0.0005"),
            ("104.9", 104.9, "0.05"),
            ("104.90", 104.9, "0.005"),
            ("104.9", 105.0, None),
            ("104.9", 1049.0, None),
            ("104.9", 10.49, None),
            ("104.9", 4.9, None),
            ("v104.9", 104.9, None),
        ],
    )
    def test_the_figure_that_says_a_value(
        self, printed: str, value: float, half: str | None
    ) -> None:
        found = rounding_half_width(printed, value)
        assert found == (None if half is None else Decimal(half))


def test_suggestions() -> None:
    assert nearest("Tokp", ("tokps", "wall_ms")) == "tokps"
    assert nearest("zzz", ("tokps",)) is None
    assert suggestion("tokp", ("tokps",)) == "Did you mean 'tokps'?"
    assert suggestion("zzz", ("tokps", "ms")) == "Known: tokps, ms."
    assert suggestion("zzz", ()) == ""
    assert dotted(("a", "b", 0, "c")) == "a.b[0].c"
