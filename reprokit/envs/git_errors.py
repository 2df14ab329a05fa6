"""What Git says when a fetch fails, turned into the error that a user can act on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reprokit.envs.redact import redact
from reprokit.errors import CheckoutError, RepositoryNotFoundError, RepositoryUnreachableError
from reprokit.process.tool import ToolResult


@dataclass(frozen=True)
class _Rule:
    pattern: str
    error: type[CheckoutError]
    what: str
    hint: str


# In this order: Git often adds the later, vaguer sentences to the earlier ones.
_RULES = (
    _Rule(
        r"transport '\S+' not allowed|protocol .*not (allowed|supported)",
        CheckoutError,
        "{where} leads to a protocol that is not allowed: {said}",
        "Look at the insteadOf entries of your Git configuration.",
    ),
    _Rule(
        r"dubious ownership",
        CheckoutError,
        "Git refuses to read {where}, because it belongs to another user",
        "Add it to safe.directory in your Git configuration if you trust it.",
    ),
    _Rule(
        r"could not read (Username|Password)|terminal prompts disabled|Authentication failed|"
        r"Permission denied|returned error: 40[13]|HTTP Basic: Access denied|Host key verification",
        RepositoryUnreachableError,
        "{where} asks for credentials, and Git has none that it accepts: {said}",
        "Hosts answer so for private repositories and also for those that were moved or deleted. "
        "Open the address in a browser; for a private one set up a Git credential helper or an SSH "
        "key. reprokit never prompts.",
    ),
    _Rule(
        r"repository .*not found|does not appear to be a git repository|"
        r"returned error: (404|410)|project you were looking for could not be found|"
        r"repository .*does not exist|not a git repository",
        RepositoryNotFoundError,
        "there is no repository at {where}: {said}",
        "It may have been moved, deleted or made private. Correct `source.repo` in the claim, or "
        "map the old address with `git config url.NEW.insteadOf OLD`.",
    ),
    _Rule(
        r"could not resolve|couldn't resolve|unable to access|name or service not known|"
        r"connection (timed out|refused|reset|closed)|could not connect|couldn't connect|"
        r"network is unreachable|no route to host|operation (timed out|too slow)|certificate|"
        r"unexpected disconnect|early EOF|RPC failed|hung up|returned error: 5\d\d|"
        r"could not read from remote repository|proxy|\bSSL\b|\bTLS\b",
        RepositoryUnreachableError,
        "the host of {where} could not be reached: {said}",
        "Check the network, the proxy and the host name. Without a network, a mirror can stand in: "
        "`git config url.MIRROR.insteadOf ADDRESS`.",
    ),
)
_COMMIT_MISSING = re.compile(
    r"not our ref|unadvertised object|couldn't find remote ref|no such ref|bad object|"
    r"did not send all necessary objects",
    re.IGNORECASE,
)
_REDIRECT = re.compile(r"^warning: redirecting to (\S+)", re.MULTILINE)
_NOISE = re.compile(r"^(warning|hint|remote: (Enumerating|Counting|Compressing)).*$", re.MULTILINE)


def commit_is_missing(result: ToolResult) -> bool:
    """Tell whether the repository answered that it does not have, or not give out, a commit."""
    return not result.timed_out and bool(_COMMIT_MISSING.search(result.stderr))


def redirected_to(result: ToolResult) -> str | None:
    """Return the address that the host sent Git on to, None where it did not."""
    found = _REDIRECT.search(result.stderr)
    return redact(found.group(1)) if found else None


def explain(result: ToolResult, url: str, *, timeout_s: float) -> CheckoutError:
    """Turn a failed fetch of a repository into an error with its cause and a next step."""
    where = redact(url)
    if result.timed_out:
        return RepositoryUnreachableError(
            f"fetching {where} took longer than {timeout_s:.0f} s and was stopped",
            hint="Check the network and the proxy, then try again; what was built is kept.",
        )
    said = redact(" ".join(_NOISE.sub("", result.stderr).split())) or f"exit {result.returncode}"
    for rule in _RULES:
        if re.search(rule.pattern, result.stderr, re.IGNORECASE):
            return rule.error(rule.what.format(where=where, said=said), hint=rule.hint)
    return CheckoutError(f"fetching {where} failed: {said}", hint="The words are Git's own.")
