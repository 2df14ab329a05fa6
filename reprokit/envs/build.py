"""Building environments: spec, build, probe from inside, marker last."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reprokit.atomic_files import write_atomic, write_record
from reprokit.cache import CacheLayout
from reprokit.envs.checkout_content import few
from reprokit.envs.disk import forbid_writing, locked, remove_tree
from reprokit.envs.interpreter import Interpreter
from reprokit.envs.lock import Lock
from reprokit.envs.probe import Findings, differences, probe
from reprokit.envs.redact import redact
from reprokit.envs.resolve import wheels_only
from reprokit.envs.store import (
    EnvironmentMarker,
    EnvironmentSpec,
    Place,
    environment_key,
    python_of,
)
from reprokit.envs.torch_index import TorchIndex
from reprokit.envs.uv_command import Trouble, Uv, read_complaint
from reprokit.errors import EnvironmentBuildError, TamperedEnvironmentError
from reprokit.process.tool import ToolResult
from reprokit.progress import Event, Observer
from reprokit.stack import Probe


@dataclass(frozen=True)
class Built:
    """An environment that was just verified.

    Attributes:
        undeclared: what the packages themselves say against the combination; None if nothing.
        reused: False when it was built now.
    """

    key: str
    prefix: Path
    probe: Probe
    undeclared: str | None
    reused: bool

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return python_of(self.prefix)


class EnvironmentBuilder:
    """Builds or reuses environments; safe in several threads and several processes at once.

    Args:
        cache: where environments are kept.
        uv: the uv of this machine.
        torch: the PyTorch build that is asked for.
        build_from_source: distributions that may be built.
        observer: told what happens.
    """

    def __init__(
        self,
        cache: CacheLayout,
        uv: Uv,
        torch: TorchIndex,
        *,
        build_from_source: tuple[str, ...],
        observer: Observer,
    ) -> None:
        self._cache = cache
        self._uv = uv
        self._torch = torch
        self._build_from_source = build_from_source
        self._observer = observer

    def ensure(self, lock: Lock, interpreter: Interpreter, subject: str) -> Built:
        """Return the environment of a lock on an interpreter, verified file by file.

        Raises:
            TamperedEnvironmentError: its files are not those that the lock names.
            ProbeError: it does not answer.
            EnvironmentBuildError: it cannot be installed.
        """
        place = Place(self._cache.environments, environment_key(lock, interpreter))
        with locked(place.lock_path, self._observer, subject):
            marker = place.marker()
            built = None if marker is None else self._reuse(place, marker, lock, subject)
            if built is None:
                built = self._build(place, lock, interpreter, subject)
            place.used_path.touch()
        return built

    def _tell(self, subject: str, text: str) -> None:
        self._observer(Event("prepare", subject, text))

    def _reuse(
        self, place: Place, marker: EnvironmentMarker, lock: Lock, subject: str
    ) -> Built | None:
        """Verify a finished environment; None when the Python it was made from is gone."""
        prefix = place.prefix(marker)
        if not python_of(prefix).exists():
            return None
        self._tell(subject, f"verifying environment {place.key[:12]}")
        findings = probe(python_of(prefix), prefix)
        if findings.probe.python != marker.spec.interpreter.version:
            return None
        changed = findings.changes_since(marker.findings)
        if changed:
            raise _tampered(place.key, changed, findings)
        self._compare(place, lock, findings)
        return Built(place.key, prefix, findings.probe, marker.undeclared, reused=True)

    def _build(self, place: Place, lock: Lock, interpreter: Interpreter, subject: str) -> Built:
        self._tell(subject, f"building environment {place.key[:12]} ({len(lock.pins)} to install)")
        place.marker_path.unlink(missing_ok=True)
        remove_tree(place.folder)
        spec = EnvironmentSpec(key=place.key, lock_sha256=lock.sha256(), interpreter=interpreter)
        place.folder.mkdir(parents=True)
        write_record(place.folder / "spec.json", spec)
        write_atomic(place.folder / "lock.txt", [lock.text().encode()])
        prefix = place.folder / f"venv-{secrets.token_hex(4)}"
        try:
            marker = self._install(place, spec, lock, prefix)
        except EnvironmentBuildError:
            remove_tree(prefix)  # spec, lock and log stay, for whoever reads the error
            raise
        write_record(place.marker_path, marker)
        return Built(place.key, prefix, marker.findings.probe, marker.undeclared, reused=False)

    def _install(
        self, place: Place, spec: EnvironmentSpec, lock: Lock, prefix: Path
    ) -> EnvironmentMarker:
        begun = time.monotonic()
        self._create(place, spec.interpreter, prefix)
        self._sync(place, prefix)
        seconds = time.monotonic() - begun
        undeclared = self._check(place, prefix)
        findings = probe(python_of(prefix), prefix)
        self._compare(place, lock, findings)
        damaged = findings.damage()
        if damaged:
            raise _tampered(place.key, damaged, findings)
        forbid_writing(prefix)
        return EnvironmentMarker(
            spec=spec,
            folder=prefix.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=seconds,
            uv=self._uv.version,
            undeclared=undeclared,
            findings=findings,
        )

    def _create(self, place: Place, interpreter: Interpreter, prefix: Path) -> None:
        result = self._uv.run("venv", "--no-project", "--python", interpreter.path, str(prefix))
        _append(place.log_path, "uv venv", result)
        if not result.ok:
            raise EnvironmentBuildError(
                f"uv could not create an environment for Python {interpreter.version}: "
                f"{read_complaint(result).sentence}",
                hint=f"The whole log: {place.log_path}",
            )

    def _sync(self, place: Place, prefix: Path) -> None:
        def command(chosen: Uv, backend: tuple[str, ...]) -> ToolResult:
            return chosen.pip(
                "sync", str(place.folder / "lock.txt"), "--python", str(python_of(prefix)),
                "--require-hashes", *wheels_only(self._build_from_source), *backend,
            )  # fmt: skip

        result = self._torch.run(self._uv, command)
        _append(place.log_path, "uv pip sync", result)
        if not result.ok:
            raise _install_failure(result, place)

    def _check(self, place: Place, prefix: Path) -> str | None:
        """Ask whether the packages declare that they go together; return what they say if not."""
        python = str(python_of(prefix))
        result = self._uv.pip("check", "--python", python, indexes=False)
        _append(place.log_path, "uv pip check", result)
        if result.ok:
            return None
        lines = [line.strip() for line in result.stderr.splitlines()]
        said = "; ".join(line for line in lines if line.startswith("The package"))
        if not said:
            raise EnvironmentBuildError(
                f"uv could not check the installed packages: {read_complaint(result).sentence}",
                hint=f"The whole log: {place.log_path}",
            )
        return said

    def _compare(self, place: Place, lock: Lock, findings: Findings) -> None:
        differing = differences(lock, findings.probe)
        if differing:
            raise TamperedEnvironmentError(
                f"environment {place.key} is not what its lock names: {few(differing)}",
                files=differing,
                hint=f"Remove it with `reprokit env prune {place.key}` and prepare again.",
            )


def _install_failure(result: ToolResult, place: Place) -> EnvironmentBuildError:
    complaint = read_complaint(result)
    log = f"The whole log: {place.log_path}"
    if complaint.trouble in {Trouble.HASH, Trouble.UNSATISFIABLE}:
        return EnvironmentBuildError(
            f"the lock names a build that no configured index holds: {complaint.sentence}",
            hint="Use an index or a wheel folder that has it, or resolve anew with --relock; the "
            f"report then says that the stack is another one. {log}",
        )
    if complaint.trouble is Trouble.NETWORK:
        return EnvironmentBuildError(
            f"a package index could not be reached: {complaint.sentence}",
            hint=f"Check the network and the index settings of pip or uv. {log}",
        )
    return EnvironmentBuildError(f"uv could not install the lock: {complaint.sentence}", hint=log)


def _tampered(key: str, names: tuple[str, ...], findings: Findings) -> TamperedEnvironmentError:
    owners = _owners(names, findings)
    clean = "".join(f" `uv cache clean {name}`" for name in owners[:3]) or " `uv cache clean`"
    subject = "1 file" if len(names) == 1 else f"{len(names)} files"
    return TamperedEnvironmentError(
        f"{subject} of environment {key} not as installed: {few(names)}",
        files=names,
        hint=f"Remove it with `reprokit env prune {key}`. uv's cache may share the altered files "
        f"(hard links), so run{clean} too, then prepare again.",
    )


def _owners(names: tuple[str, ...], findings: Findings) -> list[str]:
    """Guess which distributions the files belong to, by the first part of their path."""
    known = {each.name for each in findings.probe.distributions}
    owners = []
    for name in names:
        inner = name.split("site-packages/", 1)[-1].split("/", 1)[0]
        first = inner.split("-", 1)[0].removesuffix(".py").replace("_", "-").lower()
        if first in known and first not in owners:
            owners.append(first)
    return owners


def _append(log: Path, title: str, result: ToolResult) -> None:
    text = json.dumps({"command": title, "returncode": result.returncode})
    with log.open("a", encoding="utf-8") as out:
        out.write(f"{text}\n{redact(result.stdout)}{redact(result.stderr)}\n")
