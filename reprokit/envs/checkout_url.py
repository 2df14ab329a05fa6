"""Which addresses a repository may have, and what they are called in the cache."""

from __future__ import annotations

import hashlib
import posixpath
import re
from urllib.parse import urlsplit, urlunsplit

from reprokit.envs.redact import redact
from reprokit.errors import CheckoutError

SAFE_SCHEMES = frozenset({"https", "ssh"})
_SCP = re.compile(r"^(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^:].*)$")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9]+")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_NAME = 60


def check_repository_url(url: str, *, allow_local: bool = False) -> None:
    """Accept `https://`, `ssh://` and `user@host:path`; a local path only when asked for.

    What the user's own Git configuration makes of an accepted address (`insteadOf`) is the user's
    business and is not looked at.

    Raises:
        CheckoutError: another protocol, credentials in the address, or something that Git would
            take for an option or a remote helper.
    """
    problem = _problem(url, allow_local=allow_local)
    if problem:
        raise CheckoutError(
            f"the repository address {redact(url)!r} {problem}",
            hint="Use https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH.",
        )


def _problem(url: str, *, allow_local: bool) -> str | None:
    if not url or url.startswith("-") or _UNPRINTABLE.search(url):
        return "is empty, starts with a dash or contains blanks or control characters"
    if "::" in url.split("/", 1)[0]:
        return "names a remote helper, which would run a program"
    if _is_local(url):
        return None if allow_local else "is a path of one machine, which nobody else can check"
    if _SCP.match(url):
        return None
    parts = urlsplit(url)
    if parts.scheme.lower() not in SAFE_SCHEMES:
        return f"uses the protocol {parts.scheme or 'of no name'!r}"
    return _authority_problem(url)


def _authority_problem(url: str) -> str | None:
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "has a port that is no number"
    if not host or host.startswith("-"):
        return "names no host"
    if parts.password is not None or (parts.username and parts.scheme.lower() == "https"):
        return "contains credentials; a Git credential helper is the place for them"
    if parts.username and parts.username.startswith("-"):
        return "has a user name that is an option"
    if ".." in parts.path.split("/") or parts.query or parts.fragment:
        return "has `..`, a query or a fragment in its path"
    return None


def _is_local(url: str) -> bool:
    return url.startswith(("/", "./", "../", "file://")) or not (
        _SCHEME.match(url) or _SCP.match(url)
    )


def resolve_submodule_url(parent: str, url: str) -> str:
    """Return the absolute address of a submodule; a relative one counts from its parent."""
    if not url.startswith(("./", "../")):
        return url
    scp = _SCP.match(parent)
    if scp:
        path = posixpath.normpath(posixpath.join(scp["path"], url))
        return f"{scp['user']}@{scp['host']}:{path}"
    if "://" not in parent:
        return posixpath.normpath(posixpath.join(parent, url))
    parts = urlsplit(parent)
    path = posixpath.normpath(posixpath.join(parts.path or "/", url))
    return urlunsplit(parts._replace(path=path))


def same_repository(one: str, other: str) -> bool:
    """Tell whether two addresses differ only in spelling: a slash, `.git`, case of the host."""
    return _spelling(one) == _spelling(other)


def _spelling(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.path.rstrip("/").removesuffix(".git")


def mirror_name(url: str) -> str:
    """Name the mirror of an address: readable, safe as a file name, different for each address."""
    bare = redact(url).split("://", 1)[-1].removesuffix("/").removesuffix(".git")
    readable = _UNSAFE_IN_NAME.sub("-", bare).strip("-").lower()[-_LONGEST_NAME:].strip("-")
    return f"{readable or 'repository'}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
