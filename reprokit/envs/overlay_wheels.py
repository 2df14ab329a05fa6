"""Which wheels an overlay needs, and their installation into a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reprokit.envs.checkout_content import few
from reprokit.envs.host_probe import HostFindings
from reprokit.envs.host_requirements import applies, fits, read_requirement, version_of
from reprokit.envs.lock import Lock
from reprokit.envs.pylock import list_wheels, lock_of
from reprokit.envs.redact import redact
from reprokit.envs.resolve import UNSATISFIED, Request, wheels_only
from reprokit.envs.steps import StepError
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Trouble, Uv, read_complaint
from reprokit.errors import EnvironmentBuildError
from reprokit.process.tool import ToolResult

UNRESOLVED, NOT_INSTALLED = "overlay_unresolved", "overlay_not_installed"
KEPT = frozenset({"torch"})
"""Never put into an overlay for another package's sake: measuring it is what a host stack is for.

Where it does not fit, the combination is undeclared, and said to be so.
"""
_ROUNDS = 8


class OverlayWheels:
    """Resolves and installs overlays of an existing interpreter.

    Args:
        uv: gives the uv of this machine; asked only when an overlay is needed.
        torch: the PyTorch build that is asked for.
        exclude_newer, build_from_source: see `Request`.
    """

    def __init__(
        self,
        uv: Callable[[], Uv],
        torch: TorchIndex,
        *,
        exclude_newer: str | None,
        build_from_source: tuple[str, ...],
    ) -> None:
        self._uv, self._torch = uv, torch
        self._exclude_newer, self._from_source = exclude_newer, build_from_source
        self._locks: dict[tuple[str, ...], Lock | EnvironmentBuildError] = {}

    def lock(self, swept: tuple[str, ...], base: HostFindings) -> Lock:
        """Resolve swept packages, once for all points that ask for the same.

        Raises:
            StepError: an index has no wheel of one for this interpreter, or is not to be reached.
        """
        if swept not in self._locks:
            try:
                self._locks[swept] = self._resolve(swept, base)
            except EnvironmentBuildError as error:
                self._locks[swept] = error
        known = self._locks[swept]
        if isinstance(known, Lock):
            return known
        raise known if isinstance(known, StepError) else _unresolved(swept, known)

    def _resolve(self, swept: tuple[str, ...], base: HostFindings) -> Lock:
        """Lock the swept packages, and of what they require only what the interpreter lacks.

        A package of the interpreter that fits is never looked for on an index: a vendor's build is
        on none.
        """
        lines = list(swept)
        for _ in range(_ROUNDS):
            with self._uv().scratch() as scratch:
                lock = self._compile(lines, base)
                path = scratch / "lock.txt"
                path.write_text(lock.text(), encoding="utf-8")
                self.install(path, scratch / "site", base)
                more = list(_unmet(scratch / "site", swept, base))
            new = [line for line in more if line not in lines]
            if not new:
                return lock
            lines += new
        raise StepError(
            UNRESOLVED,
            f"what the overlay of {', '.join(swept)} requires beside the interpreter's own "
            f"packages does not come to an end: {few(lines)}",
        )

    def _compile(self, lines: list[str], base: HostFindings) -> Lock:
        request = Request(
            requirements=tuple(lines),
            overrides=(),
            python=base.probe.executable,
            exclude_newer=self._exclude_newer,
            build_from_source=self._from_source,
        )
        return lock_of(list_wheels(self._uv(), self._torch, request))

    def install(
        self, lock: Path, site: Path, base: HostFindings, *, log: Path | None = None
    ) -> None:
        """Install exactly what a lock names into a folder; every wheel is held to its hash.

        Raises:
            StepError: no source has it, or what it has is not what the lock names.
        """

        def command(chosen: Uv, backend: tuple[str, ...]) -> ToolResult:
            return chosen.pip(
                "install", "--requirement", str(lock), "--target", str(site), "--no-deps",
                "--require-hashes", "--python", base.probe.executable,
                *wheels_only(self._from_source), *backend,
            )  # fmt: skip

        result = self._torch.run(self._uv(), command)
        if log is not None:
            _append(log, result)
        if not result.ok:
            raise _not_installed(result, log)
        (site / ".lock").unlink(missing_ok=True)  # uv's own, which nobody needs any more


def swept_names(swept: Iterable[str]) -> tuple[str, ...]:
    """Name the distributions of `name==version` lines."""
    return tuple(canonicalize_name(Requirement(line).name) for line in swept)


def _unmet(site: Path, swept: tuple[str, ...], base: HostFindings) -> Iterator[str]:
    """Name what the packages of an overlay require and neither it nor the interpreter has."""
    held = {canonicalize_name(each.name): each for each in distributions(path=[str(site)])}
    forced = set(swept_names(swept)) | KEPT
    for each in held.values():
        for line in filter(None, map(read_requirement, each.requires or ())):
            name = canonicalize_name(line.name)
            if name in forced or not applies(line, base):
                continue
            version = held[name].version if name in held else version_of(name, base)
            if not fits(line, version):
                yield f"{name}{line.specifier}"


def _unresolved(swept: tuple[str, ...], error: EnvironmentBuildError) -> StepError:
    hint = error.hint
    if error.what.startswith(UNSATISFIED):
        hint = (
            "Name a version that has a wheel for this Python and platform, or a folder that holds "
            "one: --find-links FOLDER."
        )
    why = error.what.removeprefix(UNSATISFIED)
    return StepError(
        UNRESOLVED, f"no overlay of {', '.join(swept)} for this interpreter: {why}", hint=hint
    )


def _not_installed(result: ToolResult, log: Path | None) -> StepError:
    complaint = read_complaint(result)
    where = f" The whole log: {log}" if log is not None else ""
    if complaint.trouble is Trouble.HASH:
        return StepError(
            NOT_INSTALLED,
            f"a wheel of the overlay is not the one that its lock names: {complaint.sentence}",
            hint=f"It was replaced since the lock was made, or damaged on the way.{where}",
        )
    return StepError(
        NOT_INSTALLED,
        f"uv could not install the overlay: {complaint.sentence}",
        hint=where.strip(),
    )


def _append(log: Path, result: ToolResult) -> None:
    text = json.dumps({"command": "uv pip install --target", "returncode": result.returncode})
    with log.open("a", encoding="utf-8") as out:
        out.write(f"{text}\n{redact(result.stdout)}{redact(result.stderr)}\n")
