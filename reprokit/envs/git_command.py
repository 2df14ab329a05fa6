"""Git as reprokit runs it: the user's settings honoured, nothing of a repository executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from reprokit.envs.redact import HUB_TOKENS, redact
from reprokit.errors import CheckoutError
from reprokit.process.tool import ToolResult, run_tool

LOCAL_LIMIT_S = 600.0
"""Time limit for commands that touch only this machine."""

# Set by Git for hooks and aliases, and by people; they would redirect a command to another
# repository or index than the one it is given (the list of `git rev-parse --local-env-vars`).
_REPOSITORY_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
# Tracing prints headers and addresses with credentials into the logs that we keep.
_DROPPED_PREFIXES = ("GIT_TRACE", "GIT_CURL_VERBOSE", "GIT_EXTERNAL_DIFF")

_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.sparseCheckout=false",
    "core.quotePath=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.ext.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=no",
    "fetch.fsckObjects=false",
    "credential.interactive=never",
    "advice.detachedHead=false",
)


class GitCommand:
    """Starts Git with safe settings.

    It inherits the user's environment, credential variables included: fetching is done in the
    user's name, with the user's helpers, and runs no code of a repository. Hooks, filters and
    remote helpers that would are switched off.

    Args:
        environ: the environment that reprokit was started with.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        binary = shutil.which("git", path=environ.get("PATH", os.defpath))
        if binary is None:
            raise CheckoutError("git is not installed", hint="Install git and try again.")
        self._binary = binary
        self._environ = dict(environ)

    def run(
        self,
        *args: str,
        cwd: Path,
        extra_env: Mapping[str, str] | None = None,
        timeout_s: float = LOCAL_LIMIT_S,
    ) -> ToolResult:
        """Run one Git command; never prompts. Only a failure to start raises."""
        settings = [part for setting in self._settings for part in ("-c", setting)]
        env = {**self.environment, **(extra_env or {})}
        return run_tool([self._binary, *settings, *args], env=env, cwd=cwd, timeout_s=timeout_s)

    def must(self, *args: str, cwd: Path, extra_env: Mapping[str, str] | None = None) -> str:
        """Run a command on this machine's files that has no reason to fail; return its output.

        Raises:
            CheckoutError: it failed all the same, with what Git said.
        """
        result = self.run(*args, cwd=cwd, extra_env=extra_env)
        if not result.ok:
            said = result.stderr.strip() or f"exit {result.returncode}"
            raise CheckoutError(
                f"git {args[0]} failed in {cwd}: {redact(said)}",
                hint="A full disk or a damaged cache are likely; the folder may be removed.",
            )
        return result.stdout

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of every Git command."""
        env = {
            name: value
            for name, value in self._environ.items()
            if name not in {*_REPOSITORY_VARIABLES, *HUB_TOKENS}
            and not name.startswith(_DROPPED_PREFIXES)
        }
        env.update(
            LC_ALL="C",
            LANGUAGE="C",
            GIT_TERMINAL_PROMPT="0",
            GIT_ASKPASS="",  # empty: also hides core.askPass and SSH_ASKPASS, which open windows
            SSH_ASKPASS_REQUIRE="never",
            GCM_INTERACTIVE="never",
            GIT_LFS_SKIP_SMUDGE="1",
            GIT_OPTIONAL_LOCKS="0",
            GIT_ALLOW_PROTOCOL="file:git:http:https:ssh",
        )
        # A server that accepts and then says nothing: give up after a minute.
        env.setdefault("GIT_HTTP_LOW_SPEED_LIMIT", "100")
        env.setdefault("GIT_HTTP_LOW_SPEED_TIME", "60")
        env["GIT_SSH_COMMAND"] = self._ssh_command
        return env

    @cached_property
    def _ssh_command(self) -> str:
        # GIT_SSH_COMMAND hides core.sshCommand and GIT_SSH, so it has to carry what they say.
        given = self._environ.get("GIT_SSH_COMMAND") or self._configured("core.sshCommand")
        ssh = given or self._environ.get("GIT_SSH") or "ssh"
        return f"{ssh} -o BatchMode=yes -o ConnectTimeout=30"

    @cached_property
    def _settings(self) -> tuple[str, ...]:
        # A repository can only name filters (Git LFS and others); the user's settings define them.
        names = self._configured("--name-only", "--get-regexp", r"^filter\.").splitlines()
        drivers = sorted({name.rsplit(".", 1)[0] for name in names})
        switched_off = [
            f"{driver}.{key}"
            for driver in drivers
            for key in ("smudge=", "clean=", "process=", "required=false")
        ]
        return (*_SETTINGS, *switched_off)

    def _configured(self, *args: str) -> str:
        # Asked outside of any repository: only the system's and the user's settings count.
        query = args if len(args) > 1 else ("--get", *args)
        withheld = {*_REPOSITORY_VARIABLES, *HUB_TOKENS}
        env = {k: v for k, v in self._environ.items() if k not in withheld}
        result = run_tool(
            [self._binary, "config", *query],
            env={**env, "LC_ALL": "C", "GIT_DIR": os.devnull},
            cwd=Path("/"),
            timeout_s=30,
        )
        return result.stdout.strip() if result.ok else ""
