"""Which pictures a batch is made of. Nothing is written, and no file but its first bytes is read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from srwatchd.codec.formats import FORMATS
from srwatchd.codec.sniff import HEAD_SIZE, sniff
from srwatchd.errors import FatalError
from srwatchd.intake.names import enters, wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from srwatchd.intake.folder import SelectedNames

__all__ = ["OutputIsSourceError", "Selection", "Source", "select"]

_PICTURES: Final = frozenset(extension for known in FORMATS.values() for extension in known.extensions)


class OutputIsSourceError(FatalError):
    """Results would lie among the sources, and be taken for sources next time: wrong usage."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Source:
    """One picture: where it is, and the relative path from which the result's path is made."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found.

    ``no_pictures`` are files in given folders that neither name nor content calls pictures, ``unreadable`` are folders
    with the reason.
    """

    sources: tuple[Source, ...]
    no_pictures: tuple[Path, ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()


def select(paths: Sequence[Path], *, recursive: bool, output: Path, names: SelectedNames) -> Selection:
    """The pictures among ``paths``, each once, folders in the order of their names.

    A file that is named is always one. Of a folder those files are taken whose name or content is a picture's, with
    ``recursive`` also of its sub folders, whose structure the results mirror; junk (half-written files, what file
    managers leave) and ``output`` inside of it are passed over, links to folders are not followed. Raises
    OutputIsSourceError when ``output`` is one of the folders.
    """
    found: dict[str, Source] = {}
    others: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    target = _identity(output)
    for given in paths:
        path = given.absolute()
        if not path.is_dir():
            found.setdefault(os.path.realpath(path), Source(path, path.name))
            continue
        if target is not None and _identity(path) == target:
            raise OutputIsSourceError(
                "configuration",
                f"the output folder is the source folder {str(path)!r}: results would be taken for sources next time",
                hint="Choose another --output, for example a folder inside it.",
            )
        for name in _files(path, recursive=recursive, target=target, names=names, unreadable=unreadable):
            file = path / name
            if _is_picture(file):
                found.setdefault(os.path.realpath(file), Source(file, name))
            else:
                others.append(file)
    return Selection(tuple(found.values()), tuple(others), tuple(unreadable))


def _files(
    top: Path,
    *,
    recursive: bool,
    target: tuple[int, int] | None,
    names: SelectedNames,
    unreadable: list[tuple[Path, str]],
) -> Iterator[str]:
    """Relative paths of the files below ``top`` that are no junk, sorted."""

    def refused(error: OSError) -> None:
        """Remember a folder that cannot be read, and go on with the others."""
        unreadable.append((Path(error.filename), error.strerror or "it cannot be read"))

    for folder, folders, files in os.walk(top, onerror=refused):
        below = os.path.relpath(folder, top)
        prefix = "" if below == "." else f"{below}/"
        folders[:] = sorted(
            name
            for name in folders
            if recursive and enters(prefix + name, names) and _identity(Path(folder, name)) != target
        )
        for base in sorted(files):
            if wanted(prefix + base, names):
                yield prefix + base


def _is_picture(file: Path) -> bool:
    """Whether name or content is a picture's; one that cannot be read counts, so that somebody hears of it."""
    if file.suffix.lower() in _PICTURES:
        return True
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return False
        with file.open("rb") as stream:
            return sniff(stream.read(HEAD_SIZE)) not in (None, "video", "pdf", "eps", "svg")
    except OSError:
        return os.path.lexists(file)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
