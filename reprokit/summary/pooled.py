"""Values of an arm over several cells, pooled as TR147 pools them; they decide nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reprokit.records import Arm
from reprokit.stats.sample import FloatArray
from reprokit.verdict.processes import values_of
from reprokit.verdict.units import Stratum


def pooled_values(metric: str, strata: Sequence[Stratum], arm: Arm) -> FloatArray:
    """Return all usable iterations of an arm, each once also where cells share it."""
    launches = {launch.planned.id: launch for stratum in strata for launch in stratum.launches[arm]}
    values = [value for launch in launches.values() for value in values_of(metric, launch)]
    return np.array(values, dtype=np.float64)
