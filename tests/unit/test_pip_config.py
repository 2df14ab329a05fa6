"""pip's configuration is read as pip reads it, and handed on in uv's terms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reprokit.envs.pip_config import config_paths, pip_options, read_config_files
from reprokit.envs.uv_settings import (
    Bridge,
    bridge_pip,
    settings_for_uv,
    uv_config_keys,
    uv_environment,
)
from reprokit.errors import UsageError

CWD = Path("/somewhere")


def _bridge(
    environ: dict[str, str] | None = None,
    *texts: str,
    uv_file_keys: frozenset[str] = frozenset(),
) -> Bridge:
    environ = environ or {}
    files = [(f"file{number}", text) for number, text in enumerate(texts)]
    options = pip_options(environ, files)
    return bridge_pip(options, environ, cwd=CWD, uv_file_keys=uv_file_keys)


# --- which files


def _paths(environ: dict[str, str], platform: str = "linux") -> list[str]:
    found = config_paths({"HOME": "/h", **environ}, prefix="/venv", platform=platform)
    return [str(path) for path in found]


def test_files_in_pips_order() -> None:
    assert _paths({}) == [
        "/etc/xdg/pip/pip.conf",
        "/etc/pip.conf",
        "/h/.pip/pip.conf",
        "/h/.config/pip/pip.conf",
        "/venv/pip.conf",
    ]


def test_xdg_variables_move_the_files() -> None:
    found = _paths({"XDG_CONFIG_HOME": "/x", "XDG_CONFIG_DIRS": "/a:/b"})
    assert found[:2] == ["/a/pip/pip.conf", "/b/pip/pip.conf"]
    assert "/x/pip/pip.conf" in found
    assert "/h/.config/pip/pip.conf" not in found


def test_a_named_file_replaces_the_users_and_comes_last(tmp_path: Path) -> None:
    named = tmp_path / "my.conf"
    missing = _paths({"PIP_CONFIG_FILE": str(named)})
    assert "/h/.pip/pip.conf" in missing
    named.write_text("")
    found = _paths({"PIP_CONFIG_FILE": str(named)})
    assert found[-1] == str(named)
    assert "/h/.pip/pip.conf" not in found
    assert "/etc/pip.conf" in found


def test_the_null_device_means_no_file_at_all() -> None:
    assert _paths({"PIP_CONFIG_FILE": os.devnull}) == []


def test_macos_has_its_own_places() -> None:
    found = _paths({}, platform="darwin")
    assert found[0] == "/Library/Application Support/pip/pip.conf"
    assert "/etc/pip.conf" not in found


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "pip.conf"
    bad.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match=r"pip\.conf cannot be read"):
        read_config_files([bad])
    assert read_config_files([tmp_path / "none", tmp_path]) == ()


# --- merging


def test_later_files_sections_and_variables_win() -> None:
    low = "[global]\nindex-url = https://low/\ntimeout = 1\n[install]\nproxy = p1:1\n"
    high = "[global]\nindex-url = https://high/\nproxy = p2:2\n"
    options = pip_options({"PIP_TIMEOUT": "9"}, [("low", low), ("high", high)])
    assert options["index-url"].value == "https://high/"
    assert options["index-url"].origin == "high [global]"
    assert options["proxy"].value == "p1:1"  # [install] wins over [global] of any file
    assert options["timeout"].value == "9"
    assert options["timeout"].origin == "PIP_TIMEOUT"


def test_other_commands_sections_do_not_count() -> None:
    options = pip_options({}, [("f", "[freeze]\nindex-url = https://x/\n")])
    assert options == {}


@pytest.mark.parametrize("key", ["index_url", "INDEX-URL", "--index-url", "pypi-url"])
def test_spellings_of_a_key(key: str) -> None:
    options = pip_options({}, [("f", f"[global]\n{key} = https://x/\n")])
    assert options["index-url"].value == "https://x/"


def test_empty_values_count_as_not_set() -> None:
    options = pip_options({"PIP_INDEX_URL": ""}, [("f", "[global]\nindex-url = https://x/\n")])
    assert options["index-url"].value == "https://x/"


@pytest.mark.parametrize("text", ["index-url = x\n", "[global]\na = 1\na = 2\n", "[global\n"])
def test_a_damaged_file_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="not valid"):
        pip_options({}, [("pip.conf", text)])


# --- translating


def test_indexes_and_links_become_uvs() -> None:
    bridge = _bridge(
        None,
        "[global]\nindex-url = https://main/simple\n"
        "extra-index-url =\n    https://one/simple\n    https://two/simple\n"
        "find-links = wheels /abs ~ ~no-such-user https://links/\ntrusted-host = main one:8080\n",
    )
    assert bridge.variables == {
        "UV_DEFAULT_INDEX": "https://main/simple",
        "UV_INDEX": "https://one/simple https://two/simple",
        "UV_FIND_LINKS": (
            f"/somewhere/wheels,/abs,{Path.home()},/somewhere/~no-such-user,https://links/"
        ),
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "main one:8080",
    }
    assert bridge.arguments == ()


def test_a_comma_in_a_folder_is_not_two_folders() -> None:
    assert _bridge({"PIP_FIND_LINKS": "/a,b"}).variables["UV_FIND_LINKS"] == "file:///a%2Cb"


def test_one_index_alone_needs_no_strategy() -> None:
    bridge = _bridge({"PIP_INDEX_URL": "https://main/simple"})
    assert bridge.variables == {"UV_DEFAULT_INDEX": "https://main/simple"}


def test_no_index_leaves_only_the_links() -> None:
    bridge = _bridge(
        {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "https://x/", "PIP_EXTRA_INDEX_URL": "https://y/"}
    )
    assert bridge.arguments == ("--no-index",)
    assert not bridge.variables


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("off", False), ("0", False)])
def test_no_index_is_a_flag(value: str, expected: bool) -> None:
    assert (_bridge({"PIP_NO_INDEX": value}).arguments == ("--no-index",)) is expected


def test_a_flag_that_is_neither_is_an_error() -> None:
    with pytest.raises(UsageError, match="PIP_NO_INDEX: 'maybe'"):
        _bridge({"PIP_NO_INDEX": "maybe"})


@pytest.mark.parametrize(
    ("own", "pip", "absent"),
    [
        ("UV_DEFAULT_INDEX", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("UV_INDEX_URL", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"),
        ("UV_INDEX", "PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX"),
        ("UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_FIND_LINKS"),
        ("UV_INSECURE_HOST", "PIP_TRUSTED_HOST", "UV_INSECURE_HOST"),
        ("SSL_CERT_FILE", "PIP_CERT", "SSL_CERT_FILE"),
        ("https_proxy", "PIP_PROXY", "HTTPS_PROXY"),
        ("UV_HTTP_TIMEOUT", "PIP_TIMEOUT", "UV_HTTP_TIMEOUT"),
        ("UV_DEFAULT_INDEX", "PIP_NO_INDEX", "--no-index"),
    ],
)
def test_uvs_own_variables_win_one_by_one(own: str, pip: str, absent: str) -> None:
    bridge = _bridge({own: "https://uv/", pip: "1"})
    assert absent not in {**bridge.variables, **dict.fromkeys(bridge.arguments)}


def test_a_users_strategy_stays() -> None:
    bridge = _bridge({"UV_INDEX_STRATEGY": "first-index", "PIP_EXTRA_INDEX_URL": "https://x/"})
    assert "UV_INDEX_STRATEGY" not in bridge.variables


@pytest.mark.parametrize("key", ["index", "index-url", "extra-index-url", "find-links", "no-index"])
def test_indexes_in_a_uv_toml_keep_pips_out(key: str) -> None:
    environ = {"PIP_INDEX_URL": "https://x/", "PIP_FIND_LINKS": "/w", "PIP_CERT": "/c.pem"}
    bridge = _bridge(environ, uv_file_keys=frozenset({key}))
    assert bridge.variables == {"SSL_CERT_FILE": "/c.pem"}


def test_network_settings() -> None:
    bridge = _bridge(
        {"PIP_PROXY": "u:p@proxy:3128", "PIP_DEFAULT_TIMEOUT": "60", "PIP_CLIENT_CERT": "c.pem",
         "PIP_KEYRING_PROVIDER": "subprocess"}
    )  # fmt: skip
    assert bridge.variables == {
        "HTTPS_PROXY": "http://u:p@proxy:3128",
        "HTTP_PROXY": "http://u:p@proxy:3128",
        "UV_HTTP_TIMEOUT": "60",
        "SSL_CLIENT_CERT": "/somewhere/c.pem",
        "UV_KEYRING_PROVIDER": "subprocess",
    }
    assert "p@" not in str(bridge.shown())


def test_a_timeout_that_is_no_number_is_noted() -> None:
    bridge = _bridge({"PIP_TIMEOUT": "soon"})
    assert not bridge.variables
    assert "PIP_TIMEOUT" in bridge.notes[0]


def test_credentials_reach_uv_and_are_not_shown() -> None:
    bridge = _bridge({"PIP_INDEX_URL": "https://user:secret@host/simple"})
    assert bridge.variables["UV_DEFAULT_INDEX"] == "https://user:secret@host/simple"
    assert bridge.shown()["UV_DEFAULT_INDEX"] == "https://***@host/simple"


# --- uv's environment


def test_only_known_variables_reach_uv() -> None:
    environ = {
        "PATH": "/bin", "HF_TOKEN": "secret", "UV_OVERRIDE": "x", "UV_CONSTRAINT": "x",
        "UV_RESOLUTION": "lowest", "UV_EXCLUDE_NEWER": "2020-01-01", "UV_CACHE_DIR": "/c",
        "UV_INDEX_MINE_PASSWORD": "p", "VIRTUAL_ENV": "/v", "PYTHONPATH": "/p",
        "UV_LINK_MODE": "symlink", "UV_PYTHON_DOWNLOADS": "automatic",
    }  # fmt: skip
    found = uv_environment(environ, Bridge({"UV_INDEX": "https://x/"}))
    assert {name for name in found if name in environ} == {
        "PATH", "UV_CACHE_DIR", "UV_INDEX_MINE_PASSWORD", "UV_PYTHON_DOWNLOADS",
    }  # fmt: skip
    assert found["UV_PYTHON_DOWNLOADS"] == "never"
    assert found["UV_INDEX"] == "https://x/"


def test_keys_of_uv_toml_files(tmp_path: Path) -> None:
    user = tmp_path / "uv" / "uv.toml"
    user.parent.mkdir()
    user.write_text('native-tls = true\n[pip]\nindex-url = "https://x/"\n[[index]]\nurl = "y"\n')
    environ = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none")}
    assert {"native-tls", "index-url", "index"} <= uv_config_keys(environ)
    other = tmp_path / "other.toml"
    other.write_text("no-index = true\n")
    assert uv_config_keys({**environ, "UV_CONFIG_FILE": str(other)}) == {"no-index"}
    assert uv_config_keys({**environ, "UV_NO_CONFIG": "1"}) == frozenset()
    other.write_text("this is no TOML")
    assert uv_config_keys({"UV_CONFIG_FILE": str(other)}) == frozenset()


def test_relative_paths_in_uvs_variables_count_from_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1",
        "UV_FIND_LINKS": "wheels,https://x/", "UV_CACHE_DIR": "cache",
    }  # fmt: skip
    variables, _ = settings_for_uv(environ)
    assert variables["UV_FIND_LINKS"] == f"{tmp_path / 'wheels'},https://x/"
    assert variables["UV_CACHE_DIR"] == str(tmp_path / "cache")
