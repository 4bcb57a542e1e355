"""The four places on disks of their own, which can be full, read-only or gone."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.mounts import bound, tmpfs, unmount
from benchmarks.endurance.scenario import run_tool
from benchmarks.endurance.service import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.endurance.site import Site

__all__ = ["SIZES", "Places"]

SIZES: Final = {"in": "200m", "done": "3g", "error": "100m", "archive": "1g", "ledger": "300m"}
_FULL_SECONDS: Final = 30.0


class Places:
    """Each place is a file system in memory, bound to where it belongs; what is left there without it is read-only.

    So nobody writes into the bare mount point of an absent disk, as on a machine where mount points belong to root.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._store = site.root / "store"
        self._read_only = site.root / "read-only"

    @contextlib.contextmanager
    def mounted(self) -> Iterator[None]:
        """Everything is there for the time of the block. Raises SkippedError where nothing can be mounted."""
        try:
            for name, size in SIZES.items():
                bound(self._site.root / name, self._site.root / name)
                run_tool("mount", "-o", "remount,bind,ro", self._site.root / name)
                tmpfs(self._store / name, f"size={size},mode=0777")
                bound(self._store / name, self._read_only / name)
                run_tool("mount", "-o", "remount,bind,ro", self._read_only / name)
                bound(self._store / name, self._site.root / name)
            yield
        finally:
            for place in (above / name for above in (self._site.root, self._read_only, self._store) for name in SIZES):
                while os.path.ismount(place):
                    unmount(place)

    def take_away(self, name: str) -> None:
        """The disk of a place is gone, whoever uses it."""
        unmount(self._site.root / name)

    def bring_back(self, name: str) -> None:
        """And there again, with what was on it."""
        bound(self._store / name, self._site.root / name)

    def make_full(self, name: str) -> None:
        """Not a page is free: the disk shrinks to what is on it."""
        place = self._store / name

        def shrunk() -> bool:
            space = os.statvfs(place)
            used = (space.f_blocks - space.f_bfree) * space.f_frsize
            with contextlib.suppress(Exception):
                run_tool("mount", "-o", f"remount,size={max(used, space.f_frsize)}", place)
            return os.statvfs(place).f_bfree == 0

        until(shrunk, _FULL_SECONDS, f"{name} is full")

    def make_room(self, name: str) -> None:
        """It grows again."""
        run_tool("mount", "-o", f"remount,size={SIZES[name]}", self._store / name)

    def make_read_only(self, name: str) -> None:
        """Read-only from now on for whoever looks there; a file that is open for writing already goes on."""
        bound(self._read_only / name, self._site.root / name)  # a bind mount has the flags of the one it is made from

    def make_writable(self, name: str) -> None:
        """As it was."""
        unmount(self._site.root / name)
