"""Energy per token from the GPU's own counter: pure.

The counter moves in steps of some 20 to 100 ms, so a window must be long beside them: at least 2 s
(Zeus warns of the same). Iterations shorter than that are taken together, where they follow each
other closely. Sampled power is put beside it and decides nothing: on some GPUs a quarter of the
time is sampled (arXiv:2312.02741).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from reprokit.gpu.telemetry import Telemetry
from reprokit.records import Energy

SHORTEST_S = 2.0
LEAST_READINGS = 10
BUSY_SHARE = 0.9
"""Share of the time between first and last iteration that must have been timed."""

_TOO_SHORT = "window_too_short"


@dataclass(frozen=True)
class Timed:
    """When an iteration was measured, on the monotonic clock, and what it produced."""

    begin_s: float
    end_s: float
    tokens: int

    @property
    def length_s(self) -> float:
        """Its duration."""
        return self.end_s - self.begin_s


def when_logged(telemetry: Telemetry, size: int) -> float | None:
    """Say when stdout.log first was seen to hold so many bytes; None where nobody saw it.

    It had them up to one period of sampling earlier.
    """
    points = telemetry.log()
    found = next((at for at, bytes_ in points if bytes_ >= size), None)
    return None if not points or points[0][1] >= size else found


def energies(telemetry: Telemetry, timed: Sequence[Timed | None]) -> list[Energy]:
    """Return the energy of every iteration of one invocation, None-valued with a reason."""
    why = _no_counter(telemetry)
    if why is not None:
        return [Energy(reason=why) for _ in timed]
    known = [each for each in timed if each is not None]
    together = _together(telemetry, known)
    return [_of(telemetry, each, together) for each in timed]


def _no_counter(telemetry: Telemetry) -> str | None:
    if telemetry.device is None:
        return telemetry.problem or "telemetry_damaged: a part of it is missing"
    points = telemetry.energy()
    if not points:
        told = telemetry.before.unknown.get("energy_mj") if telemetry.before else None
        return f"no_counter: {told or 'the driver does not tell it'}"
    if any(later < former for (_, former), (_, later) in pairwise(points)):
        return "counter_reset: the energy counter fell while measuring"
    if telemetry.device.mig is not False:
        return "mig: the counter is that of the whole GPU, which is or may be divided"
    return None


def _of(telemetry: Telemetry, timed: Timed | None, together: Energy) -> Energy:
    if timed is None:
        return Energy(reason="window_unknown: the benchmark does not tell when it measured")
    if timed.tokens <= 0:
        return Energy(reason="no_tokens: the iteration does not say what it produced")
    alone = _measured(telemetry, timed, "iteration")
    return together if alone.reason and alone.reason.startswith(_TOO_SHORT) else alone


def _together(telemetry: Telemetry, known: Sequence[Timed]) -> Energy:
    """Take all iterations of an invocation as one."""
    if not known:
        return Energy(reason=f"{_TOO_SHORT}: nothing was timed")
    if any(each.tokens <= 0 for each in known):
        return Energy(reason=f"{_TOO_SHORT}: alone, and not all iterations say what they produced")
    whole = Timed(
        min(each.begin_s for each in known), max(each.end_s for each in known),
        sum(each.tokens for each in known),
    )  # fmt: skip
    found = _measured(telemetry, whole, "iterations")
    if found.reason is not None:
        return found
    if sum(each.length_s for each in known) < BUSY_SHARE * whole.length_s:
        return Energy(reason=f"{_TOO_SHORT}: alone, and too much lies between the iterations")
    return found


def _measured(telemetry: Telemetry, timed: Timed, scope: str) -> Energy:
    if timed.length_s < SHORTEST_S:
        said = f"{timed.length_s:.2g} s, and the counter needs {SHORTEST_S:g} s"
        return Energy(reason=f"{_TOO_SHORT}: {said}")
    points = telemetry.energy()
    begin, end = (_at(points, moment) for moment in (timed.begin_s, timed.end_s))
    if begin is None or end is None:
        return Energy(reason="counter_unseen: it was not read around the iteration")
    inside = sum(timed.begin_s <= at <= timed.end_s for at, _ in points)
    if inside < LEAST_READINGS:
        return Energy(reason=f"counter_too_coarse: it moved {inside} times in the iteration")
    joules = (end - begin) / 1000
    if joules <= 0 or timed.tokens <= 0:
        return Energy(reason="counter_stands: it did not move")
    return Energy(
        joules_per_token=joules / timed.tokens, joules=joules, window_s=timed.length_s,
        scope="iteration" if scope == "iteration" else "iterations",
        sampled_joules=_sampled(telemetry, timed),
    )  # fmt: skip


def _at(points: Sequence[tuple[float, int]], moment: float) -> float | None:
    """Read the counter at a moment, between the readings around it; None outside of them."""
    place = bisect_left(points, moment, key=lambda point: point[0])
    if place == 0:
        return float(points[0][1]) if points and points[0][0] == moment else None
    if place == len(points):
        return None
    (before_s, before), (after_s, after) = points[place - 1], points[place]
    return before + (after - before) * (moment - before_s) / (after_s - before_s)


def _sampled(telemetry: Telemetry, timed: Timed) -> float | None:
    """Integrate sampled power over the same time."""
    total = covered = 0.0
    for each in telemetry.windows:
        inside = min(each.end_s, timed.end_s) - max(each.begin_s, timed.begin_s)
        if inside > 0 and each.power_w is not None:
            total, covered = total + each.power_w * inside, covered + inside
    return total * timed.length_s / covered if covered >= 0.9 * timed.length_s else None
