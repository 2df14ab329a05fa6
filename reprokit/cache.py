"""Where reprokit keeps what may be rebuilt: mirrors, checkouts, environments, assets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from reprokit.errors import UsageError

CACHE_VARIABLE = "REPROKIT_CACHE"


@dataclass(frozen=True)
class CacheLayout:
    """The folders of the cache; all under one root, so that one file system holds them all."""

    root: Path

    @classmethod
    def default(cls) -> CacheLayout:
        """Return the user's cache, or the folder that REPROKIT_CACHE names.

        Raises:
            UsageError: the user has no home folder, and no other one is named.
        """
        named = os.environ.get(CACHE_VARIABLE)
        if named:
            return cls(Path(named).absolute())
        try:
            return cls(Path(platformdirs.user_cache_dir("reprokit")))
        except RuntimeError as error:
            raise UsageError(
                f"no folder for the cache: {error}",
                hint=f"Set HOME, or {CACHE_VARIABLE} to a folder that you can write to.",
            ) from None

    @property
    def mirrors(self) -> Path:
        """Bare mirrors, one per repository URL."""
        return self.root / "mirrors"

    @property
    def checkouts(self) -> Path:
        """Clean worktrees, one per repository and commit."""
        return self.root / "checkouts"

    @property
    def environments(self) -> Path:
        """Virtual environments, one per key."""
        return self.root / "envs"

    @property
    def overlays(self) -> Path:
        """Packages put before those of an existing interpreter, one folder per key."""
        return self.root / "overlays"

    @property
    def assets(self) -> Path:
        """Built checkpoints and tokenizers, one folder per key."""
        return self.root / "assets"

    @property
    def bytecode(self) -> Path:
        """Bytecode of environments, kept outside them so that they are never altered."""
        return self.root / "bytecode"
