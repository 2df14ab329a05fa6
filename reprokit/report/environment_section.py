"""Environments: what was installed, verified from inside, and what the resolver said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reprokit.plan import Plan
from reprokit.report.markup import code, details, table, text
from reprokit.stack import ReadyPoint
from reprokit.verdict.records import PointEnvironment, Verdict
from reprokit.verdict.wording import count

_SHORT = 12
_MOST_FILES = 20
_MOST_VARIABLES = 50
_SAID = "Versions are what each environment said from inside."
_LOCKED = (
    "In locked environments torch and triton are checked file by file against the digests of their "
    "own RECORD."
)
_HOST = (
    "An existing interpreter has no lock: files of packages that the claim needs are compared with "
    "their RECORD where there is one, and what has none is listed as not verified."
)


def environment_section(verdict: Verdict, plan: Plan, ready: Mapping[str, ReadyPoint]) -> list[str]:
    """Write one row per stack point, then everything a reader must not miss about it."""
    if not verdict.environments:
        return []
    packages = list(dict.fromkeys(name for each in verdict.environments for name in each.versions))
    header = ["stack point", "state", "python", *packages, "device", "lock", "commit", "tree"]
    lines = [
        "## Environments",
        "",
        " ".join(_how_verified(verdict)),
        "",
        *table(header, (_row(each, packages) for each in verdict.environments)),
        "",
        *(line for each in verdict.environments for line in _remarks(each)),
    ]
    lines += _removed(verdict)
    lines += _installed(plan, ready)
    lines += [
        f"- left out of the sweep: {text(', '.join(f'{k}={v}' for k, v in each.axes.items()))} "
        f"({text(each.reason)})"
        for each in plan.excluded
    ]
    return lines


def _how_verified(verdict: Verdict) -> Iterator[str]:
    """Say how it is known what was measured; a file compared with nothing is never verified."""
    hosts = [each.locked is False for each in verdict.environments]
    yield _SAID
    if not all(hosts):
        yield _LOCKED
    if any(hosts):
        yield _HOST


def _row(each: PointEnvironment, packages: list[str]) -> list[str]:
    seen = bool(each.versions)
    return [
        code(each.point),
        _state(each),
        text(each.python or ""),
        *(text(each.versions.get(name) or "not installed") if seen else "" for name in packages),
        text(each.device or ""),
        "host" if each.locked is False else code((each.lock_sha256 or "")[:_SHORT]),
        code((each.commit or "")[:_SHORT]),
        code((each.tree or "")[:_SHORT]),
    ]


def _state(each: PointEnvironment) -> str:
    if each.failed:
        return "**failed**"
    if not each.versions:
        return "unknown"
    return "probed" if each.locked is False else "verified"


def _remarks(each: PointEnvironment) -> list[str]:
    where = f"- {code(each.point)}"
    lines = []
    if each.failed:
        detail = text(each.failed_detail or "no detail", 1000)
        lines.append(f"{where}: failed ({code(each.failed)}): {detail}")
    if each.declared is False:
        said = text(each.resolver_says or "nothing", 1000)
        lines.append(f"{where}: the packages do not declare this combination. Resolver: {said}")
    if each.relocked:
        lines.append(f"{where}: the committed lock was put aside; this is another stack.")
    if each.locked is False:
        lines.append(f"{where}: an existing interpreter, without a lock.")
    if each.altered:
        shown = ", ".join(code(name) for name in each.altered[:_MOST_FILES])
        lines.append(f"{where}: files that are not those of their RECORD: {shown}")
    lines += [f"{where}: {text(note, 1000)}" for note in each.notes]
    return lines


def _removed(verdict: Verdict) -> list[str]:
    """Name the variables that were set and not passed on; their values are kept nowhere."""
    names = verdict.removed_variables
    if not names:
        return []
    told = ", ".join(code(name) for name in names[:_MOST_VARIABLES])
    more = f" and {len(names) - _MOST_VARIABLES} more" if len(names) > _MOST_VARIABLES else ""
    return [f"- set in the environment and not passed on to the benchmark: {told}{more}"]


def _installed(plan: Plan, ready: Mapping[str, ReadyPoint]) -> list[str]:
    lines: list[str] = []
    for point in plan.points:
        probe = ready[point.id].probe if point.id in ready else None
        if probe is None:
            continue
        found = sorted(probe.distributions, key=lambda each: each.name)
        rows = [
            [text(each.name), text(each.version), code((each.record_sha256 or "")[:_SHORT])]
            for each in found
        ]
        summary = f"{count(len(rows), 'distribution')} of {text(point.id)}"
        lines += ["", *details(summary, table(["name", "version", "RECORD sha256"], rows))]
    return lines
