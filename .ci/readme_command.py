"""Print the command of README.md that stands under a marker, so that CI runs what readers type.

The marker is a comment line `<!-- command: NAME -->` before an indented or fenced block.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

_BLOCK = r"<!-- command: {name} -->\s*```[a-z]*\n(?P<body>.*?)\n```"


def readme_command(text: str, name: str) -> str:
    """Return the command under the marker; raise ValueError where there is none."""
    found = re.search(_BLOCK.format(name=re.escape(name)), text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no block under <!-- command: {name} -->")
    return found["body"].strip()


if __name__ == "__main__":
    sys.stdout.write(readme_command(Path("README.md").read_text(encoding="utf-8"), sys.argv[1]))
