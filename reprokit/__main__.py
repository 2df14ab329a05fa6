"""`python -m reprokit` is the command `reprokit`."""

from __future__ import annotations

from reprokit.cli.main import main

if __name__ == "__main__":
    main()
