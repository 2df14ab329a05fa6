"""Gate 2: what a figure was measured on, down to the Triton that was verified on disk.

GPU class, VRAM, OS, driver, CUDA, PyTorch build and Triton (TR147, SS10.3, whose own rows all say
`triton_verified: false`). A version counts as verified where the files that it names have the
hashes of their RECORD, as the probe of the environment compared them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from packaging.version import InvalidVersion, Version
from pydantic import JsonValue

from reprokit.gates.findings import Finding, gate_of
from reprokit.gates.on_disk import verified_on_disk
from reprokit.plan import Plan
from reprokit.records import NOT_ATTEMPTED, GpuRecord, Row, RowStatus
from reprokit.stack import Alteration, Probe, ReadyPoint
from reprokit.verdict.gate import GateVerdict
from reprokit.verdict.wording import series

_NOT_APPLICABLE = "measured on a CPU: GPU class, VRAM, driver and CUDA are not applicable"
_PACKAGES = ("torch", "triton")
_SHORT = 12


@dataclass
class _Seen:
    """What the attempted rows of one stack point say of where they ran; each fact once."""

    attempted: bool = False
    devices: set[str] = field(default_factory=set)
    gpus: list[GpuRecord] = field(default_factory=list)
    versions: dict[str, set[str]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take in one row."""
        if row.status in NOT_ATTEMPTED:
            return
        self.attempted = True
        if row.evidence.device is not None and row.status is RowStatus.OK:
            self.devices.add(row.evidence.device.partition(":")[0])
        if row.gpu is not None:
            self.gpus.append(row.gpu)
        versions = row.evidence.extra.get("versions")
        if isinstance(versions, dict):
            for name in (*_PACKAGES, "torch_git"):
                said = versions.get(name)
                if isinstance(said, str):
                    self.versions.setdefault(name, set()).add(said)


def judge_attribution(
    plan: Plan,
    ready: Mapping[str, ReadyPoint],
    rows: Iterable[Row],
    altered: Mapping[str, Alteration],
) -> GateVerdict:
    """Judge every stack point at which anything was measured.

    Args:
        plan: the plan of the run.
        ready: what became of each stack point, with the probe of its environment.
        rows: the rows of the run.
        altered: what benchmarks were found to have changed, by stack point.
    """
    seen = {point.id: _Seen() for point in plan.points}
    for row in rows:
        seen[row.point].add(row)
    findings = [
        Finding(finding.state, finding.says, name)
        for name, found in seen.items()
        if found.attempted
        for finding in _point(ready.get(name), found, plan.setup.device, altered.get(name))
    ]
    if not findings:
        findings = [Finding("open", "nothing was measured, so there is nothing to attribute")]
    return gate_of("environment_attribution", findings)


def _point(
    ready: ReadyPoint | None, seen: _Seen, asked: str, altered: Alteration | None
) -> Iterator[Finding]:
    probe = ready.probe if ready is not None else None
    if probe is None:
        yield Finding("open", "the environment was never probed")
        return
    yield from _device(probe, seen, asked)
    yield _known("the operating system", _words(probe.platform, "system", "release"))
    for name in _PACKAGES:
        yield from verified_on_disk(name, probe, locked=ready is None or ready.locked)
        yield from _as_imported(name, probe, seen)
    if altered is not None and altered.environment:
        files = series(altered.environment[:2])
        yield Finding("fail", f"files of the environment were changed while measuring: {files}")


def _device(probe: Probe, seen: _Seen, asked: str) -> Iterator[Finding]:
    probed = _text(probe.device.get("type"))
    devices = seen.devices or ({probed} if probed in {asked, "cpu"} else set())
    if len(devices) > 1:
        yield Finding("fail", f"rows that belong together ran on {series(sorted(devices))}")
    elif not devices:
        yield Finding("open", "nothing says which device the work ran on")
    elif devices == {"cpu"}:
        yield Finding("pass", _NOT_APPLICABLE)
        yield _known("the processor", _text(probe.platform.get("processor")) or _cpu_name(probe))
    else:
        yield from _gpu(probe, seen.gpus)


def _gpu(probe: Probe, gpus: Sequence[GpuRecord]) -> Iterator[Finding]:
    """Ask the rows first: they were seen while measuring, the probe's device before it."""
    device = probe.device if _text(probe.device.get("type")) not in {None, "cpu", "unknown"} else {}
    classes = {_class(each.name, each.sm) for each in gpus if each.name is not None}
    yield _one("the GPU", classes or {_class(_text(device.get("name")), _text(device.get("sm")))})
    memory = {f"{each.memory_mib} MiB" for each in gpus if each.memory_mib is not None}
    yield _one("its VRAM", memory or {_memory(device.get("memory_bytes"))})
    yield _one("the driver", {each.driver for each in gpus if each.driver is not None})
    build = _words(probe.torch or {}, "cuda") or _words(probe.torch or {}, "hip")
    driver = {each.cuda for each in gpus if each.cuda is not None}
    yield _one("CUDA", {build} if build else driver or {_text(device.get("driver_cuda"))})


def _as_imported(name: str, probe: Probe, seen: _Seen) -> Iterator[Finding]:
    """Compare what a process said it had imported with what lies on the disk."""
    facts = {"torch": probe.torch, "triton": probe.triton}[name]
    found = probe.version(name)
    for said in sorted(seen.versions.get(name, ())):
        if found is None or not _same(said, found):
            disk = f"the environment has {found}" if found else "the environment has none"
            yield Finding("fail", f"a process ran {name} {said}, and {disk}")
    git = _text((facts or {}).get("git_version"))
    if name == "torch" and git is not None:
        for said in sorted(seen.versions.get("torch_git", set()) - {git}):
            says = f"a process ran the torch build {said[:_SHORT]}, and the environment has"
            yield Finding("fail", f"{says} {git[:_SHORT]}")


def _one(what: str, found: Iterable[str | None]) -> Finding:
    """Tell a fact that all rows of a point must share."""
    known = sorted({each for each in found if each})
    if len(known) > 1:
        return Finding("fail", f"{what} is not one and the same for all rows: {series(known)}")
    return _known(what, known[0] if known else None)


def _known(what: str, value: str | None) -> Finding:
    if not value:
        return Finding("open", f"{what} could not be told")
    return Finding("pass", f"{what} is {value}")


def _class(name: str | None, sm: str | None) -> str | None:
    return f"{name} ({sm})" if name and sm else name


def _memory(size: JsonValue | None) -> str | None:
    return f"{size / 2**20:.0f} MiB" if isinstance(size, int) and size > 0 else None


def _cpu_name(probe: Probe) -> str | None:
    return _text(probe.device.get("name"))


def _words(facts: Mapping[str, JsonValue], *names: str) -> str | None:
    known = [said for name in names if (said := _text(facts.get(name)))]
    return " ".join(known) if len(known) == len(names) else None


def _text(value: JsonValue | None) -> str | None:
    return value if isinstance(value, str) and value else None


def _same(first: str, second: str) -> bool:
    """Compare versions; the local part ("+cu128") counts only where both have one."""
    try:
        one, other = Version(first), Version(second)
    except InvalidVersion:
        return first == second
    local = one.local is not None and other.local is not None and one.local != other.local
    return one.public == other.public and not local
