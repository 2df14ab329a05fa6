"""Which addresses a repository may have, and what they are called in the cache."""

from __future__ import annotations

import hashlib
import posixpath
import re
from urllib.parse import urlsplit, urlunsplit

from reprokit.claim.repository import repository_complaint
from reprokit.envs.redact import redact
from reprokit.errors import CheckoutError

_SCP = re.compile(r"^(?P<user>[A-Za-z0-9_][\w.-]*)@(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^:].*)$")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME = 60


def check_repository_url(url: str, *, allow_local: bool = False) -> None:
    """Refuse an address that a claim may not name; submodules come under the same rules.

    What the user's own Git configuration makes of an accepted address (`insteadOf`) is the user's
    business and is not looked at.

    Raises:
        CheckoutError: see `reprokit.claim.repository`.
    """
    complaint = repository_complaint(url, allow_local=allow_local)
    if complaint is not None:
        raise CheckoutError(redact(complaint.message), hint=complaint.hint)


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
