"""Makes the tests' plug-in and builders, and the harness's own modules, importable."""

from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

SUPPORT = Path(__file__).parent / "support"
HARNESS = Path(__file__).parents[1] / "internal_harness"
sys.path[:0] = [str(SUPPORT), str(SUPPORT / "scripted_adapter"), str(HARNESS)]

# A busy machine must not fail a property; the same examples everywhere make a failure repeatable.
settings.register_profile("reprokit", deadline=None, derandomize=True)
settings.load_profile("reprokit")
