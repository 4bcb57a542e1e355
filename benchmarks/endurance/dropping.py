"""The ways in which files come into an inbox."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Dropped, Fate
from benchmarks.endurance.scenario import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture

__all__ = ["WAYS", "Dropper"]


def _write(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _copy(source: Path, target: Path) -> None:
    run_tool("cp", source, target)


def _move(source: Path, target: Path) -> None:
    run_tool("mv", source, target)


def _sync(source: Path, target: Path) -> None:
    run_tool("rsync", "-a", source, target)


WAYS: Final[dict[str, Callable[[Path, Path], None]]] = {"write": _write, "cp": _copy, "mv": _move}
if shutil.which("rsync"):
    WAYS["rsync"] = _sync


class Dropper:
    """Drops pictures into an inbox, each in the next way, and remembers them.

    ``owner`` and ``mode`` are given to the files beforehand, as somebody else's would have them.
    """

    def __init__(self, inbox: Path, outside: Path, *, owner: tuple[int, int] | None = None, mode: int = 0o644) -> None:
        self.dropped: list[Dropped] = []
        self._inbox = inbox
        self._outside = outside
        self._owner = owner
        self._mode = mode
        self._ways = itertools.cycle(WAYS.items())
        outside.mkdir(parents=True, exist_ok=True)

    def drop(
        self, picture: Picture, *, folder: str = "", way: str = "", fate: Fate = Fate.DELIVERED, stem: str = ""
    ) -> Dropped:
        """Drop one; ``folder`` is a sub folder of the inbox, which is made."""
        act = WAYS[way] if way else next(self._ways)[1]
        base = f"{stem or f'p{len(self.dropped):04d}'}.{picture.extension}"
        name = f"{folder}/{base}" if folder else base
        source, target = self._outside / base, self._inbox / name
        source.write_bytes(picture.data)
        source.chmod(self._mode)
        if self._owner is not None:
            os.chown(source, *self._owner)
        target.parent.mkdir(parents=True, exist_ok=True)
        act(source, target)
        if self._owner is not None and act in (_write, _copy):
            os.chown(target, *self._owner)
            target.chmod(self._mode)
        source.unlink(missing_ok=True)
        dropped = Dropped(name, picture, fate)
        self.dropped.append(dropped)
        return dropped
