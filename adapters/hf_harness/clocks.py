"""Whether the clock that timed the iterations can be believed: a second one timed them too."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

_FACTOR = 1.05
_SLACK_MS = 0.1
"""The second clock encloses the first. In between the process can lose its processor, but not in
most iterations."""


def clocks_disagree(timed: Sequence[tuple[float, float | None]]) -> str | None:
    """Say how two clocks contradict each other; None where they do not, or there is one.

    Args:
        timed: of each iteration, the reported time and that of the second clock, in ms.
    """
    both = [(reported, check) for reported, check in timed if check is not None]
    if not both:
        return None
    reported, check = (median(times) for times in zip(*both, strict=True))
    if reported / _FACTOR <= check <= reported * _FACTOR + _SLACK_MS:
        return None
    return (
        f"two_clocks: {reported:.3g} ms were reported for an iteration that took {check:.3g} ms on "
        "a second clock of the same machine"
    )
