"""Quantiles of a sample; numpy's own, without its many options, for the many that a run needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reprokit.stats.sample import FloatArray


def quantiles(values: FloatArray, shares: Sequence[float]) -> list[float]:
    """Return quantiles, linear between order statistics (Hyndman & Fan 1996, type 7).

    Args:
        values: (n,) numbers in any order, n of 1 or more.
        shares: each between 0 and 1.
    """
    ordered = np.sort(values)
    found = []
    for share in shares:
        place = share * (ordered.size - 1)
        below = min(math.floor(place), ordered.size - 1)
        above = min(below + 1, ordered.size - 1)
        low = float(ordered[below])
        found.append(low + (place - below) * (float(ordered[above]) - low))
    return found
