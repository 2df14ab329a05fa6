"""From requirements to a lock, by `uv pip compile`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from reprokit.envs.lock import Lock, LockError, parse_lock
from reprokit.envs.target import Target
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Complaint, Trouble, Uv, read_complaint
from reprokit.errors import EnvironmentBuildError
from reprokit.process.tool import ToolResult

UNSATISFIED = "no stack satisfies it: "
_BARE_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Request:
    """What is to be resolved.

    Attributes:
        requirements: PEP 508 lines.
        overrides: `name==value` of the package axes.
        python: path of the interpreter that the environment is for.
        exclude_newer: date in RFC 3339; a bare date means its first moment, UTC.
        build_from_source: distributions that may be built; all others must come as wheels.
        no_deps: only what is named, and nothing that it requires.
        without: distributions that are left out, whoever requires them.
        target: another platform that the environment is for; None for this machine.
    """

    requirements: tuple[str, ...]
    overrides: tuple[str, ...]
    python: str
    exclude_newer: str | None = None
    build_from_source: tuple[str, ...] = ()
    no_deps: bool = False
    without: tuple[str, ...] = ()
    target: Target | None = None


@dataclass(frozen=True)
class Resolution:
    """A lock, and whether the packages themselves declare that they go together.

    `says` is the resolver's own sentence where they do not.
    """

    lock: Lock
    declared: bool = True
    says: str | None = None


def resolve(uv: Uv, torch: TorchIndex, request: Request, *, prefer: Lock | None) -> Resolution:
    """Resolve a request, keeping the versions of another lock wherever they fit.

    The values of the package axes are asked for as plain requirements first. Only when uv says
    that no solution exists are they forced, and the result is marked as not declared.

    Args:
        uv: the uv of this machine.
        torch: the PyTorch build that is asked for.
        request: requirements, package axes and interpreter.
        prefer: a lock whose versions are kept, so that points differ only in what must differ.

    Raises:
        EnvironmentBuildError: nothing satisfies the request even so, or uv cannot find out.
    """
    lines = _requirement_lines(request)
    plain = _compile(uv, torch, request, lines, prefer, overrides=())
    if isinstance(plain, Lock):
        return Resolution(plain)
    if plain.trouble is not Trouble.UNSATISFIABLE or not request.overrides:
        raise resolution_failure(plain, request)
    forced = _compile(uv, torch, request, lines, prefer, overrides=request.overrides)
    if isinstance(forced, Lock):
        return Resolution(forced, declared=False, says=plain.sentence)
    raise resolution_failure(forced, request)


def _requirement_lines(request: Request) -> tuple[str, ...]:
    """Check and normalise the requirement lines, package axes included.

    Raises:
        EnvironmentBuildError: a line is no requirement, or names an address instead of a version.
    """
    lines = []
    for line in dict.fromkeys((*request.requirements, *request.overrides)):
        try:
            parsed = Requirement(line)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            raise EnvironmentBuildError(f"{line!r} is no requirement: {reason}") from error
        if parsed.url:
            raise EnvironmentBuildError(
                f"the requirement {parsed.name} names an address",
                hint="A lock holds versions and hashes only: publish a wheel on an index or in a "
                "find-links folder and name its version.",
            )
        lines.append(str(parsed))
    return tuple(lines)


def _compile(
    uv: Uv,
    torch: TorchIndex,
    request: Request,
    lines: tuple[str, ...],
    prefer: Lock | None,
    *,
    overrides: tuple[str, ...],
) -> Lock | Complaint:
    with uv.scratch() as folder:
        arguments = _arguments(folder, request, lines, overrides)
        output = folder / "lock.txt"

        def command(chosen: Uv, backend: tuple[str, ...]) -> ToolResult:
            output.write_text(prefer.text() if prefer else "", encoding="utf-8")
            return chosen.pip("compile", *arguments, *backend, "--output-file", str(output))

        result = torch.run(uv, command)
        if not result.ok:
            return read_complaint(result)
        text = output.read_text(encoding="utf-8")
    try:
        return parse_lock(text)
    except LockError as error:
        raise EnvironmentBuildError(
            f"uv resolved to something that cannot be locked: {error}",
            hint="Every distribution must come from an index or a find-links folder.",
        ) from error


def compile_arguments(folder: Path, request: Request) -> list[str]:
    """Return the arguments of `uv pip compile` for a request, without forcing anything.

    Raises:
        EnvironmentBuildError: a line is no requirement, or names an address instead of a version.
    """
    return _arguments(folder, request, _requirement_lines(request), ())


def _arguments(
    folder: Path, request: Request, lines: tuple[str, ...], overrides: tuple[str, ...]
) -> list[str]:
    source = folder / "requirements.in"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    arguments = [
        str(source), "--python", request.python, "--quiet", "--generate-hashes", "--no-header",
        "--no-annotate", *wheels_only(request.build_from_source),
    ]  # fmt: skip
    if overrides:
        forced = folder / "overrides.txt"
        forced.write_text("\n".join(overrides) + "\n", encoding="utf-8")
        arguments += ["--overrides", str(forced)]
    if request.no_deps:
        arguments.append("--no-deps")
    if request.without:
        left_out = folder / "excludes.txt"
        left_out.write_text("\n".join(request.without) + "\n", encoding="utf-8")
        arguments += ["--excludes", str(left_out)]
    if request.target is not None:
        arguments += request.target.options()
    if request.exclude_newer:
        arguments += ["--exclude-newer", utc_moment(request.exclude_newer)]
    return arguments


def wheels_only(build_from_source: tuple[str, ...]) -> list[str]:
    """Return the uv options that forbid building, but for the distributions named."""
    allowed = (part for name in build_from_source for part in ("--no-binary", _name(name)))
    return ["--only-binary", ":all:", *allowed]


def _name(name: str) -> str:
    return canonicalize_name(name)


def utc_moment(date: str) -> str:
    """Write a date as a moment in UTC; uv would read a bare date in the local time zone."""
    return f"{date}T00:00:00Z" if _BARE_DATE.match(date) else date


def resolution_failure(complaint: Complaint, request: Request) -> EnvironmentBuildError:
    """Turn uv's complaint about a request into an error with a next step."""
    if complaint.trouble is Trouble.UNSATISFIABLE:
        hint = "Change the requirements of the claim or the value of the axis."
        if request.exclude_newer:
            hint += (
                f" Only distributions uploaded before {utc_moment(request.exclude_newer)} count, "
                "and an index that does not say when counts as having none."
            )
        return EnvironmentBuildError(f"{UNSATISFIED}{complaint.sentence}", hint=hint)
    if complaint.trouble is Trouble.NETWORK:
        return EnvironmentBuildError(
            f"the package index could not be reached: {complaint.sentence}",
            hint="Check the network and the index settings of pip or uv. Where there is none, name "
            "a folder of wheels and ask no index: --find-links FOLDER --offline.",
        )
    return EnvironmentBuildError(f"uv could not resolve the stack: {complaint.sentence}")
