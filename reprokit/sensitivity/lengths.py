"""Sensitivity to the token length (TR147, C.3): what a number over several lengths hides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from reprokit.records import Arm, Scalar
from reprokit.sensitivity.records import Length, LengthRow
from reprokit.stats.logmean import LogMean, average, difference
from reprokit.stats.ratio import contrast
from reprokit.stats.sample import Undefined
from reprokit.verdict.processes import log_mean_of
from reprokit.verdict.records import Survival
from reprokit.verdict.survival import survival_of
from reprokit.verdict.units import Stratum, Unit

TOKEN_LEN = "token_len"  # noqa: S105 - the name of an axis
Setting = tuple[str, tuple[tuple[str, Scalar], ...]]
Found = Literal["fails", "partly_fails", "faster", "slower", "same", "open"]


def length_rows(
    units: Sequence[Unit], metric: str, *, margin: float, level: float
) -> tuple[LengthRow, ...]:
    """Compare the lengths at every setting of the other axes that has at least two."""
    groups: dict[Setting, list[tuple[Unit, Stratum]]] = {}
    for unit in units:
        for stratum in unit.strata:
            axes = {**unit.point.axes, **stratum.cell.axes}
            if TOKEN_LEN in axes and stratum.launches[Arm.SUBJECT]:
                held = tuple((name, at) for name, at in axes.items() if name != TOKEN_LEN)
                groups.setdefault((unit.point.id, held), []).append((unit, stratum))
    return tuple(
        _row(point, dict(held), members, metric, margin, level)
        for (point, held), members in groups.items()
        if len(members) > 1
    )


def _row(
    point: str,
    axes: dict[str, Scalar],
    members: Sequence[tuple[Unit, Stratum]],
    metric: str,
    margin: float,
    level: float,
) -> LengthRow:
    logs = [
        difference(*(log_mean_of(metric, stratum.launches[arm])
                     for arm in (Arm.SUBJECT, Arm.BASELINE)))
        for _, stratum in members
    ]  # fmt: skip
    lengths = tuple(
        _length(unit, stratum, log, margin, level)
        for (unit, stratum), log in zip(members, logs, strict=True)
    )
    together = average(logs)
    change = None
    if isinstance(together, LogMean):
        # A combination has all of its strata.
        moves = [math.exp(abs(log.value - together.value)) - 1.0
                 for log in logs if isinstance(log, LogMean)]  # fmt: skip
        change = 100.0 * max(moves)
    return LengthRow(
        point=point, axes=axes, lengths=lengths, together=contrast(together, level),
        change=change, changes=_changes([each.found for each in lengths]),
    )  # fmt: skip


def _length(
    unit: Unit, stratum: Stratum, log: LogMean | Undefined, margin: float, level: float
) -> Length:
    alone = Unit(unit.point, unit.axes, (stratum,))
    survival = survival_of(alone, Arm.SUBJECT, level)
    rate = survival.crash_rate_as_published
    attempted = rate.n.get("iterations", 0)
    failed = round((rate.value or 0.0) * attempted)
    return Length(
        token_len=stratum.cell.axes[TOKEN_LEN],
        failed=failed,
        attempted=attempted,
        contrast=contrast(log, level),
        found=_found(survival, failed, attempted, log, margin, level),
    )


def _found(
    survival: Survival,
    failed: int,
    attempted: int,
    log: LogMean | Undefined,
    margin: float,
    level: float,
) -> Found:
    """Say what became of the subject; what was not measured in full is open."""
    if not attempted or survival.attempted + survival.stopped_early < survival.planned:
        return "open"
    if failed:
        return "fails" if failed == attempted else "partly_fails"
    if isinstance(log, Undefined):
        return "open"
    low, high = log.interval(level)
    bound = math.log(margin)
    if high < -bound:
        return "faster"
    if low > bound:
        return "slower"
    return "same" if -bound <= low and high <= bound else "open"


def _changes(found: Sequence[Found]) -> bool | None:
    decided: set[Found] = {each for each in found if each != "open"}
    if len(decided) > 1:
        return True
    return None if "open" in found else False


def pattern(row: LengthRow) -> str:
    """Write what was found along the lengths, for comparing settings with each other."""
    told: Mapping[Scalar, str] = {each.token_len: each.found for each in row.lengths}
    return ", ".join(f"{length}: {found.replace('_', ' ')}" for length, found in told.items())
