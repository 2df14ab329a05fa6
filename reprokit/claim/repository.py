"""Which repository URLs a claim may name: a claim is a stranger's file, and Git can run programs.

Refused: transports other than https and ssh (`ext::` runs a command, http and git are open to
anybody on the way), what Git or ssh could read as an option (CVE-2017-1000117), credentials in the
URL, and characters that end a line of Git's credential protocol (CVE-2020-5260).
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

from reprokit.claim.problems import Complaint

_NOT_PRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\\]|%(?:[01][0-9a-fA-F]|7[fF])")
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)?(?P<host>[^@/:]+):(?P<path>.+)")

_LOCAL = "Name the public repository, or allow local ones (allow_local, --allow-local-repos)."
_ALLOWED = "Use https://host/path, ssh://user@host/path or user@host:path."


def repository_complaint(url: str, *, allow_local: bool = False) -> Complaint | None:
    """Say why a repository URL is refused, or nothing if it may be used.

    Args:
        url: as the claim writes it.
        allow_local: also accept file:// URLs and absolute paths.
    """
    if complaint := _text_complaint(url):
        return complaint
    if scheme := _SCHEME.match(url):
        return _url_complaint(scheme.group(1), url, allow_local=allow_local)
    if url.startswith("/"):
        return None if allow_local else Complaint(f"{url!r} is a path of one machine", _LOCAL)
    if scp := _SCP.fullmatch(url):
        return _scp_complaint(url, scp)
    return Complaint(f"{url!r} is not a repository URL", _ALLOWED)


def _text_complaint(url: str) -> Complaint | None:
    if not url:
        return Complaint("the repository URL is empty", _ALLOWED)
    if found := _NOT_PRINTABLE.search(url):
        shown = found.group() if found.group().startswith("%") else repr(found.group())
        return Complaint(f"the repository URL contains {shown}", "Remove it.")
    if url.startswith("-"):
        return Complaint(f"the repository URL {url!r} begins with '-'", _ALLOWED)
    if _HELPER.match(url):
        return Complaint(f"{url!r} names a Git transport helper, which can run commands", _ALLOWED)
    return None


def _url_complaint(scheme: str, url: str, *, allow_local: bool) -> Complaint | None:
    if scheme not in {"https", "ssh", "file"}:
        if scheme.lower() in {"https", "ssh"}:
            return Complaint(f"{scheme}:// is written in lower case", _ALLOWED)
        reason = "is not authenticated: anybody on the way can change what is fetched"
        if scheme.lower() not in {"http", "git"}:
            reason = "is not a transport that a claim may use"
        hint = f"Use {url.replace(scheme, 'https', 1)}." if scheme in {"http", "git"} else _ALLOWED
        return Complaint(f"{scheme}:// {reason}", hint)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return Complaint(f"{url!r} is not a URL: {error}", _ALLOWED)
    if scheme == "file":
        return _file_complaint(url, parts, allow_local=allow_local)
    return _remote_complaint(url, parts)


def _file_complaint(url: str, parts: SplitResult, *, allow_local: bool) -> Complaint | None:
    if not allow_local:
        return Complaint(f"{url!r} is a path of one machine", _LOCAL)
    if parts.netloc or not parts.path.startswith("/"):
        return Complaint(f"{url!r} names no absolute path", "Write file:///path.")
    return None


def _remote_complaint(url: str, parts: SplitResult) -> Complaint | None:
    user, _, host = parts.netloc.rpartition("@")
    host = host if host.endswith("]") else re.sub(r":\d*$", "", host)
    if parts.password is not None or (user and parts.scheme == "https"):
        return Complaint(
            "the repository URL contains credentials",
            "Remove them: Git's own credential helpers are used.",
        )
    if user and not _USER.fullmatch(user):
        return Complaint(f"{user!r} in {url!r} is not a user name", _ALLOWED)
    if not _HOST.fullmatch(host):
        return Complaint(f"{host!r} in {url!r} is not a host name", _ALLOWED)
    return _path_complaint(url, parts)


def _path_complaint(url: str, parts: SplitResult) -> Complaint | None:
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return Complaint(f"{url!r} has a query or a fragment", "Write what git clone takes.")
    if _leads_out(unquote(parts.path)):  # the server sees the decoded path
        return Complaint(f"{url!r} leads out of its own path", _ALLOWED)
    if not parts.path.strip("/"):
        return Complaint(f"{url!r} names a host but no repository", _ALLOWED)
    return None


def _scp_complaint(url: str, scp: re.Match[str]) -> Complaint | None:
    user, host, path = scp.group("user", "host", "path")
    if user is None:
        # `host:path` is what one person's ssh configuration makes of it, or a drive letter.
        return Complaint(f"{url!r} names no user and means nothing on another machine", _ALLOWED)
    if not _USER.fullmatch(user):
        return Complaint(f"{user!r} in {url!r} is not a user name", _ALLOWED)
    if not _HOST.fullmatch(host):
        return Complaint(f"{host!r} in {url!r} is not a host name", _ALLOWED)
    if path.startswith("-"):
        return Complaint(f"the path in {url!r} begins with '-'", _ALLOWED)
    if _leads_out(path):
        return Complaint(f"{url!r} leads out of its own path", _ALLOWED)
    return None


def _leads_out(path: str) -> bool:
    return ".." in path.split("/")
