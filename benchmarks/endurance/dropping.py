"""The ways in which files come into an inbox."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Dropped, Fate
from benchmarks.endurance.scenario import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture

__all__ = ["TREE_WAYS", "WAYS", "Dropper"]


def _write(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _copy(source: Path, target: Path) -> None:
    run_tool("cp", source, target)


def _move(source: Path, target: Path) -> None:
    run_tool("mv", source, target)


def _sync(source: Path, target: Path) -> None:
    run_tool("rsync", "-a", source, target)


WAYS: Final[dict[str, Callable[[Path, Path], None]]] = {"write": _write, "cp": _copy, "mv": _move}
TREE_WAYS: Final[dict[str, tuple[str, ...]]] = {"mv": ("mv",), "cp": ("cp", "-r")}
if shutil.which("rsync"):
    WAYS["rsync"] = _sync
    TREE_WAYS["rsync"] = ("rsync", "-a")


class Dropper:
    """Drops pictures into an inbox, each in the next way, and remembers them.

    ``owner`` (uid and gid) and ``mode`` are those of somebody else's files; folders are then open to the group.
    """

    def __init__(self, inbox: Path, outside: Path, *, owner: tuple[int, int] | None = None, mode: int = 0o644) -> None:
        self.dropped: list[Dropped] = []
        self.ways = tuple(WAYS)
        self._inbox = inbox
        self._outside = outside
        self._owner = owner
        self._mode = mode
        self._turns = itertools.cycle(WAYS.values())
        outside.mkdir(parents=True, exist_ok=True)

    def drop(
        self, picture: Picture, *, folder: str = "", way: str = "", fate: Fate = Fate.DELIVERED, stem: str = ""
    ) -> Dropped:
        """Drop one; ``folder`` is a sub folder of the inbox, which is made."""
        act = WAYS[way] if way else next(self._turns)
        base = f"{stem or f'p{len(self.dropped):04d}'}.{picture.extension}"
        name = f"{folder}/{base}" if folder else base
        source, target = self._outside / base, self._inbox / name
        self._write(picture, source)
        self._make(target.parent)
        act(source, target)
        if act in (_write, _copy):
            self._give(target)
        source.unlink(missing_ok=True)
        dropped = Dropped(name, picture, fate)
        self.dropped.append(dropped)
        return dropped

    def drop_tree(self, pictures: Sequence[Picture], *, name: str, way: str) -> None:
        """Drop a folder ``name`` with sub folders in one go."""
        tree = self._outside / name
        for number, picture in enumerate(pictures):
            relative = f"{name}/{'part' if number % 2 else 'whole'}/t{number:03d}.{picture.extension}"
            self._make((self._outside / relative).parent, below=self._outside)
            self._write(picture, self._outside / relative)
            self.dropped.append(Dropped(relative, picture))
        run_tool(*TREE_WAYS[way], tree, f"{self._inbox}/")
        if way == "cp":
            for path in (self._inbox / name).rglob("*"):
                if path.is_file():
                    self._give(path)
        shutil.rmtree(tree, ignore_errors=True)

    def _write(self, picture: Picture, path: Path) -> None:
        path.write_bytes(picture.data)
        self._give(path)

    def _give(self, path: Path) -> None:
        """Make it the other one's; a file that the daemon has taken already needs it no more."""
        with contextlib.suppress(FileNotFoundError):
            path.chmod(self._mode)
            if self._owner is not None:
                os.chown(path, *self._owner)

    def _make(self, folder: Path, *, below: Path | None = None) -> None:
        """Make a folder below the inbox, open to the group when somebody else drops into it."""
        if folder in (self._inbox, below) or folder.is_dir():
            return
        self._make(folder.parent, below=below)
        folder.mkdir(exist_ok=True)
        if self._owner is not None:
            os.chown(folder, *self._owner)
            folder.chmod(0o2775)
