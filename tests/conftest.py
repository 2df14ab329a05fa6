"""Makes the tests' own plug-in and builders importable, as installed packages would be."""

from __future__ import annotations

import sys
from pathlib import Path

SUPPORT = Path(__file__).parent / "support"
sys.path[:0] = [str(SUPPORT), str(SUPPORT / "scripted_adapter")]
