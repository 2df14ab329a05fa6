"""The environment that uv is started with: pip's settings handed on, uv's own ones first."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from reprokit.envs.pip_config import PipOption, config_paths, pip_options, read_config_files
from reprokit.envs.redact import redact

# What decides where distributions come from and how they are fetched. Variables that change *what*
# is resolved (UV_OVERRIDE, UV_CONSTRAINT, UV_RESOLUTION, ...) are not handed on: the claim says
# what its stack is.
_UV_KEPT = frozenset(
    {
        "UV_ASTRAL_MIRROR_URL", "UV_CACHE_DIR", "UV_CONFIG_FILE", "UV_CREDENTIALS_DIR",
        "UV_CUDA_DRIVER_VERSION", "UV_AMD_GPU_ARCHITECTURE", "UV_DEFAULT_INDEX",
        "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX", "UV_INSECURE_HOST",
        "UV_KEYRING_PROVIDER", "UV_LINK_MODE", "UV_LOCK_TIMEOUT", "UV_MANAGED_PYTHON",
        "UV_NATIVE_TLS", "UV_NO_CACHE", "UV_NO_CONFIG", "UV_NO_MANAGED_PYTHON",
        "UV_NO_SYSTEM_CONFIG", "UV_OFFLINE", "UV_PYTHON_PREFERENCE", "UV_PYTHON_SEARCH_PATH",
        "UV_REQUEST_TIMEOUT", "UV_SYSTEM_CERTS", "UV_TORCH_BACKEND",
    }
)  # fmt: skip
_UV_KEPT_PREFIXES = ("UV_INDEX_", "UV_HTTP_", "UV_CONCURRENT_", "UV_PYTHON_INSTALL_")
_PLAIN = frozenset(
    {
        "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "NETRC", "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
        "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CUDA_HOME", "CUDA_PATH", "LD_LIBRARY_PATH",
        "MAX_JOBS", "SDKROOT", "DEVELOPER_DIR", "MACOSX_DEPLOYMENT_TARGET",
    }
)  # fmt: skip
_PLAIN_PREFIXES = ("XDG_", "LC_")
_FIXED = {
    "UV_NO_PROGRESS": "1",
    "UV_NO_WRAP": "1",
    "UV_PYTHON_DOWNLOADS": "never",  # a missing Python is an error with a hint, not a download
    "NO_COLOR": "1",
}
_INDEX_KEYS = frozenset({"index", "index-url", "extra-index-url", "no-index", "find-links"})
_NUMBER = re.compile(r"^\d+(\.\d+)?$")


@dataclass(frozen=True)
class Bridge:
    """pip's settings in uv's terms.

    Attributes:
        variables: for uv's environment; may hold credentials, so they are never recorded as such.
        arguments: options of every `uv pip` command that has to do with indexes.
        notes: one sentence for each thing that could not be handed on.
        origins: variable or argument to the pip setting that it comes from.
    """

    variables: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    origins: dict[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, str]:
        """Return the variables without credentials, for people and for records."""
        return {name: redact(value) for name, value in self.variables.items()}


def bridge_pip(
    options: Mapping[str, PipOption],
    environ: Mapping[str, str],
    *,
    cwd: Path,
    uv_file_keys: frozenset[str] = frozenset(),
) -> Bridge:
    """Translate pip's options into uv's. Pure but for looking up `~`.

    A setting that uv has of its own, in a variable or in a uv.toml, is left alone. uv's variables
    win over its uv.toml, so pip's indexes are not handed on at all where a uv.toml names indexes.
    Where several sources are handed on, uv is told to treat them as equals, as pip does.

    Args:
        options: pip's effective options.
        environ: the environment that reprokit was started with.
        cwd: what relative paths count from.
        uv_file_keys: the settings that the user's and the system's uv.toml contain.
    """
    build = _Builder(dict(environ), uv_file_keys)
    if not uv_file_keys & _INDEX_KEYS:
        _bridge_indexes(build, options, cwd)
    build.put("SSL_CERT_FILE", options.get("cert"), convert=lambda v: _path(v, cwd))
    build.put("SSL_CLIENT_CERT", options.get("client-cert"), convert=lambda v: _path(v, cwd))
    if "allow-insecure-host" not in uv_file_keys:
        build.put("UV_INSECURE_HOST", options.get("trusted-host"), convert=_words)
    _bridge_network(build, options)
    return build.done()


class _Builder:
    def __init__(self, environ: dict[str, str], uv_file_keys: frozenset[str]) -> None:
        self.environ = environ
        self.uv_file_keys = uv_file_keys
        self.variables: dict[str, str] = {}
        self.origins: dict[str, str] = {}
        self.arguments: list[str] = []
        self.notes: list[str] = []

    def put(
        self,
        name: str,
        option: PipOption | None,
        *,
        also: tuple[str, ...] = (),
        convert: Callable[[str], str] = str,
    ) -> bool:
        """Set a variable from pip's option, unless it or one that means the same is set."""
        if option is None or any(self.environ.get(known) for known in (name, *also)):
            return False
        self.variables[name] = convert(option.value)
        self.origins[name] = option.origin
        return True

    def done(self) -> Bridge:
        return Bridge(self.variables, tuple(self.arguments), tuple(self.notes), self.origins)


def _bridge_indexes(build: _Builder, options: Mapping[str, PipOption], cwd: Path) -> None:
    no_index = options.get("no-index")
    own = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL")
    several = build.put(
        "UV_FIND_LINKS", options.get("find-links"), convert=lambda value: _places(value, cwd)
    )
    if no_index and no_index.is_true():
        if not any(build.environ.get(name) for name in own):
            build.arguments.append("--no-index")
            build.origins["--no-index"] = no_index.origin
    else:
        build.put(
            "UV_DEFAULT_INDEX",
            options.get("index-url"),
            also=("UV_INDEX_URL",),
            convert=lambda value: _index(value, cwd),
        )
        several |= build.put(
            "UV_INDEX",
            options.get("extra-index-url"),
            also=("UV_EXTRA_INDEX_URL",),
            convert=lambda value: " ".join(_index(word, cwd) for word in value.split()),
        )
    if several and "index-strategy" not in build.uv_file_keys:
        strategy = PipOption("unsafe-best-match", "pip treats all its sources as equal")
        build.put("UV_INDEX_STRATEGY", strategy)


def _bridge_network(build: _Builder, options: Mapping[str, PipOption]) -> None:
    proxy = options.get("proxy")
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        build.put(name, proxy, also=(name.lower(), "ALL_PROXY", "all_proxy"), convert=_proxy)
    timeout = options.get("timeout")
    if timeout and not _NUMBER.match(timeout.value.strip()):
        build.notes.append(f"{timeout.origin}: {timeout.value!r} is no number of seconds")
    else:
        others = ("UV_REQUEST_TIMEOUT", "HTTP_TIMEOUT")
        build.put("UV_HTTP_TIMEOUT", timeout, also=others, convert=_seconds)
    keyring = options.get("keyring-provider")
    if keyring and keyring.value.strip() == "subprocess":
        build.put("UV_KEYRING_PROVIDER", keyring)


def _places(value: str, cwd: Path) -> str:
    # uv separates them by commas, so a path that has one must be written as an address.
    return ",".join(_place(word, cwd) for word in value.split())


def _place(word: str, cwd: Path) -> str:
    if "://" in word or word.startswith("file:"):
        return word.replace(",", "%2C")
    path = _path(word, cwd)
    return f"file://{quote(path)}" if "," in path else path


def _index(word: str, cwd: Path) -> str:
    return word if "://" in word or word.startswith("file:") else _path(word, cwd)


def _path(value: str, cwd: Path) -> str:
    # As pip does: `~someone` that the system does not know stays a name like any other.
    return os.path.normpath(cwd / os.path.expanduser(value.strip()))  # noqa: PTH111


def _words(value: str) -> str:
    return " ".join(value.split())


def _proxy(value: str) -> str:
    return value if "://" in value else f"http://{value}"


def _seconds(value: str) -> str:
    return str(max(1, round(float(value))))


def uv_environment(environ: Mapping[str, str], bridge: Bridge) -> dict[str, str]:
    """Choose the variables that uv inherits, and add the bridge's. Pure."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _UV_KEPT
        or name in _PLAIN
        or name.startswith((*_UV_KEPT_PREFIXES, *_PLAIN_PREFIXES))
    }
    if kept.get("UV_LINK_MODE") == "symlink":
        # Links into uv's cache break when it is cleaned: a finished environment would change.
        del kept["UV_LINK_MODE"]
    return {**kept, **bridge.variables, **_FIXED}


def _absolute(environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """Make the relative paths in uv's own variables absolute: uv is not started in `cwd`."""
    changed = dict(environ)
    for name in ("UV_CACHE_DIR", "UV_CONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        if changed.get(name):
            changed[name] = str(cwd / changed[name])
    if changed.get("UV_FIND_LINKS"):
        words = changed["UV_FIND_LINKS"].split(",")
        changed["UV_FIND_LINKS"] = ",".join(_index(word, cwd) for word in words if word.strip())
    return changed


def uv_config_keys(environ: Mapping[str, str]) -> frozenset[str]:
    """Name the settings in the uv.toml files that uv will read by itself.

    A file that is no TOML counts as empty: uv says so better, the moment it is started.
    """
    keys: set[str] = set()
    for path in _uv_config_paths(environ):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        keys |= set(content)
        pip = content.get("pip")
        keys |= set(pip) if isinstance(pip, dict) else set()
    return frozenset(keys)


def _uv_config_paths(environ: Mapping[str, str]) -> list[Path]:
    if environ.get("UV_CONFIG_FILE"):
        return [Path(environ["UV_CONFIG_FILE"])]
    if environ.get("UV_NO_CONFIG"):
        return []
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    system = [part for part in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if part]
    folders = [user, *(Path(part) for part in system or ["/etc/xdg"]), Path("/etc")]
    return [folder / "uv" / "uv.toml" for folder in folders]


def settings_for_uv(environ: Mapping[str, str]) -> tuple[dict[str, str], Bridge]:
    """Read this machine's pip and uv configuration; return uv's environment and the bridge.

    Raises:
        UsageError: pip's configuration is damaged.
    """
    environ = _absolute(environ, Path.cwd())
    files = read_config_files(config_paths(environ, prefix=sys.prefix))
    options = pip_options(environ, files)
    keys = uv_config_keys(environ)
    bridge = bridge_pip(options, environ, cwd=Path.cwd(), uv_file_keys=keys)
    return uv_environment(environ, bridge), bridge
