"""Where this machine keeps things, and how it makes environments."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reprokit.cache import CacheLayout


@dataclass(frozen=True)
class Machine:
    """Where this machine keeps things, and how it makes environments.

    Attributes:
        find_links: folders of wheels beside what pip and uv are configured with.
        offline: no network may be used.
        only_find_links: no other source of wheels counts than `find_links`.
    """

    cache: CacheLayout
    runs: Path
    relock: bool = False
    torch_backend: str | None = None
    jobs: int = 2
    find_links: tuple[Path, ...] = ()
    offline: bool = False
    only_find_links: bool = False

    @classmethod
    def here(
        cls,
        *,
        runs: Path = Path("runs"),
        relock: bool = False,
        torch_backend: str | None = None,
        jobs: int = 2,
        find_links: tuple[Path, ...] = (),
        offline: bool = False,
    ) -> Machine:
        """Describe this machine by its defaults and the user's choices."""
        return cls(CacheLayout.default(), runs, relock, torch_backend, jobs, find_links, offline)
