"""Which hardware and which stack each run was measured on, and which runs therefore are repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from reprokit.errors import UsageError
from reprokit.kept.records import KeptRun
from reprokit.merging.records import Hardware, Regime, StackDifference
from reprokit.records import GpuRecord, RowStatus
from reprokit.stack import ReadyPoint

Versions = dict[str, dict[str, str | None]]

_POWER_TOLERANCE = 0.02
_FIRST = ("torch", "triton", "python", "cuda", "transformers")
_NAMED = 2
_MIB_PER_GIB = 1024.0
_BYTES_PER_GIB = float(2**30)


def regimes_of(runs: Sequence[KeptRun]) -> tuple[Regime, ...]:
    """Put runs of the same hardware and the same measured stacks together, in their order.

    Raises:
        UsageError: of a run it cannot be told what it was measured on.
    """
    groups: list[tuple[Hardware, list[KeptRun]]] = []
    for run in runs:
        hardware = hardware_of(run)
        home = next(
            (
                mine
                for other, mine in groups
                if _same_hardware(hardware, other)
                and all(_same_stack(run, member) for member in mine)
            ),
            None,
        )
        if home is None:
            groups.append((hardware, [run]))
        else:
            home.append(run)
    labels = _labels(groups)
    return tuple(
        Regime(
            label=label,
            hardware=hardware,
            runs=tuple(run.name for run in mine),
            versions=_versions(mine),
        )
        for label, (hardware, mine) in zip(labels, groups, strict=True)
    )


def stack_differences(regimes: Sequence[Regime]) -> tuple[StackDifference, ...]:
    """Name every package that is not the same in all regimes, at points that several of them have.

    The ones that a reader asks for come first.
    """
    found = []
    points = dict.fromkeys(point for regime in regimes for point in regime.versions)
    for point in points:
        having = {each.label: each.versions[point] for each in regimes if point in each.versions}
        names = {name for versions in having.values() for name in versions}
        for name in sorted(names, key=_rank):
            versions = {label: known.get(name) for label, known in having.items()}
            if len(set(versions.values())) > 1:
                found.append(StackDifference(point=point, package=name, versions=versions))
    return tuple(found)


def hardware_of(run: KeptRun) -> Hardware:
    """Say what a run was measured on: what its rows saw, then what its probes saw.

    Raises:
        UsageError: several kinds of hardware, or none that can be told.
    """
    probed = [ready.probe.device for ready in run.ready.values() if ready.probe is not None]
    device = _device(run, probed)
    if device == "cpu":
        return _processor(run)
    gpus = [row.gpu for row in run.rows if row.gpu is not None and row.gpu.name is not None]
    kinds = dict.fromkeys((gpu.name, gpu.sm, gpu.memory_mib) for gpu in gpus)
    if len(kinds) > 1:
        raise UsageError(
            f"{run.name} was measured on {len(kinds)} kinds of GPU "
            f"({', '.join(str(kind[0]) for kind in kinds)}), so it is of no single regime",
            hint="Measure it again on one of them, or leave it out.",
        )
    return _gpu(run, device, gpus, probed)


def _device(run: KeptRun, probed: Sequence[Mapping[str, JsonValue]]) -> str:
    ok = [row for row in run.rows if row.status is RowStatus.OK]
    seen = {row.evidence.device.split(":")[0] for row in ok if row.evidence.device is not None}
    if len(seen) > 1:
        raise UsageError(
            f"{run.name} holds measurements of several devices ({', '.join(sorted(seen))})",
            hint="Measure it again on one of them, or leave it out.",
        )
    if seen:
        return seen.pop()
    asked = run.plan.setup.device
    types = {each.get("type") for each in probed}
    watched = any(row.gpu is not None and row.gpu.name is not None for row in run.rows)
    if asked == "cpu" or asked in types or watched:
        return asked
    raise UsageError(
        f"what {run.name} was measured on cannot be told: {asked} was asked for, no row says what "
        "it ran on, and no environment had it",
        hint="Leave it out: what cannot be placed in a regime cannot be compared over regimes.",
    )


def _gpu(
    run: KeptRun,
    device: str,
    gpus: Sequence[GpuRecord],
    probed: Sequence[Mapping[str, JsonValue]],
) -> Hardware:
    facts = next((each for each in probed if each.get("type") == device), {})
    name = gpus[0].name if gpus else facts.get("name")
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"neither rows nor probes name the {device} device that {run.name} was measured on",
            hint="Leave it out: what cannot be placed in a regime cannot be compared over regimes.",
        )
    sm = gpus[0].sm if gpus and gpus[0].sm else facts.get("sm")
    memory = _memory(gpus[0].memory_mib if gpus else None, facts)
    power, complaint = _power(gpus)
    unknown = [] if sm else ["compute capability"]
    unknown += [] if memory else ["memory"]
    unknown += [complaint] if complaint else []
    return Hardware(
        device=device,
        name=name,
        sm=sm if isinstance(sm, str) else None,
        memory_gib=memory,
        power_limit_w=power,
        mig=next((gpu.mig for gpu in gpus if gpu.mig is not None), None),
        unknown=tuple(unknown),
    )


def _memory(mib: int | None, facts: Mapping[str, JsonValue]) -> int | None:
    if mib is not None:
        return round(mib / _MIB_PER_GIB)
    for key, unit in (("memory_bytes", _BYTES_PER_GIB), ("memory_mib", _MIB_PER_GIB)):
        value = facts.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return round(value / unit)
    return None


def _power(gpus: Sequence[GpuRecord]) -> tuple[int | None, str | None]:
    """Return the power limit, or why there is none that holds for all rows."""
    limits = sorted({gpu.power_limit_w for gpu in gpus if gpu.power_limit_w is not None})
    if not limits:
        return None, "power limit"
    if limits[-1] - limits[0] > _POWER_TOLERANCE * limits[-1]:
        return None, "power limit: it changed while measuring"
    return round(limits[-1]), None


def _processor(run: KeptRun) -> Hardware:
    """Describe the processor; the benchmark's own word comes before that of the run's creator."""
    name, cpus = run.host.get("processor"), run.host.get("cpus")
    if not isinstance(name, str) or not name:
        raise UsageError(
            f"the processor that {run.name} was measured on is not in its records",
            hint="Leave it out: what cannot be placed in a regime cannot be compared over regimes.",
        )
    return Hardware(
        device="cpu",
        name=name,
        cpus=cpus if isinstance(cpus, int) else None,
        unknown=() if isinstance(cpus, int) else ("number of processors",),
    )


def _same_hardware(one: Hardware, other: Hardware) -> bool:
    left_out = {"unknown"}
    return one.model_dump(exclude=left_out) == other.model_dump(exclude=left_out)


def _same_stack(one: KeptRun, other: KeptRun) -> bool:
    """Tell whether the points that both runs prepared were made of the same."""
    mine, its = _made_of(one), _made_of(other)
    return all(mine[point] == its[point] for point in mine.keys() & its.keys())


def _made_of(run: KeptRun) -> Versions:
    return {point: _facts(ready) for point, ready in run.ready.items() if ready.failed is None}


def _facts(ready: ReadyPoint) -> dict[str, str | None]:
    """What one environment was made of, by package; `python` and `cuda` among them."""
    probe = ready.probe
    if probe is None:
        # Nobody looked inside: only the very same environment is then known to be the same.
        return {"environment": ready.environment or ready.lock_sha256 or ready.identity}
    facts: dict[str, str | None] = {each.name: each.version for each in probe.distributions}
    facts |= {name: probe.version(name) for name in ("torch", "triton")}
    facts["python"] = probe.python
    for part, name in ((probe.torch, "torch"), (probe.triton, "triton")):
        commit = (part or {}).get("git_version")
        if isinstance(commit, str):
            facts[f"{name} commit"] = commit
    cuda = (probe.torch or {}).get("cuda")
    return facts | ({"cuda": cuda} if isinstance(cuda, str) else {})


def _versions(runs: Sequence[KeptRun]) -> Versions:
    return {point: facts for run in reversed(runs) for point, facts in _made_of(run).items()}


def _labels(groups: Sequence[tuple[Hardware, list[KeptRun]]]) -> list[str]:
    """Name regimes as shortly as tells them apart: hardware, its settings, its stack, a number."""
    names = [hardware.name for hardware, _ in groups]
    for place, (hardware, runs) in enumerate(groups):
        same = [group for group in groups if group[0].name == hardware.name]
        if len(same) == 1:
            continue
        told = [*_settings(hardware, [each for each, _ in same]), *_stack(runs, same)]
        names[place] = f"{hardware.name} ({', '.join(told)})" if told else hardware.name
    return [
        name if names.count(name) == 1 else f"{name} #{names[: place + 1].count(name)}"
        for place, name in enumerate(names)
    ]


def _settings(hardware: Hardware, twins: Sequence[Hardware]) -> list[str]:
    told = {
        "device": hardware.device,
        "sm": hardware.sm or "sm unknown",
        "memory_gib": f"{hardware.memory_gib or 'unknown'} GiB",
        "power_limit_w": f"{hardware.power_limit_w or 'unknown'} W",
        "mig": {True: "MIG", False: "no MIG", None: "MIG unknown"}[hardware.mig],
        "cpus": f"{hardware.cpus or 'unknown'} CPUs",
    }
    facts = [each.model_dump() for each in twins]
    return [text for key, text in told.items() if len({each[key] for each in facts}) > 1]


def _stack(runs: Sequence[KeptRun], twins: Sequence[tuple[Hardware, list[KeptRun]]]) -> list[str]:
    """Name what tells the stack of some runs from those of others on the same hardware."""
    mine = _versions(runs)
    named: dict[str, str | None] = {}
    for _, others in twins:
        its = _versions(others)
        for point in mine.keys() & its.keys():
            for name in sorted(mine[point].keys() | its[point].keys(), key=_rank):
                if mine[point].get(name) != its[point].get(name):
                    named.setdefault(name, mine[point].get(name))
    first = sorted(named, key=_rank)[:_NAMED]
    return [f"{name} {named[name] or 'missing'}" for name in first]


def _rank(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)
