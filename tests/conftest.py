"""Makes the tests' plug-in and builders, and the harness's own modules, importable."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from hypothesis import settings

SUPPORT = Path(__file__).parent / "support"
HARNESS = Path(__file__).parents[1] / "internal_harness"
sys.path[:0] = [str(SUPPORT), str(SUPPORT / "scripted_adapter"), str(HARNESS)]

# A busy machine must not fail a property; the same examples everywhere make a failure repeatable.
settings.register_profile("reprokit", deadline=None, derandomize=True)
settings.load_profile("reprokit")

# A shell without job control starts background jobs with SIGINT ignored, and what is ignored is
# inherited: the programs that the tests interrupt would never hear of it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
