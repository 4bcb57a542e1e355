"""The ways in which files come into an inbox."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Final

from benchmarks.endurance.checker import Dropped, Fate
from benchmarks.endurance.scenario import run_tool
from benchmarks.endurance.service import ROOT, User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.endurance.pictures import Picture

__all__ = ["TREE_WAYS", "WAYS", "Dropper"]

WAYS: Final[dict[str, tuple[str, ...]]] = {
    "write": ("sh", "-c", 'cat "$0" > "$1"'),
    "cp": ("cp",),
    "mv": ("mv",),
}
TREE_WAYS: Final[dict[str, tuple[str, ...]]] = {"mv": ("mv",), "cp": ("cp", "-r")}
if shutil.which("rsync"):
    WAYS["rsync"] = TREE_WAYS["rsync"] = ("rsync", "-a")


class Dropper:
    """Drops pictures into an inbox as ``user``, each in the next way, and remembers them.

    ``mode`` is that of the files; folders are made as the user makes them, open to the group.
    """

    def __init__(self, inbox: Path, outside: Path, *, user: User = ROOT, mode: int = 0o644) -> None:
        self.dropped: list[Dropped] = []
        self.ways = tuple(WAYS)
        self._inbox = inbox
        self._outside = outside
        self._user = user
        self._mode = mode
        self._turns = itertools.cycle(WAYS)
        outside.mkdir(parents=True, exist_ok=True)
        self._give(outside, 0o755)

    def drop(
        self, picture: Picture, *, folder: str = "", way: str = "", fate: Fate = Fate.DELIVERED, stem: str = ""
    ) -> Dropped:
        """Drop one; ``folder`` is a sub folder of the inbox, which is made."""
        way = way or next(self._turns)
        base = f"{stem or f'p{len(self.dropped):04d}'}.{picture.extension}"
        name = f"{folder}/{base}" if folder else base
        source, target = self._outside / base, self._inbox / name
        self._prepare(picture, source)
        if not target.parent.is_dir():
            run_tool("mkdir", "-p", target.parent, user=self._user)
        if way == "write" and self._user == ROOT:
            target.write_bytes(picture.data)  # in this process, so that the close can be timed
        else:
            run_tool(*WAYS[way], source, target, user=self._user)
        source.unlink(missing_ok=True)
        dropped = Dropped(name, picture, fate)
        self.dropped.append(dropped)
        return dropped

    def drop_tree(self, pictures: Sequence[Picture], *, name: str, way: str) -> None:
        """Drop a folder ``name`` with sub folders in one go."""
        tree = self._outside / name
        for folder in (tree, tree / "part", tree / "whole"):
            folder.mkdir()
            self._give(folder, 0o2775)
        for number, picture in enumerate(pictures):
            relative = f"{name}/{'part' if number % 2 else 'whole'}/t{number:03d}.{picture.extension}"
            self._prepare(picture, self._outside / relative)
            self.dropped.append(Dropped(relative, picture))
        run_tool(*TREE_WAYS[way], tree, f"{self._inbox}/", user=self._user)
        shutil.rmtree(tree, ignore_errors=True)

    def _prepare(self, picture: Picture, path: Path) -> None:
        path.write_bytes(picture.data)
        self._give(path, self._mode)

    def _give(self, path: Path, mode: int) -> None:
        """Make it the user's; the mode comes last, as a change of owner takes bits of it away."""
        if self._user != ROOT:
            os.chown(path, self._user.uid, self._user.gid)
        path.chmod(mode)
